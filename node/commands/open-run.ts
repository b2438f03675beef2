/** Opens a run with a multistream dump, for the commands that read parts of it: from a folder, or from the swarm. */
import { fileNameOf } from '../../protocol/shard/paths.ts'
import type { RunSource } from '../reading/byte-source.ts'
import { localRunDates, openLocalRun } from '../reading/local-source.ts'
import { multistreamsOf } from '../reading/multistream.ts'
import { openSwarmRun } from '../reading/swarm-run.ts'
import { orNull, type Settings, text, type Values } from '../settings.ts'
import {
  chooseRun,
  openFrom,
  PUBLICATION_SETTINGS,
  type PublicationValues,
  type RunWords,
  startFetcher,
  swarmShard,
} from './from-publication.ts'
import { UserError } from './user-error.ts'

export const RUN_SETTINGS = {
  from: {
    value: '<dir>',
    help: 'read from a folder laid out WIKI/DATE/FILE instead of the swarm',
    kind: orNull(text()),
    default: null,
  },
  ...PUBLICATION_SETTINGS,
} satisfies Settings

/** The date that is asked for, or the newest with a multistream dump. Rejects with UserError or SourceError. */
export async function openRun(words: RunWords, values: Values<typeof RUN_SETTINGS>): Promise<OpenedRun> {
  return values.from === null ? fromSwarm(words, values) : fromFolder(words, values.from)
}

/** A run to read from, and how many bytes of it came from the swarm. */
export interface OpenedRun {
  readonly run: RunSource
  readonly fetchedBytes: () => number | null
  close(): Promise<void>
}

async function fromFolder({ wiki, date }: RunWords, root: string): Promise<OpenedRun> {
  const dates = date === null ? await localRunDates(root, wiki) : [date]
  let first: RunSource | null = null
  for (const one of dates) {
    const run = await openLocalRun(root, wiki, one)
    first ??= run
    if (multistreamsOf(run.files).length > 0) return local(run)
  }
  if (first === null)
    throw new UserError(`${root} holds no run of ${wiki}; it should be laid out WIKI/DATE/FILE`)
  return local(first)
}

const local = (run: RunSource): OpenedRun => ({ run, fetchedBytes: () => null, close: () => run.close() })

async function fromSwarm(words: RunWords, values: PublicationValues): Promise<OpenedRun> {
  const publication = await openFrom(values)
  const files = (shards: readonly { files: readonly { path: string; size: number }[] }[]) =>
    shards.flatMap((one) => one.files.map(({ path, size }) => ({ name: fileNameOf(path), sizeBytes: size })))
  const suits = (run: { shards: Parameters<typeof files>[0] }) => multistreamsOf(files(run.shards)).length > 0
  const { wiki, date, shards } = chooseRun(publication, words, 'dumps', suits)
  const swarm = shards.map((shard) => swarmShard(publication, shard))
  if (swarm.every((shard) => shard.peers.length === 0))
    throw new UserError(
      `the manifest names no peer that has ${wiki} of ${date}; give one with --peer HOST:PORT`,
    )
  const engine = await startFetcher()
  const run = openSwarmRun(engine, { wiki, date, shards: swarm }, { patienceMs: values.patience })
  return { run, fetchedBytes: () => run.downloadedBytes, close: () => engine.stop() }
}

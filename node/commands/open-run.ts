/** Opens a run for the commands that read parts of it, from a folder or from the swarm: one with a multistream dump, or an export. */
import type { Dataset } from '../../protocol/ids.ts'
import { fileNameOf, torrentName } from '../../protocol/shard/paths.ts'
import type { RunFile, RunSource } from '../reading/byte-source.ts'
import { exportFilesOf } from '../reading/export-scan.ts'
import { localRunDates, openLocalRun } from '../reading/local-source.ts'
import { multistreamsOf } from '../reading/multistream.ts'
import { openSwarmRun } from '../reading/swarm-run.ts'
import { orNull, type Settings, text, type Values, yesNo } from '../settings.ts'
import type { Terminal } from './command.ts'
import { openFinding } from './finding.ts'
import {
  chooseRun,
  DATASET_SETTING,
  openFrom,
  PUBLICATION_SETTINGS,
  type RunWords,
  startFetcher,
  swarmShard,
} from './from-publication.ts'
import type { Progress } from './progress.ts'
import { UserError } from './user-error.ts'
import { bytesText } from './words.ts'

export const RUN_SETTINGS = {
  from: {
    value: '<dir>',
    help: 'read from a folder laid out as `get` lays it out, WIKI/DATE/FILE, instead of the swarm',
    kind: orNull(text()),
    default: null,
  },
  dataset: DATASET_SETTING,
  scan: {
    value: null,
    help: 'read an export from the swarm from its beginning, since it has no index',
    kind: yesNo,
    default: false,
  },
  ...PUBLICATION_SETTINGS,
} satisfies Settings

/** The date that is asked for, or the newest that can be read. Rejects with UserError or SourceError. */
export async function openRun(
  words: RunWords,
  values: Values<typeof RUN_SETTINGS>,
  terminal: Terminal,
  progress: Progress,
): Promise<OpenedRun> {
  return values.from === null
    ? fromSwarm(words, values, terminal, progress)
    : fromFolder(words, values.dataset, values.from)
}

/** A run to read from, and how many bytes of it came from the swarm. */
export interface OpenedRun {
  readonly run: RunSource
  readonly fetchedBytes: () => number | null
  close(): Promise<void>
}

const canBeRead = (dataset: Dataset, files: readonly RunFile[]): boolean =>
  dataset === 'dumps' ? multistreamsOf(files).length > 0 : exportFilesOf(files).length > 0

async function fromFolder({ wiki, date }: RunWords, dataset: Dataset, root: string): Promise<OpenedRun> {
  const dates = date === null ? await localRunDates(root, wiki, dataset) : [date]
  let first: RunSource | null = null
  for (const one of dates) {
    const run = await openLocalRun(root, wiki, one, dataset)
    first ??= run
    if (canBeRead(dataset, run.files)) return local(run)
  }
  if (first === null) {
    const name = torrentName({ dataset, wiki, date: '' })
    const form = dataset === 'dumps' ? 'WIKI/DATE/FILE' : `${name}/WIKI/YYYY-MM-DD/xml/bzip2/FILE`
    throw new UserError(`${root} holds no run of ${wiki}; it should be laid out ${form}`)
  }
  return local(first)
}

const local = (run: RunSource): OpenedRun => ({ run, fetchedBytes: () => null, close: () => run.close() })

async function fromSwarm(
  words: RunWords,
  values: Values<typeof RUN_SETTINGS>,
  terminal: Terminal,
  progress: Progress,
): Promise<OpenedRun> {
  const publication = await openFrom(values, terminal)
  const files = (shards: readonly { files: readonly { path: string; size: number }[] }[]) =>
    shards.flatMap((one) => one.files.map(({ path, size }) => ({ name: fileNameOf(path), sizeBytes: size })))
  const { dataset } = values
  const suits = (run: { shards: Parameters<typeof files>[0] }) => canBeRead(dataset, files(run.shards))
  const { wiki, date, shards } = chooseRun(publication, words, dataset, suits)
  if (dataset !== 'dumps' && !values.scan) {
    const allBytes = exportFilesOf(files(shards)).reduce((sum, file) => sum + file.sizeBytes, 0)
    throw new UserError(
      `${dataset} of ${wiki} has no index: it must be read from its beginning until all is found, ${bytesText(allBytes)} at most. ` +
        `--scan does that; or have it on disk first: wikiseed get ${wiki} --dataset ${dataset}`,
    )
  }
  const swarm = shards.map((shard) => swarmShard(publication, shard))
  const finding = openFinding(values, publication.manifest, (line) => progress.say(line))
  if (finding === null && swarm.every((shard) => shard.peers.length === 0))
    throw new UserError(
      `the manifest names no peer that has ${wiki} of ${date}; give one with --peer HOST:PORT`,
    )
  const engine = await startFetcher()
  const options = { patienceMs: values.patience, findPeers: finding?.find }
  const run = openSwarmRun(engine, { dataset, wiki, date, shards: swarm }, options)
  const close = async () => {
    await run.close()
    await finding?.close()
    await engine.stop()
  }
  return { run, fetchedBytes: () => run.downloadedBytes, close }
}

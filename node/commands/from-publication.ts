/** What the commands share that read from a published manifest alone, without a node: where it is, and who is asked for bytes. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isRunDate } from '../../protocol/dump/dates.ts'
import { DATASETS, type Dataset, isWiki, shardKey } from '../../protocol/ids.ts'
import type { MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'
import { readRoot } from '../../protocol/manifest/root.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { peerAddress } from '../config.ts'
import type { Volunteers } from '../getting/volunteers.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { TorrentEngine, TorrentPeer } from '../ports.ts'
import type { Publication } from '../publication/open.ts'
import { type PublishedRun, runsOf, wikisLike } from '../publication/runs.ts'
import type { SwarmShard } from '../reading/swarm-run.ts'
import { systemClock } from '../runtime/clock.ts'
import {
  choice,
  duration,
  hostPort,
  list,
  orNull,
  type Settings,
  text,
  type Values,
  yesNo,
} from '../settings.ts'
import type { Terminal } from './command.ts'
import { FINDING_SETTINGS } from './finding.ts'
import { UserError } from './user-error.ts'

export const PUBLICATION_SETTINGS = {
  manifest: {
    value: '<url|dir>',
    help: 'the publication: where manifest.json lies, on the web or in a folder',
    kind: orNull(text()),
    default: null,
  },
  root: {
    value: '<file>',
    help: "the federation's root document, 1.root.json",
    kind: orNull(text()),
    default: null,
  },
  peer: {
    value: '<host:port>',
    help: 'a BitTorrent peer to ask besides those that the manifest names',
    kind: list(hostPort),
    default: [],
    repeat: true,
  },
  node: {
    value: '<multiaddr>',
    help: 'a volunteer to ask who holds what now, /ip4/.../tcp/4811/p2p/12D3KooW...',
    kind: list(peerAddress),
    default: [],
    repeat: true,
  },
  ...FINDING_SETTINGS,
  patience: {
    value: '<time>',
    help: 'how long peers may be silent before archive and mirrors are asked',
    kind: duration,
    default: 30_000,
    defaultText: '30s',
  },
  allowExpired: {
    value: null,
    help: 'take a signed manifest.json although its publisher has not renewed the signatures',
    kind: yesNo,
    default: false,
  },
} satisfies Settings

export const DATASET_SETTING = {
  value: '<name>',
  help: DATASETS.join(', '),
  kind: choice(['dumps', 'content_current', 'content_history']),
  default: 'dumps' as const,
}

export type PublicationValues = Values<typeof PUBLICATION_SETTINGS>

export interface RunWords {
  readonly wiki: string
  /** `YYYYMMDD`, or null for the newest. */
  readonly date: string | null
}

/** `fatwiki` or `fatwiki@20240920`; also `fatwiki@2024-09-20`. Throws UserError. */
export function readRunWords(word: string): RunWords {
  const [wiki = '', date, ...rest] = word.split('@')
  if (!isWiki(wiki) || rest.length > 0)
    throw new UserError(
      `${JSON.stringify(word.slice(0, 80))} is not a wiki such as fatwiki or fatwiki@20240920`,
    )
  if (date === undefined) return { wiki, date: null }
  const plain = date.replaceAll('-', '')
  if (!isRunDate(plain))
    throw new UserError(`${JSON.stringify(date.slice(0, 80))} is not a date such as 20240920`)
  return { wiki, date: plain }
}

/** A publication, and whom to ask for the bytes of what it names. */
export interface Opened extends Publication {
  /** Those of --peer, those that volunteers told of, those that the manifest names. */
  peers(shard: MergedManifestShard): TorrentPeer[]
}

/** Rejects with UserError. */
export async function openFrom(values: PublicationValues, terminal: Terminal): Promise<Opened> {
  const { manifest, root: rootPath } = values
  if (manifest === null)
    throw new UserError(
      '--manifest <url|dir> is needed: where the federation publishes (or WIKISEED_MANIFEST)',
    )
  if (rootPath === null)
    throw new UserError(
      "--root <file> is needed: the federation's root document, 1.root.json (or WIKISEED_ROOT)",
    )
  const root = await readFile(rootPath).catch((error: unknown) => {
    throw new UserError(`the root document ${rootPath} cannot be read`, { cause: error })
  })
  const cacheDir = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'wikiseed', 'publications')
  // Large libraries are loaded when they are needed: other commands start without them.
  const { openPublication, PublicationError } = await import('../publication/open.ts')
  let publication: Publication
  try {
    publication = await openPublication({
      source: manifest,
      root,
      cacheDir,
      allowExpired: values.allowExpired,
    })
  } catch (error) {
    if (!(error instanceof PublicationError)) throw error
    throw new UserError(error.message, { cause: error })
  }
  if (publication.checkedBy === 'minisign')
    terminal.note(
      `Taken by its signature alone, of ${publication.manifest.issuedAt}: nobody renews this publication, and a newer one would not be noticed.`,
    )
  const told = values.node.length === 0 ? null : await askNodes(root, values.node)
  return {
    ...publication,
    peers: (shard) => [
      ...values.peer,
      ...(told?.peers(shardKey(shard.id, shard.digest), shard.infohash) ?? []),
      ...(shard.peers ?? []).map(([host, port]) => ({ host, port })),
    ],
  }
}

async function askNodes(root: Uint8Array, addresses: readonly string[]): Promise<Volunteers> {
  const { askVolunteers } = await import('../getting/volunteers.ts')
  const { createLog } = await import('../observe/log.ts')
  const log = createLog({ level: 'silent', folder: null })
  return askVolunteers({ root: readRoot(root, verifyEd25519), addresses, clock: systemClock, log })
}

/** The run that is asked for, or the newest that `suits`. Throws UserError that says what there is. */
export function chooseRun(
  publication: Publication,
  { wiki, date }: RunWords,
  dataset: Dataset = 'dumps',
  suits: (run: PublishedRun) => boolean = () => true,
): PublishedRun {
  const runs = runsOf(publication.manifest.shards, wiki, dataset)
  if (runs.length === 0) {
    const like = wikisLike(publication.manifest.shards, wiki)
    const datasets = DATASETS.filter(
      (other) => other !== dataset && runsOf(publication.manifest.shards, wiki, other).length > 0,
    )
    const others =
      datasets.length > 0
        ? `; there is --dataset ${datasets.join(' or ')}`
        : like.length === 0
          ? ''
          : `; there are ${like.join(', ')}`
    throw new UserError(
      `${publication.name} has no dump of ${wiki}${dataset === 'dumps' ? '' : ` in ${dataset}`}${others}`,
    )
  }
  const run = date === null ? (runs.find(suits) ?? runs[0]) : runs.find((one) => one.date === date)
  if (run !== undefined) return run
  const dates = runs.slice(0, 10).map((one) => one.date)
  throw new UserError(`${publication.name} has no dump of ${wiki} of ${date}; there are ${dates.join(', ')}`)
}

export function swarmShard(opened: Opened, shard: MergedManifestShard): SwarmShard {
  return {
    infohash: shard.infohash,
    files: shard.files.map(({ path, size }) => ({ path, sizeBytes: size })),
    peers: opened.peers(shard),
    info: async () => {
      const torrent = await opened.torrent(shard)
      return torrent === null ? null : (decodeMetainfo(torrent)?.info ?? null)
    },
  }
}

/** An engine that only fetches: it listens on this machine alone, at a port that the system chooses. Who starts stops. */
export async function startFetcher(): Promise<TorrentEngine> {
  const { WebTorrentEngine } = await import('../transfer/torrent-engine.ts')
  const engine = new WebTorrentEngine({ port: 0 })
  await engine.start()
  return engine
}

/** A small federation with a few merged shards whose torrents are real: what publishing tests start from. */
import { createHash } from 'node:crypto'
import type { FederationKeys } from '../../coordinator/federation/keys.ts'
import { createRoot } from '../../coordinator/federation/root.ts'
import type { MergedShard } from '../../coordinator/publish/merged-shard.ts'
import { isNodeId, isShardDigest, shardId } from '../../protocol/ids.ts'
import { DEFAULT_PARAMETERS } from '../../protocol/parameters.ts'
import { encodeInfo, infohashOf } from '../../protocol/torrent/info.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'

const DAY_MS = 86_400_000
const NODE_ID = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

/** Nobody is asked there. */
export const TEST_PLACES = {
  archiveSite: 'https://archive.example/',
  mirrors: ['https://dumps.example/'] as readonly string[],
}

export function testRoot(keys: FederationKeys, nowMs: number): Uint8Array {
  if (!isNodeId(NODE_ID)) throw new Error('not a node id')
  return createRoot({
    name: 'test federation',
    parameters: DEFAULT_PARAMETERS,
    coordinators: [{ nodeId: NODE_ID, operator: 'us', multiaddrs: [] }],
    nowMs,
    expiresAtMs: nowMs + 365 * DAY_MS,
    keys,
  })
}

/** A shard of one file whose content is `content`, with its torrent computed from the bytes. */
export function testShard(options: {
  wiki: string
  date: string
  content?: string
  replicas?: number
  item?: string | null
  peers?: readonly { host: string; port: number }[]
  acceptedAtMs?: number
  trackers?: readonly string[]
  webSeeds?: readonly string[]
}): MergedShard {
  const { wiki, date, content = `${options.wiki} ${options.date}\n`, replicas = 3, item = null } = options
  const bytes = Buffer.from(content)
  const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex')
  const path = `${date}/${wiki}-${date}-pages-articles.xml.bz2`
  const info = encodeInfo({
    name: wiki,
    files: [{ path, sizeBytes: bytes.length }],
    pieceLengthBytes: 16_384,
    pieces: createHash('sha1').update(bytes).digest(),
  })
  const digest = createHash('sha256').update(`${wiki} ${date} ${content}`).digest('hex')
  if (!isShardDigest(digest)) throw new Error('not a digest')
  return {
    id: shardId({ dataset: 'dumps', wiki, date, part: 0 }),
    digest,
    infohash: infohashOf(info),
    name: wiki,
    sizeBytes: bytes.length,
    files: [
      {
        path,
        sizeBytes: bytes.length,
        digests: { md5: hash('md5'), sha1: hash('sha1'), sha256: hash('sha256') },
      },
    ],
    torrent: encodeMetainfo({ info }),
    trackers: options.trackers ?? [],
    webSeeds: options.webSeeds ?? [],
    replicas,
    peers: options.peers ?? [],
    archive: item === null ? null : { item, verifiedAtMs: Date.UTC(2026, 0, 20) },
    acceptedAtMs: options.acceptedAtMs ?? Date.UTC(2026, 0, 19),
  }
}

/** What publishing starts from: a shard that the merge accepted (PROTOCOL 9), with all that is said about it in public. */
import type { Infohash, ShardDigest, ShardId } from '../../protocol/ids.ts'
import type { Endpoint } from '../../protocol/manifest/entry.ts'
import type { BundleFacts } from '../../protocol/manifest/merged-manifest.ts'
import type { FullDigests } from '../../protocol/shard/shard.ts'

export interface MergedFile {
  /** Inside the torrent, without its name: `20260101/tenwiki-20260101-....bz2`. */
  readonly path: string
  readonly sizeBytes: number
  readonly digests: FullDigests
}

export interface MergedShard {
  readonly id: ShardId
  readonly digest: ShardDigest
  readonly infohash: Infohash
  /** Name of the torrent = its folder. */
  readonly name: string
  /** Sum of the dump files' sizes. */
  readonly sizeBytes: number
  /** Every file of the torrent, the three metadata files included, in torrent order. */
  readonly files: readonly MergedFile[]
  /** The .torrent file; once published it has the lists of `trackers` and `webSeeds`, and they alone, around the info dictionary. */
  readonly torrent: Uint8Array
  /** See TorrentLists; in the .torrent and the magnet link. */
  readonly trackers: readonly string[]
  readonly webSeeds: readonly string[]
  /** Audited replicas. */
  readonly replicas: number
  /** Where BitTorrent clients find it, in any order; at most ENDPOINTS_MAX are told. */
  readonly peers: readonly Endpoint[]
  readonly archive: { readonly item: string; readonly verifiedAtMs: number } | null
  /** When the merge accepted it first; orders the feed. */
  readonly acceptedAtMs: number
}

/** A cycle bundle whose shards are all among the merged ones (PROTOCOL 2). */
export interface MergedBundle extends BundleFacts {
  /** See TorrentLists. No server lays files out below a bundle's name, so there are no web seeds yet. */
  readonly trackers: readonly string[]
  readonly webSeeds: readonly string[]
  readonly torrent: Uint8Array
  readonly peers: readonly Endpoint[]
  readonly madeAtMs: number
}

/** By id, then digest, as UTF-16 code units: the same input in any order gives the same bytes. */
export function inOrder(shards: readonly MergedShard[]): MergedShard[] {
  const key = (shard: MergedShard) => `${shard.id}@${shard.digest}`
  return [...shards].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0))
}

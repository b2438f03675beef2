/** What a shard is (PROTOCOL 1, 2): its files with upstream's digests, its status, its layout in a torrent and on disk. */
import type { Dataset, ShardDigest, ShardId, ShardKey } from '../ids.ts'

/** Digest algorithms that upstream publishes, in the order of rows. */
export const ALGORITHMS = ['md5', 'sha1', 'sha256'] as const
export type Algorithm = (typeof ALGORITHMS)[number]

/** What upstream says of a file's bytes: any of the algorithms, lower-case hex. Empty = algorithm `none`. */
export type Digests = { readonly [A in Algorithm]?: string }
/** What we computed over the bytes: all of them. */
export type FullDigests = { readonly [A in Algorithm]: string }

/** One dump file of a shard. `path` is relative to the torrent's name, `/` between elements: `20260101/tenwiki-...bz2`. */
export interface ShardFile {
  readonly path: string
  readonly sizeBytes: number
  readonly digests: Digests
}

/** One revision of one shard, complete enough to fetch, verify and rebuild its torrent from. A copy by `...` lacks `files` and `statusJson`. */
export interface Shard {
  readonly id: ShardId
  readonly digest: ShardDigest
  readonly key: ShardKey
  readonly dataset: Dataset
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
  /** Torrent name = first folder of the mirror layout: `tenwiki`, `mediawiki_content_history`. */
  readonly name: string
  /** Version of the three metadata files' form; fixed by the catalog. */
  readonly bundleVersion: number
  readonly fileCount: number
  /** In raw-byte order of path. Of a known shard they are read anew from time to time: take them once. */
  readonly files: readonly ShardFile[]
  /** The exact bytes of STATUS.json as text (RFC 8785 plus a line feed). */
  readonly statusJson: string
  /** Sum of the dump files' sizes. */
  readonly sizeBytes: number
}

/** One file as it lies in a torrent: dump files first, then the three metadata files (PROTOCOL 2). */
export interface TorrentFile {
  readonly path: string
  readonly sizeBytes: number
}

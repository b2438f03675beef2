/** Where `get` has one file from: the swarm, an item of the Internet Archive, a mirror. None of them is believed. */
import type { MergedManifestFile, MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'

export type SourceKind = 'swarm' | 'archive' | 'mirror'

export interface FileSource {
  readonly kind: SourceKind
  /** For people: `the swarm`, `archive.org`. */
  readonly name: string
  /** Whether it may have files of this shard. */
  offers(shard: MergedManifestShard, file: MergedManifestFile): boolean
  /**
   * Brings the file to its whole size at `path`, whoever began it. The bytes may be wrong. Rejects with a GetError, or with the file
   * system's own error; what came stays.
   */
  fetch(
    shard: MergedManifestShard,
    file: MergedManifestFile,
    path: string,
    options: FileOptions,
  ): Promise<void>
  close(): Promise<void>
}

export interface FileOptions {
  /**
   * What becomes of bytes that are there. `believe`: they are gone on from. `doubt`: the file they made had a wrong digest, so only what
   * pieces of the torrent prove may stay. `replace`: the whole file comes in their place, once it begins to.
   */
  readonly before: 'believe' | 'doubt' | 'replace'
  readonly onBytes: (count: number) => void
  readonly signal: AbortSignal | undefined
}

/** One source did not give one file; `message` says why. */
export class GetError extends Error {
  /** It has the file, but gives no parts of it. */
  readonly isWholeOnly: boolean
  constructor(
    detail: string,
    { isWholeOnly = false, ...options }: ErrorOptions & { isWholeOnly?: boolean } = {},
  ) {
    super(detail, options)
    this.name = 'GetError'
    this.isWholeOnly = isWholeOnly
  }
}

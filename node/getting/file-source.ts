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
   * Brings the file to its whole size at `path`, going on from what is there. The bytes may be wrong. Rejects with a GetError, or with the
   * file system's own error.
   */
  fetch(
    shard: MergedManifestShard,
    file: MergedManifestFile,
    path: string,
    options: { onBytes: (count: number) => void; signal?: AbortSignal },
  ): Promise<void>
  close(): Promise<void>
}

/** One source did not give one file; `message` says why. */
export class GetError extends Error {
  constructor(detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'GetError'
  }
}

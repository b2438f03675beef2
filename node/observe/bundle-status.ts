/** Cycle bundles, as a coordinator tells of them in its status (PROTOCOL 2). */
import type { Cycle, Infohash } from '../../protocol/ids.ts'

export interface BundleStatus {
  readonly cycle: Cycle
  /** `wikiseed-2026-01`; null: the cycle's bundles are still to be made, or made anew. */
  readonly name: string | null
  readonly infohash: Infohash | null
  readonly shards: number
  /** Of all files; of a cycle that waits, of the dump files that are held. */
  readonly sizeBytes: number
  /** `waits for 3 of 18 shards`; empty: it is seeded. */
  readonly detail: string
}

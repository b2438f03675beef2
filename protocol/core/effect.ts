/** What the core wants done. The runtime does it in this order: what is persisted stands before what is published. */
import type { Observation, RunReference } from '../catalog/observation.ts'
import type { Infohash, NodeId, Series, ShardKey } from '../ids.ts'
import type { Endpoint } from '../manifest/entry.ts'
import type { Statement } from '../manifest/next-update.ts'
import type { Shard } from '../shard/shard.ts'
import type { Kept } from './kept.ts'

export type Effect =
  /** Store durably before any later effect of this step. */
  | { readonly kind: 'persist'; readonly kept: Kept }
  /** Make the update against what was said before, seal it, gossip it. */
  | { readonly kind: 'publish'; readonly statement: Statement }
  /** The node is gone: its record may go too. */
  | { readonly kind: 'forget'; readonly node: NodeId }
  /** Stay connected with a node that was heard of. */
  | { readonly kind: 'connect'; readonly multiaddrs: readonly string[] }
  /** Replaces a fetch of the same shard that is under way. */
  | { readonly kind: 'fetch'; readonly shard: Shard; readonly from: FetchSource }
  | { readonly kind: 'stop-fetch'; readonly shard: ShardKey }
  | { readonly kind: 'add-peers'; readonly infohash: Infohash; readonly peers: readonly Endpoint[] }
  /** The claim ended without a replica: a fetch under way stops, partial files go. */
  | { readonly kind: 'release'; readonly shard: Shard }
  | { readonly kind: 'audit'; readonly shard: Shard; readonly node: NodeId }
  /**
   * Have a node prove by one whole file a shard that is not held here, and fetch that file from it (PROTOCOL 7); comes back as
   * `audited`. `peers` are where that node, and nobody else, serves bytes; what did not come in time did not come.
   */
  | {
      readonly kind: 'audit-file'
      readonly shard: Shard
      readonly node: NodeId
      readonly infohash: Infohash
      readonly peers: readonly Endpoint[]
      readonly timeoutMs: number
    }
  /**
   * Ask who reported a failure for the receipt, and judge it by our own bytes; comes back as `receipt`. One of before
   * `notBeforeMs` (unix ms) is of another replica than stands now.
   */
  | {
      readonly kind: 'ask-receipt'
      readonly shard: Shard
      readonly node: NodeId
      readonly auditor: NodeId
      readonly notBeforeMs: number
    }
  /** Ask a holder to prove its copy and to promise to keep it; comes back as `promised`. */
  | { readonly kind: 'ask-promise'; readonly shard: Shard; readonly node: NodeId }
  /** Answer who asked: until when we keep it (unix ms), null = no promise. */
  | {
      readonly kind: 'answer-promise'
      readonly shard: ShardKey
      readonly to: NodeId
      readonly untilMs: number | null
    }
  /** Stop seeding and remove the files: others keep it. */
  | { readonly kind: 'drop'; readonly shard: Shard; readonly infohash: Infohash | null }
  /** Read our own copy again. */
  | { readonly kind: 'check'; readonly shard: Shard }
  /**
   * Read upstream and say what is there: of each series runs after this date that are not known. Comes back as `observation` and
   * `run`, or not at all.
   */
  | {
      readonly kind: 'observe'
      readonly after: ReadonlyMap<Series, string>
      readonly known: readonly Shard[]
    }
  /** Get the documents that are missing, which come back as `run`; of those that came before only `kept` (sha256) are needed. */
  | {
      readonly kind: 'pull-runs'
      readonly missing: readonly RunReference[]
      readonly kept: readonly string[]
    }
  | { readonly kind: 'forget-observation'; readonly observation: Observation }
  /** Something the operator should know. */
  | {
      readonly kind: 'notice'
      readonly code: NoticeCode
      readonly shard: ShardKey | null
      readonly detail: string
    }

export type FetchSource =
  | { readonly kind: 'origin' }
  | { readonly kind: 'swarm'; readonly infohash: Infohash; readonly peers: readonly Endpoint[] }

export type NoticeCode =
  | 'claimed'
  | 'held'
  | 'failed'
  | 'damaged'
  | 'repaired'
  | 'released'
  | 'refuted'
  | 'lead-passed'
  | 'equivocation'
  | 'dropped'
  | 'disproven'
  | 'unfounded'

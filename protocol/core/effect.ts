/** What the core wants done. The runtime does it in this order: what is persisted stands before what is published. */
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import type { Endpoint, NodeManifest } from '../manifest/node-manifest.ts'
import type { Shard } from '../shard/shard.ts'
import type { Kept } from './state.ts'

export type Effect =
  /** Store durably before any later effect of this step. */
  | { readonly kind: 'persist'; readonly kept: Kept }
  /** Seal, store as own manifest, gossip. */
  | { readonly kind: 'publish'; readonly manifest: NodeManifest }
  | { readonly kind: 'keep-manifest'; readonly node: NodeId; readonly raw: Uint8Array }
  | { readonly kind: 'forget-manifest'; readonly node: NodeId }
  /** Stay connected with a node that was heard of. */
  | { readonly kind: 'connect'; readonly multiaddrs: readonly string[] }
  /** Replaces a fetch of the same shard that is under way. */
  | { readonly kind: 'fetch'; readonly shard: Shard; readonly from: FetchSource }
  | { readonly kind: 'stop-fetch'; readonly shard: ShardKey }
  | { readonly kind: 'add-peers'; readonly infohash: Infohash; readonly peers: readonly Endpoint[] }
  /** The claim ended without a replica: a fetch under way stops, partial files go. */
  | { readonly kind: 'release'; readonly shard: Shard }
  | { readonly kind: 'audit'; readonly shard: Shard; readonly node: NodeId }
  /** Read our own copy again. */
  | { readonly kind: 'check'; readonly shard: Shard }
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

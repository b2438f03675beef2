/** What can happen to a node. Every event comes with the time; the core has no clock of its own. */
import type { Observation } from '../catalog/observation.ts'
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import type { AuditOutcome, Endpoint } from '../manifest/entry.ts'
import type { NodeRecord, RecordChange } from '../manifest/node-record.ts'
import type { Shard } from '../shard/shard.ts'

/** wallMs: unix ms, for what others see. monotonicMs: for how long something took. */
export interface Now {
  readonly wallMs: number
  readonly monotonicMs: number
}

/** Why a shard could not be fetched. */
export type FetchFailure =
  /** Bytes from origin do not have upstream's digest: never held. */
  | 'digest-mismatch'
  /** Our own reading of the run's status gives another shard than the catalog. */
  | 'catalog-disagrees'
  | 'origin-unavailable'
  /** This infohash does not stand for the shard's bytes. */
  | 'bad-infohash'
  | 'swarm-failed'
  | 'disk-full'
  | 'disk-error'
  /** The month's bytes are spent, as the volunteer wants it. */
  | 'budget-used'
  /** The claim ended because nothing came for too long. */
  | 'no-progress'

/**
 * fail: it proves the failure to whoever has the bytes. pass: the answer was right. invalid: it is no receipt of this audit.
 * none: the auditor did not answer, or has none. unknown: our own bytes cannot judge it now.
 */
export type ReceiptVerdict = 'fail' | 'pass' | 'invalid' | 'none' | 'unknown'

/** What all trusted coordinators say together. */
export interface CatalogFacts {
  /** Of all catalogs that are trusted now; the same list, the maps too, as long as nothing in it changed. */
  readonly shards: readonly Shard[]
  /** Listed operators by node. */
  readonly listed: ReadonlyMap<NodeId, string>
  /** Unix ms when the archive's copy was last verified by hash. */
  readonly archived: ReadonlyMap<ShardKey, number>
  /** Unix ms when a coordinator last read upstream and its catalogs told of it; 0: none ever did. */
  readonly readAtMs: number
}

export type Event =
  | { readonly kind: 'tick' }
  /** A node's verified state after its newest update; `change` against the record before, null when that is not known. */
  | { readonly kind: 'record'; readonly record: NodeRecord; readonly change: RecordChange | null }
  /** Others know an update of ours that we do not: state was lost. */
  | { readonly kind: 'ahead'; readonly sequence: number }
  /** Two different updates of one node under one sequence were seen (PROTOCOL 4). */
  | { readonly kind: 'equivocation'; readonly node: NodeId }
  | ({ readonly kind: 'catalogs' } & CatalogFacts)
  /** What some node read of upstream, its own words too; `replaces`: one that is no longer kept because of it. */
  | {
      readonly kind: 'observation'
      readonly observation: Observation
      readonly replaces: Observation | null
    }
  /** The document of an observed run came. */
  | { readonly kind: 'run'; readonly sha256: string; readonly shards: readonly Shard[] }
  | { readonly kind: 'connections'; readonly count: number }
  | { readonly kind: 'reachability'; readonly reachable: boolean }
  | {
      readonly kind: 'endpoints'
      readonly libp2p: readonly string[]
      readonly bittorrent: readonly Endpoint[]
    }
  | { readonly kind: 'progress'; readonly shard: ShardKey; readonly doneBytes: number }
  | {
      readonly kind: 'fetched'
      readonly shard: ShardKey
      readonly infohash: Infohash
      readonly fromOriginBytes: number
      readonly fromSwarmBytes: number
    }
  | {
      readonly kind: 'fetch-failed'
      readonly shard: ShardKey
      readonly code: FetchFailure
      /** One sentence for people. */
      readonly detail: string
      readonly infohash: Infohash | null
    }
  /** Our own copy was read again: the files that are not what they should be, none when it is whole. */
  | { readonly kind: 'checked'; readonly shard: ShardKey; readonly damaged: readonly string[] }
  /** The volunteer gives another amount of room, or wants to leave. */
  | { readonly kind: 'capacity'; readonly bytesTotal: number }
  | { readonly kind: 'leave' }
  /** A holder proved its copy and promised to keep it (PROTOCOL 8), or did not. */
  | { readonly kind: 'promised'; readonly shard: ShardKey; readonly node: NodeId; readonly granted: boolean }
  | { readonly kind: 'promise-asked'; readonly shard: ShardKey; readonly from: NodeId }
  | {
      readonly kind: 'audited'
      readonly shard: ShardKey
      readonly node: NodeId
      readonly outcome: AuditOutcome
    }
  /** What became of a receipt that was asked for: what it shows by our own bytes, or why it shows nothing. */
  | {
      readonly kind: 'receipt'
      readonly shard: ShardKey
      readonly node: NodeId
      readonly auditor: NodeId
      readonly verdict: ReceiptVerdict
    }

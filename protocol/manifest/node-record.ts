/**
 * One node as the others know it (PROTOCOL 4): what it last said, with every change applied. Immutable, so that a record can be
 * handed about, and shared by all simulated nodes that know the same.
 */
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import type { AuditPair, AuditRecord, Entry, Refutation } from './entry.ts'
import type { NodeHead } from './node-head.ts'

/** What a node says, without when it said so. Its digest names it. */
export interface NodeState {
  readonly head: NodeHead
  /** Claims and replicas. */
  readonly entries: ReadonlyMap<ShardKey, Entry>
  /** Infohashes that it found to be wrong. */
  readonly refuted: ReadonlyMap<ShardKey, readonly Infohash[]>
  /** By `auditKey(shard, audited node)`. */
  readonly audits: ReadonlyMap<string, AuditRecord>
  /** State digest, 32 bytes. */
  readonly digest: Uint8Array
}

export interface NodeRecord extends NodeState {
  readonly node: NodeId
  /** Of the newest update. */
  readonly sequence: number
  readonly issuedAtMs: number
  readonly ttlMs: number
  /** The newest update as its node sealed it, to be handed on unchanged. */
  readonly sealed: Uint8Array
}

/** What differs between two records of one node: exactly that, nothing twice. */
export interface RecordChange {
  /** New or changed claims and replicas. */
  readonly set: readonly Entry[]
  /** Claims and replicas that are gone. */
  readonly unset: readonly ShardKey[]
  readonly refute: readonly Refutation[]
  readonly unrefute: readonly Refutation[]
  /** New or changed audits. */
  readonly audits: readonly AuditRecord[]
  readonly unaudit: readonly AuditPair[]
  readonly headChanged: boolean
}

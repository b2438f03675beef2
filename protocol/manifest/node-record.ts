/**
 * One node as the others know it (PROTOCOL 4): what it last said, with every change applied. Immutable, so that a record can be
 * handed about, and shared by all simulated nodes that know the same.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { equalBytes } from '../codec/bytes.ts'
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import { NODE_MANIFEST_AUDITS_MAX, NODE_MANIFEST_ENTRIES_MAX } from '../limits.ts'
import {
  type Bucket,
  bucketAt,
  bucketOf,
  type DigestTree,
  differingBuckets,
  EMPTY_BUCKET,
  emptyTree,
  makeBucket,
  makeTree,
  replaceBuckets,
} from './bucket-digest.ts'
import {
  type AuditPair,
  type AuditRecord,
  auditKey,
  type Entry,
  type Refutation,
  refutationKey,
  sameAudit,
  sameEntry,
} from './entry.ts'
import { encodeHead, type NodeHead } from './node-head.ts'
import type { NodeUpdate } from './node-update.ts'

/** What a node says, without when it said so. Its digest names it. */
export interface NodeState {
  readonly head: NodeHead
  /** Claims and replicas. In no order. */
  readonly entries: ReadonlyMap<ShardKey, Entry>
  /** Infohashes that it found to be wrong. */
  readonly refuted: ReadonlyMap<ShardKey, readonly Infohash[]>
  /** By `auditKey(shard, audited node)`. */
  readonly audits: ReadonlyMap<string, AuditRecord>
  readonly tree: DigestTree
  /** State digest, 32 bytes: that of the tree. */
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

/** What differs between two states of one node: exactly that, nothing twice. */
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

export type RowChange = Omit<RecordChange, 'headChanged'>

export const NO_CHANGE: RecordChange = {
  set: [],
  unset: [],
  refute: [],
  unrefute: [],
  audits: [],
  unaudit: [],
  headChanged: false,
}

/** The record that an update leaves behind. `state.digest` is the update's. */
export function recordOf(
  update: Pick<NodeUpdate, 'node' | 'sequence' | 'issuedAtMs' | 'ttlMs'>,
  state: NodeState,
  sealed: Uint8Array,
): NodeRecord {
  const { node, sequence, issuedAtMs, ttlMs } = update
  const { head, entries, refuted, audits, tree, digest } = state
  return { node, sequence, issuedAtMs, ttlMs, sealed, head, entries, refuted, audits, tree, digest }
}

/** The state after a change, `base` null: after nothing. Null when it would be more than a node may say. */
export function changeState(
  base: NodeState | null,
  head: NodeHead | null,
  change: RowChange,
): NodeState | null {
  const before = base ?? (head === null ? null : emptyState(head))
  if (before === null) return null
  const headHash = head === null ? before.tree.headHash : hashOfHead(head)
  const buckets = new Map<number, Bucket>()
  for (const [number, rows] of rowsByBucket(change)) {
    const bucket = changeBucket(bucketAt(before.tree, number), rows)
    if (bucket === null) return null
    buckets.set(number, bucket)
  }
  const tree = replaceBuckets(before.tree, headHash, buckets)
  const entries = changed(before.entries, change.unset, change.set, (entry) => entry.shard)
  const audits = changed(before.audits, change.unaudit.map(pairKey), change.audits, pairKey)
  const refuted = changeRefuted(before.refuted, change)
  const state = { head: head ?? before.head, entries, refuted, audits, tree, digest: tree.digest }
  return isWithinBounds(state) ? state : null
}

/** A state from its 256 buckets. Null when it is more than a node may say. */
export function stateOfBuckets(head: NodeHead, buckets: readonly Bucket[]): NodeState | null {
  const tree = makeTree(hashOfHead(head), buckets)
  const entries = new Map<ShardKey, Entry>()
  const refuted = new Map<ShardKey, Infohash[]>()
  const audits = new Map<string, AuditRecord>()
  for (const bucket of buckets) {
    for (const entry of bucket.entries) entries.set(entry.shard, entry)
    for (const { shard, infohash } of bucket.refuted) {
      const known = refuted.get(shard)
      if (known === undefined) refuted.set(shard, [infohash])
      else known.push(infohash)
    }
    for (const audit of bucket.audits) audits.set(pairKey(audit), audit)
  }
  const state = { head, entries, refuted, audits, tree, digest: tree.digest }
  return isWithinBounds(state) ? state : null
}

/** What became different, `before` null: from nothing. Looks only into buckets that differ. */
export function diffRecords(before: NodeState | null, after: NodeState): RecordChange {
  if (before !== null && equalBytes(before.digest, after.digest)) return NO_CHANGE
  const from = before?.tree ?? emptyTree(after.tree.headHash)
  const change = {
    set: [] as Entry[],
    unset: [] as ShardKey[],
    refute: [] as Refutation[],
    unrefute: [] as Refutation[],
    audits: [] as AuditRecord[],
    unaudit: [] as AuditPair[],
    headChanged: before === null || !equalBytes(before.tree.headHash, after.tree.headHash),
  }
  for (const number of differingBuckets(from, after.tree)) {
    const old = bucketAt(from, number)
    const now = bucketAt(after.tree, number)
    const entries = new Map(old.entries.map((entry) => [entry.shard, entry]))
    for (const entry of now.entries) {
      const known = entries.get(entry.shard)
      if (known === undefined || !sameEntry(known, entry)) change.set.push(entry)
      entries.delete(entry.shard)
    }
    change.unset.push(...entries.keys())
    const audits = new Map(old.audits.map((audit) => [pairKey(audit), audit]))
    for (const audit of now.audits) {
      const known = audits.get(pairKey(audit))
      if (known === undefined || !sameAudit(known, audit)) change.audits.push(audit)
      audits.delete(pairKey(audit))
    }
    for (const { shard, node } of audits.values()) change.unaudit.push({ shard, node })
    const refuted = new Map(old.refuted.map((one) => [refutationKey(one), one]))
    for (const one of now.refuted) if (!refuted.delete(refutationKey(one))) change.refute.push(one)
    change.unrefute.push(...refuted.values())
  }
  return change
}

/** Claims, replicas, refutations and audits of a state in all. */
export function rowCount(state: NodeState): number {
  return state.entries.size + refutationCount(state) + state.audits.size
}

function hashOfHead(head: NodeHead): Uint8Array {
  return sha256(encodeHead(head))
}

function emptyState(head: NodeHead): NodeState {
  const tree = emptyTree(hashOfHead(head))
  return { head, entries: new Map(), refuted: new Map(), audits: new Map(), tree, digest: tree.digest }
}

function isWithinBounds(state: NodeState): boolean {
  const entries = state.entries.size + refutationCount(state)
  return entries <= NODE_MANIFEST_ENTRIES_MAX && state.audits.size <= NODE_MANIFEST_AUDITS_MAX
}

function refutationCount(state: NodeState): number {
  let count = 0
  for (const infohashes of state.refuted.values()) count += infohashes.length
  return count
}

const pairKey = (pair: AuditPair): string => auditKey(pair.shard, pair.node)

type MutableRows = { -readonly [K in keyof RowChange]: RowChange[K][number][] }

function rowsByBucket(change: RowChange): Map<number, MutableRows> {
  const out = new Map<number, MutableRows>()
  const at = (shard: ShardKey): MutableRows => {
    const number = bucketOf(shard)
    let rows = out.get(number)
    if (rows === undefined) {
      rows = { set: [], unset: [], refute: [], unrefute: [], audits: [], unaudit: [] }
      out.set(number, rows)
    }
    return rows
  }
  for (const entry of change.set) at(entry.shard).set.push(entry)
  for (const shard of change.unset) at(shard).unset.push(shard)
  for (const one of change.refute) at(one.shard).refute.push(one)
  for (const one of change.unrefute) at(one.shard).unrefute.push(one)
  for (const audit of change.audits) at(audit.shard).audits.push(audit)
  for (const pair of change.unaudit) at(pair.shard).unaudit.push(pair)
  return out
}

function changeBucket(bucket: Bucket, rows: RowChange): Bucket | null {
  const entries = new Map(bucket.entries.map((entry) => [entry.shard, entry]))
  const refuted = new Map(bucket.refuted.map((one) => [refutationKey(one), one]))
  const audits = new Map(bucket.audits.map((audit) => [pairKey(audit), audit]))
  for (const shard of rows.unset) entries.delete(shard)
  for (const entry of rows.set) entries.set(entry.shard, entry)
  for (const one of rows.unrefute) refuted.delete(refutationKey(one))
  for (const one of rows.refute) refuted.set(refutationKey(one), one)
  for (const pair of rows.unaudit) audits.delete(pairKey(pair))
  for (const audit of rows.audits) audits.set(pairKey(audit), audit)
  if (entries.size + refuted.size + audits.size === 0) return EMPTY_BUCKET
  return makeBucket(entries.values(), refuted.values(), audits.values())
}

/** The same map when nothing changes in it. */
function changed<K, V>(
  before: ReadonlyMap<K, V>,
  gone: readonly K[],
  news: readonly V[],
  key: (value: V) => K,
): ReadonlyMap<K, V> {
  if (gone.length === 0 && news.length === 0) return before
  const after = new Map(before)
  for (const one of gone) after.delete(one)
  for (const one of news) after.set(key(one), one)
  return after
}

function changeRefuted(before: NodeState['refuted'], change: RowChange): NodeState['refuted'] {
  if (change.refute.length === 0 && change.unrefute.length === 0) return before
  const after = new Map(before)
  for (const { shard, infohash } of change.unrefute) {
    const left = (after.get(shard) ?? []).filter((one) => one !== infohash)
    if (left.length === 0) after.delete(shard)
    else after.set(shard, left)
  }
  for (const { shard, infohash } of change.refute) {
    const known = after.get(shard) ?? []
    if (!known.includes(infohash)) after.set(shard, [...known, infohash])
  }
  return after
}

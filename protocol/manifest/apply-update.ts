/**
 * From an update to the next record (PROTOCOL 4). The signed digest decides, not the chain: whatever state the change leads to,
 * it is the right one exactly when its digest is the one that the node signed.
 */
import { equalBytes } from '../codec/bytes.ts'
import type { Bucket } from './bucket-digest.ts'
import type { NodeHead } from './node-head.ts'
import {
  changeState,
  diffRecords,
  NO_CHANGE,
  type NodeRecord,
  type NodeState,
  type RecordChange,
  recordOf,
  stateOfBuckets,
} from './node-record.ts'
import type { NodeUpdate } from './node-update.ts'
import type { Verified } from './trust.ts'

export type ApplyErrorCode =
  /** It builds on something that is not known here, or does not carry the whole state: pull it. */
  | 'gap'
  /** It builds on what is known here, and its digest is another all the same: its node errs. Pull it. */
  | 'mismatch'
  /** More than a node may say. */
  | 'too-large'

export type Applied =
  | { readonly ok: true; readonly record: NodeRecord; readonly change: RecordChange }
  | { readonly ok: false; readonly code: ApplyErrorCode }

/** What no record stands for in the cache. */
const NOTHING = {}
/** By update, then by the record before it: a thousand simulated receivers of one update compute it once. */
const results = new WeakMap<NodeUpdate, WeakMap<object, Applied>>()
/** The one record after an update, however it was come by: equal digests mean equal states. */
const records = new WeakMap<NodeUpdate, NodeRecord>()

/**
 * `previous`: the node's record before, null when it is not known. `sealed`: the bytes that the update was opened from.
 * Pure; the result is kept with the update, so the same arguments give the same objects.
 */
export function applyUpdate(
  previous: NodeRecord | null,
  update: Verified<NodeUpdate>,
  sealed: Uint8Array,
): Applied {
  let known = results.get(update)
  if (known === undefined) {
    known = new WeakMap()
    results.set(update, known)
  }
  const cached = known.get(previous ?? NOTHING)
  if (cached !== undefined) return cached
  const result = compute(previous, update, sealed)
  known.set(previous ?? NOTHING, result)
  return result
}

/** The record after an update, from pulled parts. Null when they are not what its node signed. `buckets` are all 256. */
export function recordFromBuckets(
  update: Verified<NodeUpdate>,
  sealed: Uint8Array,
  head: NodeHead,
  buckets: readonly Bucket[],
): NodeRecord | null {
  const state = stateOfBuckets(head, buckets)
  if (state === null || !equalBytes(state.digest, update.digest)) return null
  return theRecord(update, state, sealed)
}

function compute(previous: NodeRecord | null, update: Verified<NodeUpdate>, sealed: Uint8Array): Applied {
  // A heartbeat, also after one that was lost: nothing is different.
  if (previous !== null && equalBytes(previous.digest, update.digest)) {
    return { ok: true, record: theRecord(update, previous, sealed), change: NO_CHANGE }
  }
  const base = update.prev === 0 ? null : previous
  if (update.prev !== 0 && base === null) return { ok: false, code: 'gap' }
  const state = changeState(base, update.head, update)
  if (state === null) return { ok: false, code: 'too-large' }
  if (!equalBytes(state.digest, update.digest)) {
    return { ok: false, code: base !== null && base.sequence === update.prev ? 'mismatch' : 'gap' }
  }
  const record = theRecord(update, state, sealed)
  return { ok: true, record, change: diffRecords(previous, record) }
}

function theRecord(update: NodeUpdate, state: NodeState, sealed: Uint8Array): NodeRecord {
  const known = records.get(update)
  if (known !== undefined) return known
  const record = recordOf(update, state, sealed)
  records.set(update, record)
  return record
}

/**
 * What a node gossips (PROTOCOL 4): what changed since its last update, and the digest of its whole state after that. One
 * without changes is the heartbeat. `prev: 0` builds on nothing; when what it carries does not give its digest, it asks
 * everybody to pull the state. Who signed it is who says it, so no name is in it.
 */
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import { bytes, integer, list, type Reader, record, ShapeError } from '../codec/shape.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import {
  NODE_HEAD_BYTES_MAX,
  NODE_MANIFEST_AUDITS_MAX,
  NODE_MANIFEST_ENTRIES_MAX,
  NODE_UPDATE_BYTES_MAX,
} from '../limits.ts'
import { by, HASH_BYTES } from './bucket-digest.ts'
import {
  type AuditPair,
  type AuditRecord,
  auditKey,
  auditToValue,
  type Entry,
  entryToValue,
  type Refutation,
  readAudit,
  readAuditPair,
  readEntry,
  readRefutation,
  readShardKey,
  refutationKey,
  refutationToValue,
} from './entry.ts'
import { encodeHead, headToValue, type NodeHead, readHead } from './node-head.ts'

export const NODE_UPDATE_DOMAIN = 'wikiseed/node-update/1'
export const NODE_UPDATE_TYPE = 'application/vnd.wikiseed.node-update+cbor'

export interface NodeUpdate {
  /** Who sealed it. */
  readonly node: NodeId
  /** Sequence of the update that this one builds on; 0: on nothing. */
  readonly prev: number
  readonly sequence: number
  /** Unix ms. */
  readonly issuedAtMs: number
  readonly ttlMs: number
  /** Null: as before. */
  readonly head: NodeHead | null
  readonly set: readonly Entry[]
  readonly unset: readonly ShardKey[]
  readonly refute: readonly Refutation[]
  readonly unrefute: readonly Refutation[]
  readonly audits: readonly AuditRecord[]
  readonly unaudit: readonly AuditPair[]
  /** State digest after this update, 32 bytes. */
  readonly digest: Uint8Array
}

const KEYS = [
  'prev',
  'sequence',
  'issuedAt',
  'ttl',
  'digest',
  'head',
  'set',
  'unset',
  'refute',
  'unrefute',
  'audits',
  'unaudit',
] as const

/** The longest ttl that is believed: a claim that never expires would be a lock. */
const TTL_MS_MAX = 48 * 3_600_000

const pairKey = (pair: AuditPair): string => auditKey(pair.shard, pair.node)

/** Lists are sorted, and left out when they are empty. */
export function encodeNodeUpdate(update: NodeUpdate): Uint8Array {
  const lists = {
    set: update.set.toSorted(by((entry) => entry.shard)).map(entryToValue),
    unset: update.unset.toSorted(),
    refute: update.refute.toSorted(by(refutationKey)).map(refutationToValue),
    unrefute: update.unrefute.toSorted(by(refutationKey)).map(refutationToValue),
    audits: update.audits.toSorted(by(pairKey)).map(auditToValue),
    unaudit: update.unaudit.toSorted(by(pairKey)).map((pair) => [pair.shard, pair.node]),
  }
  return encodeCbor({
    prev: update.prev,
    sequence: update.sequence,
    issuedAt: update.issuedAtMs,
    ttl: update.ttlMs,
    digest: update.digest,
    ...(update.head === null ? {} : { head: headToValue(update.head) }),
    ...Object.fromEntries(Object.entries(lists).filter(([, rows]) => rows.length > 0)),
  })
}

/** `node` is the signer. Throws ShapeError with the path that failed. */
export function decodeNodeUpdate(payload: Uint8Array, node: NodeId): NodeUpdate {
  const fields = record(decodeCbor(payload, 'update', NODE_UPDATE_BYTES_MAX), 'update', KEYS)
  const sequence = integer(fields.sequence, 'update.sequence', 1)
  const prev = integer(fields.prev, 'update.prev', 0, sequence - 1)
  const head = fields.head === undefined ? null : readHead(fields.head, 'update.head')
  if (head === null && prev === 0) throw new ShapeError('update.head', 'a head, since it builds on nothing')
  if (head !== null && encodeHead(head).length > NODE_HEAD_BYTES_MAX) {
    throw new ShapeError('update.head', `at most ${NODE_HEAD_BYTES_MAX} bytes`)
  }
  const update: NodeUpdate = {
    node,
    prev,
    sequence,
    issuedAtMs: integer(fields.issuedAt, 'update.issuedAt'),
    ttlMs: integer(fields.ttl, 'update.ttl', 1, TTL_MS_MAX),
    head,
    set: rows(fields.set, 'update.set', NODE_MANIFEST_ENTRIES_MAX, readEntry, (entry) => entry.shard),
    unset: rows(fields.unset, 'update.unset', NODE_MANIFEST_ENTRIES_MAX, readShardKey, (shard) => shard),
    refute: rows(fields.refute, 'update.refute', NODE_MANIFEST_ENTRIES_MAX, readRefutation, refutationKey),
    unrefute: rows(
      fields.unrefute,
      'update.unrefute',
      NODE_MANIFEST_ENTRIES_MAX,
      readRefutation,
      refutationKey,
    ),
    audits: rows(fields.audits, 'update.audits', NODE_MANIFEST_AUDITS_MAX, readAudit, pairKey),
    unaudit: rows(fields.unaudit, 'update.unaudit', NODE_MANIFEST_AUDITS_MAX, readAuditPair, pairKey),
    digest: bytes(fields.digest, 'update.digest', HASH_BYTES),
  }
  refuseBoth(update.set, update.unset, 'update.unset', (entry) => entry.shard, String)
  refuseBoth(update.refute, update.unrefute, 'update.unrefute', refutationKey, refutationKey)
  refuseBoth(update.audits, update.unaudit, 'update.unaudit', pairKey, pairKey)
  return update
}

/** An absent list is the empty one; one that is there has rows, each key once, in order. */
function rows<T>(
  value: unknown,
  path: string,
  lengthMax: number,
  item: Reader<T>,
  key: (row: T) => string,
): readonly T[] {
  if (value === undefined) return NONE
  const read = list(value, path, lengthMax, item)
  if (read.length === 0) throw new ShapeError(path, 'rows, or no such field')
  let last = ''
  for (const row of read) {
    const next = key(row)
    if (next <= last) throw new ShapeError(path, 'each key once, in order')
    last = next
  }
  return read
}

const NONE: readonly never[] = []

/** One update does not say and unsay the same. */
function refuseBoth<S, U>(
  said: readonly S[],
  unsaid: readonly U[],
  path: string,
  keyOfSaid: (row: S) => string,
  keyOfUnsaid: (row: U) => string,
): void {
  if (said.length === 0 || unsaid.length === 0) return
  const keys = new Set(said.map(keyOfSaid))
  for (const row of unsaid) {
    const key = keyOfUnsaid(row)
    if (keys.has(key)) throw new ShapeError(`${path}.${key}`, 'what this update does not set')
  }
}

/**
 * The state digest of a node (PROTOCOL 4): a hash tree over its head and 256 buckets of rows. A row lies in the bucket that the
 * first byte of sha256(shard key) names, so two who disagree find the rows that differ without comparing all of them, and
 * a change hashes one bucket, its group of 16 and the root.
 *
 *     bucket = sha256(dag-cbor of [entries, refutations, audits], each sorted), 32 zero bytes when there is no row
 *     group  = sha256(its 16 buckets)
 *     digest = sha256(sha256(head) || 16 groups)
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, equalBytes, utf8ToBytes } from '../codec/bytes.ts'
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import { list, ShapeError } from '../codec/shape.ts'
import type { ShardKey } from '../ids.ts'
import { BUCKET_ROWS_MAX, STREAM_MESSAGE_BYTES_MAX } from '../limits.ts'
import {
  type AuditRecord,
  auditKey,
  auditToValue,
  type Entry,
  entryToValue,
  type Refutation,
  readAudit,
  readEntry,
  readRefutation,
  refutationKey,
  refutationToValue,
  tuple,
} from './entry.ts'

export const BUCKETS = 256
export const HASH_BYTES = 32
const GROUP_BUCKETS = 16
const GROUPS = BUCKETS / GROUP_BUCKETS

/** Rows in order of their keys, with their one encoding. Immutable. */
export interface Bucket {
  readonly entries: readonly Entry[]
  readonly refuted: readonly Refutation[]
  readonly audits: readonly AuditRecord[]
  /** The rows as dag-cbor; empty when there are none. */
  readonly bytes: Uint8Array
  readonly hash: Uint8Array
}

export interface DigestTree {
  /** sha256 of the encoded head. */
  readonly headHash: Uint8Array
  readonly groups: readonly Group[]
  readonly digest: Uint8Array
}

interface Group {
  readonly buckets: readonly Bucket[]
  readonly hash: Uint8Array
}

export const EMPTY_BUCKET: Bucket = {
  entries: [],
  refuted: [],
  audits: [],
  bytes: new Uint8Array(),
  hash: new Uint8Array(HASH_BYTES),
}

const EMPTY_GROUP = groupOf(new Array<Bucket>(GROUP_BUCKETS).fill(EMPTY_BUCKET))

/** Number of the bucket, 0..255, that a shard's rows lie in. */
export function bucketOf(shard: ShardKey): number {
  let number = bucketNumbers.get(shard)
  if (number === undefined) {
    number = sha256(utf8ToBytes(shard))[0] ?? 0
    if (bucketNumbers.size >= BUCKET_NUMBERS_MAX) bucketNumbers.clear()
    bucketNumbers.set(shard, number)
  }
  return number
}
/** Remembered, since each row of each update asks for its own again. */
const bucketNumbers = new Map<ShardKey, number>()
const BUCKET_NUMBERS_MAX = 50_000

/** Null when the rows are more than a bucket may have. */
export function makeBucket(
  entries: Iterable<Entry>,
  refuted: Iterable<Refutation>,
  audits: Iterable<AuditRecord>,
): Bucket | null {
  const rows = {
    entries: [...entries].sort(by((entry) => entry.shard)),
    refuted: [...refuted].sort(by(refutationKey)),
    audits: [...audits].sort(by((audit) => auditKey(audit.shard, audit.node))),
  }
  const count = rows.entries.length + rows.refuted.length + rows.audits.length
  if (count === 0) return EMPTY_BUCKET
  if (count > BUCKET_ROWS_MAX) return null
  const bytes = encodeCbor([
    rows.entries.map(entryToValue),
    rows.refuted.map(refutationToValue),
    rows.audits.map(auditToValue),
  ])
  return { ...rows, bytes, hash: sha256(bytes) }
}

/** Null when the bytes are not the bucket that the hash names. Throws ShapeError when they are, but are no bucket. */
export function openBucket(bytes: Uint8Array, number: number, hash: Uint8Array): Bucket | null {
  if (bytes.length > STREAM_MESSAGE_BYTES_MAX || !equalBytes(hashOfBytes(bytes), hash)) return null
  return decodeBucket(bytes, number)
}

/** Throws ShapeError, also for rows that belong elsewhere and for any but the one encoding. */
export function decodeBucket(bytes: Uint8Array, number: number): Bucket {
  if (bytes.length === 0) return EMPTY_BUCKET
  const value = tuple(decodeCbor(bytes, 'bucket', STREAM_MESSAGE_BYTES_MAX), 'bucket', 3)
  const entries = list(value[0], 'bucket.entries', BUCKET_ROWS_MAX, readEntry)
  const refuted = list(value[1], 'bucket.refuted', BUCKET_ROWS_MAX, readRefutation)
  const audits = list(value[2], 'bucket.audits', BUCKET_ROWS_MAX, readAudit)
  for (const { shard } of [...entries, ...refuted, ...audits]) {
    if (bucketOf(shard) !== number) throw new ShapeError(`bucket.${shard}`, `a shard of bucket ${number}`)
  }
  const bucket = makeBucket(
    new Map(entries.map((entry) => [entry.shard, entry])).values(),
    new Map(refuted.map((one) => [refutationKey(one), one])).values(),
    new Map(audits.map((audit) => [auditKey(audit.shard, audit.node), audit])).values(),
  )
  if (bucket === null) throw new ShapeError('bucket', `at most ${BUCKET_ROWS_MAX} rows`)
  // Whoever hands these rows on encodes them again: that must give the same hash.
  if (bucket === EMPTY_BUCKET || !equalBytes(bucket.bytes, bytes)) {
    throw new ShapeError('bucket', 'sorted rows in canonical dag-cbor')
  }
  return bucket
}

/** `buckets` are all 256. */
export function makeTree(headHash: Uint8Array, buckets: readonly Bucket[]): DigestTree {
  const groups: Group[] = []
  for (let start = 0; start < BUCKETS; start += GROUP_BUCKETS) {
    const some = buckets.slice(start, start + GROUP_BUCKETS)
    groups.push(some.every((bucket) => bucket === EMPTY_BUCKET) ? EMPTY_GROUP : groupOf(some))
  }
  return treeOf(headHash, groups)
}

export function emptyTree(headHash: Uint8Array): DigestTree {
  return treeOf(headHash, new Array<Group>(GROUPS).fill(EMPTY_GROUP))
}

/** The tree with other buckets in some places; hashes these, their groups and the root only. */
export function replaceBuckets(
  tree: DigestTree,
  headHash: Uint8Array,
  buckets: ReadonlyMap<number, Bucket>,
): DigestTree {
  const changed = new Map<number, Bucket[]>()
  for (const [number, bucket] of buckets) {
    const at = Math.floor(number / GROUP_BUCKETS)
    const group = changed.get(at) ?? [...groupAt(tree, at).buckets]
    group[number % GROUP_BUCKETS] = bucket
    changed.set(at, group)
  }
  const groups = [...tree.groups]
  for (const [at, group] of changed) groups[at] = groupOf(group)
  return treeOf(headHash, groups)
}

export function bucketAt(tree: DigestTree, number: number): Bucket {
  return groupAt(tree, Math.floor(number / GROUP_BUCKETS)).buckets[number % GROUP_BUCKETS] ?? EMPTY_BUCKET
}

/** Buckets that have rows, by number. */
export function* filledBuckets(tree: DigestTree): Generator<[number: number, bucket: Bucket]> {
  for (const [at, group] of tree.groups.entries()) {
    if (group === EMPTY_GROUP) continue
    for (const [i, bucket] of group.buckets.entries()) {
      if (bucket.bytes.length > 0) yield [at * GROUP_BUCKETS + i, bucket]
    }
  }
}

/** Numbers of the buckets whose rows differ. */
export function differingBuckets(a: DigestTree, b: DigestTree): number[] {
  const out: number[] = []
  for (let at = 0; at < GROUPS; at++) {
    const ours = groupAt(a, at)
    const theirs = groupAt(b, at)
    if (ours === theirs || equalBytes(ours.hash, theirs.hash)) continue
    for (let i = 0; i < GROUP_BUCKETS; i++) {
      const one = ours.buckets[i] ?? EMPTY_BUCKET
      const other = theirs.buckets[i] ?? EMPTY_BUCKET
      if (one !== other && !equalBytes(one.hash, other.hash)) out.push(at * GROUP_BUCKETS + i)
    }
  }
  return out
}

/** All bucket hashes in a row, 8,192 bytes. */
export function bucketHashes(tree: DigestTree): Uint8Array {
  return concatBytes(...tree.groups.flatMap((group) => group.buckets.map((bucket) => bucket.hash)))
}

/** The digest that these 8,192 bytes of bucket hashes and this head give. */
export function digestOfHashes(headHash: Uint8Array, hashes: Uint8Array): Uint8Array {
  const parts = [headHash]
  const step = GROUP_BUCKETS * HASH_BYTES
  for (let start = 0; start < hashes.length; start += step) {
    parts.push(sha256(hashes.subarray(start, start + step)))
  }
  return sha256(concatBytes(...parts))
}

function hashOfBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length === 0 ? EMPTY_BUCKET.hash : sha256(bytes)
}

function groupAt(tree: DigestTree, at: number): Group {
  return tree.groups[at] ?? EMPTY_GROUP
}

function groupOf(buckets: readonly Bucket[]): Group {
  return { buckets, hash: sha256(concatBytes(...buckets.map((bucket) => bucket.hash))) }
}

function treeOf(headHash: Uint8Array, groups: readonly Group[]): DigestTree {
  const digest = sha256(concatBytes(headHash, ...groups.map((group) => group.hash)))
  return { headHash, groups, digest }
}

/** Keys are ASCII, so text order is raw-byte order. */
export function by<T>(key: (row: T) => string): (a: T, b: T) => number {
  return (a, b) => {
    const first = key(a)
    const second = key(b)
    return first < second ? -1 : first > second ? 1 : 0
  }
}

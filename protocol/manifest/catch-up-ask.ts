/**
 * The asker's side of the request protocol `manifest` (PROTOCOL 4), without I/O: a conversation gives requests and is given the
 * answers. Whoever runs it, a node over streams or a simulator, may be told other news between two of them.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { equalBytes } from '../codec/bytes.ts'
import { ShapeError } from '../codec/shape.ts'
import type { NodeId } from '../ids.ts'
import { LEDGER_NODES_MAX, NODE_MANIFEST_AUDITS_MAX, NODE_MANIFEST_ENTRIES_MAX } from '../limits.ts'
import {
  BUCKETS,
  type Bucket,
  bucketAt,
  decodeBucket,
  digestOfHashes,
  EMPTY_BUCKET,
  HASH_BYTES,
  openBucket,
} from './bucket-digest.ts'
import {
  decodeBuckets,
  decodeHeads,
  decodeParcels,
  encodeRequest,
  GET_MAX,
  type NumberedBucket,
  type Parcel,
} from './catch-up.ts'
import { type Head, summaryOf } from './heads.ts'
import { decodeHead } from './node-head.ts'
import type { Heard, RecordBook } from './record-book.ts'

/** Gives requests, takes their answers. Throws ShapeError when the peer answers what no honest peer would. */
export type Conversation<T> = Generator<Uint8Array, T, Uint8Array>

export interface Asking {
  readonly book: RecordBook
  readonly nowMs: () => number
  /** Told of every update that came, in order. */
  readonly heard: (heard: Heard) => void
}

/**
 * Compares heads with a peer and takes what is newer there. `everything`: without a summary, so that nothing stays hidden
 * behind one.
 */
export function* compareWith(asking: Asking, everything: boolean): Conversation<void> {
  const { book } = asking
  const summary = everything ? null : summaryOf(book.records())
  const wanted: NodeId[] = []
  for (let after = '', more = true; more && wanted.length < LEDGER_NODES_MAX; ) {
    const answer = decodeHeads(yield encodeRequest({ kind: 'heads', after, summary }))
    for (const head of answer.heads) {
      if (head.node <= after) throw new ShapeError('answer.heads', 'nodes in order')
      after = head.node
      if (isNews(book, head)) wanted.push(head.node)
    }
    more = answer.more && answer.heads.length > 0
  }
  yield* takeFrom(asking, wanted)
}

/** Takes what a peer has of these nodes, but for those that are pulled from somebody else just now. */
export function* takeFrom(asking: Asking, nodes: readonly NodeId[]): Conversation<void> {
  const { book } = asking
  const mine = nodes.filter((node) => book.startPull(node))
  try {
    for (let start = 0; start < mine.length; ) {
      const asked = mine.slice(start, start + GET_MAX)
      const wanted = asked.map((node) => ({ node, digest: book.get(node)?.digest ?? null }))
      const parcels = decodeParcels(yield encodeRequest({ kind: 'get', wanted }))
      if (parcels.length === 0 || parcels.length > asked.length) {
        throw new ShapeError('answer', `1 to ${asked.length} parcels`)
      }
      for (const [i, parcel] of parcels.entries()) {
        const node = asked[i]
        if (parcel !== null && node !== undefined) yield* takeParcel(asking, node, parcel)
      }
      start += parcels.length
    }
  } finally {
    for (const node of mine) book.endPull(node)
  }
}

/** Newer, or another state under the same sequence: then its node contradicts itself. */
function isNews(book: RecordBook, head: Head): boolean {
  const known = book.get(head.node)
  if (known === undefined || head.sequence > known.sequence) return true
  return head.sequence === known.sequence && !equalBytes(head.digest, known.digest)
}

function* takeParcel(asking: Asking, node: NodeId, parcel: Parcel): Conversation<void> {
  const { book, nowMs, heard } = asking
  const first = book.hear(parcel.sealed, nowMs())
  heard(first)
  if (first.kind === 'refused') throw new ShapeError('answer.sealed', `a sealed update (${first.code})`)
  if (first.kind !== 'gap' || parcel.head === undefined) return
  const { update, sealed } = first
  if (update.node !== node) throw new ShapeError('answer.sealed', `an update of ${node}`)
  const buckets =
    parcel.hashes === undefined
      ? wholeState(parcel.buckets ?? [])
      : yield* takeBuckets(asking, first, parcel.head, parcel.hashes)
  if (buckets === null) return
  const second = book.complete(update, sealed, decodeHead(parcel.head), buckets, nowMs())
  heard(second)
  if (second.kind === 'refused') throw new ShapeError('answer', 'the state that the update signs')
}

function wholeState(given: readonly NumberedBucket[]): Bucket[] {
  const buckets = new Array<Bucket>(BUCKETS).fill(EMPTY_BUCKET)
  for (const { number, bytes } of given) buckets[number] = decodeBucket(bytes, number)
  return buckets
}

/** Asks for the buckets that differ from ours; null when the peer went on to another update meanwhile. */
function* takeBuckets(
  asking: Asking,
  { update }: Extract<Heard, { kind: 'gap' }>,
  head: Uint8Array,
  hashes: Uint8Array,
): Conversation<Bucket[] | null> {
  if (!equalBytes(digestOfHashes(sha256(head), hashes), update.digest)) {
    throw new ShapeError('answer.hashes', 'the hashes that the update signs')
  }
  const { node, sequence } = update
  const hashAt = (number: number) => hashes.subarray(number * HASH_BYTES, (number + 1) * HASH_BYTES)
  const ours = asking.book.get(node)?.tree
  const buckets = new Array<Bucket>(BUCKETS).fill(EMPTY_BUCKET)
  const missing = new Set<number>()
  for (let number = 0; number < BUCKETS; number++) {
    const known = ours === undefined ? EMPTY_BUCKET : bucketAt(ours, number)
    if (equalBytes(known.hash, hashAt(number))) buckets[number] = known
    else if (!equalBytes(EMPTY_BUCKET.hash, hashAt(number))) missing.add(number)
  }
  let rows = 0
  while (missing.size > 0) {
    const request = { kind: 'buckets', node, sequence, numbers: [...missing] } as const
    const given = decodeBuckets(yield encodeRequest(request))
    if (given.length === 0) return null
    for (const { number, bytes } of given) {
      const bucket = missing.delete(number) ? openBucket(bytes, number, hashAt(number)) : null
      if (bucket === null) throw new ShapeError('answer.buckets', 'the buckets that were asked for')
      buckets[number] = bucket
      rows += bucket.entries.length + bucket.refuted.length + bucket.audits.length
    }
    if (rows > NODE_MANIFEST_ENTRIES_MAX + NODE_MANIFEST_AUDITS_MAX) {
      throw new ShapeError('answer.buckets', 'no more than a node may say')
    }
  }
  return buckets
}

/** The asked one's side of the request protocol `manifest` (PROTOCOL 4). Every answer is below 1 MiB. */
import { equalBytes } from '../codec/bytes.ts'
import type { NodeId } from '../ids.ts'
import { type Bucket, bucketAt, bucketHashes, filledBuckets } from './bucket-digest.ts'
import {
  ANSWER_BYTES_MAX,
  type CatchUpRequest,
  decodeRequest,
  encodeBuckets,
  encodeHeads,
  encodeParcels,
  HEADS_MAX,
  type NumberedBucket,
  type Parcel,
  type Wanted,
} from './catch-up.ts'
import { headsBehind } from './heads.ts'
import { encodeHead } from './node-head.ts'
import type { NodeRecord } from './node-record.ts'

/** Where the asked one finds what it knows. */
export interface Records {
  get(node: NodeId): NodeRecord | undefined
  records(): Iterable<NodeRecord>
}

/** A whole state goes at once to who has none of it, up to this; */
const WHOLE_BYTES_MAX = 256 * 1024
/** and up to the size of its hashes to who has another. */
const WHOLE_BYTES_MAX_IF_KNOWN = 8_192
/** Heads of lists and keys around a part of an answer. */
const FRAME_BYTES = 32

/** Throws ShapeError for a request of another form. */
export function answerCatchUp(message: Uint8Array, known: Records): Uint8Array {
  const request = decodeRequest(message)
  switch (request.kind) {
    case 'heads': {
      const heads = headsBehind(known.records(), request.summary, request.after)
      return encodeHeads({ heads: heads.slice(0, HEADS_MAX), more: heads.length > HEADS_MAX })
    }
    case 'get':
      return encodeParcels(asManyAsFit(request.wanted, (wanted) => parcelFor(wanted, known), parcelBytes))
    case 'buckets':
      return encodeBuckets(bucketsFor(request, known.get(request.node)))
  }
}

function parcelFor({ node, digest }: Wanted, known: Records): Parcel | null {
  const record = known.get(node)
  if (record === undefined) return null
  const { sealed, tree } = record
  if (digest !== null && equalBytes(digest, record.digest)) return { sealed }
  const head = encodeHead(record.head)
  const buckets: NumberedBucket[] = []
  let size = 0
  for (const [number, { bytes }] of filledBuckets(tree)) {
    buckets.push({ number, bytes })
    size += bytes.length + FRAME_BYTES
  }
  const sizeMax = digest === null ? WHOLE_BYTES_MAX : WHOLE_BYTES_MAX_IF_KNOWN
  return size <= sizeMax ? { sealed, head, buckets } : { sealed, head, hashes: bucketHashes(tree) }
}

function parcelBytes(parcel: Parcel | null): number {
  if (parcel === null) return 1
  const { sealed, head, buckets = [], hashes } = parcel
  const rows = buckets.reduce((sum, { bytes }) => sum + bytes.length + FRAME_BYTES, 0)
  return sealed.length + (head?.length ?? 0) + (hashes?.length ?? 0) + rows + 2 * FRAME_BYTES
}

function bucketsFor(
  request: Extract<CatchUpRequest, { kind: 'buckets' }>,
  record: NodeRecord | undefined,
): NumberedBucket[] {
  if (record === undefined || record.sequence !== request.sequence) return []
  const bucket = (number: number): Bucket => bucketAt(record.tree, number)
  const numbers = [...new Set(request.numbers)].filter((number) => bucket(number).bytes.length > 0)
  return asManyAsFit(
    numbers,
    (number) => ({ number, bytes: bucket(number).bytes }),
    ({ bytes }) => bytes.length + FRAME_BYTES,
  )
}

/** At least one: a parcel or a bucket alone always fits. */
function asManyAsFit<T, U>(items: readonly T[], make: (item: T) => U, sizeOf: (made: U) => number): U[] {
  const out: U[] = []
  let size = 0
  for (const item of items) {
    const made = make(item)
    size += sizeOf(made)
    if (size > ANSWER_BYTES_MAX && out.length > 0) break
    out.push(made)
  }
  return out
}

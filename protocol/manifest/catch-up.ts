/**
 * The messages of the request protocol `manifest` (PROTOCOL 4): asking a peer for what it knows of whom. Nothing in an answer is
 * believed for its sender's sake: the digest that each node signed names the rows.
 */
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import {
  boolean,
  bytes,
  integer,
  list,
  optional,
  type Reader,
  record,
  ShapeError,
  text,
} from '../codec/shape.ts'
import type { NodeId } from '../ids.ts'
import { NODE_HEAD_BYTES_MAX, NODE_UPDATE_BYTES_MAX, STREAM_MESSAGE_BYTES_MAX } from '../limits.ts'
import { BUCKETS, HASH_BYTES } from './bucket-digest.ts'
import { readNodeId, tuple } from './entry.ts'
import { type Head, SUMMARY_BYTES } from './heads.ts'

/** Nodes asked for in one request. */
export const GET_MAX = 256
/** A head takes about 105 bytes. */
export const HEADS_MAX = 8_192
/** Of an answer, so that its own frame fits too. */
export const ANSWER_BYTES_MAX = STREAM_MESSAGE_BYTES_MAX - 8_192
export const REQUEST_BYTES_MAX = 32_768

export type CatchUpRequest =
  /** Heads in the groups where our summary differs; without one all. From the first behind `after`. */
  | { readonly kind: 'heads'; readonly after: string; readonly summary: Uint8Array | null }
  /** The newest of these nodes; the digest is of what the asker has, null when it has nothing. */
  | { readonly kind: 'get'; readonly wanted: readonly Wanted[] }
  /** Buckets of the state that an update left; nothing when the asked one has another update by now. */
  | {
      readonly kind: 'buckets'
      readonly node: NodeId
      readonly sequence: number
      readonly numbers: readonly number[]
    }

export interface Wanted {
  readonly node: NodeId
  readonly digest: Uint8Array | null
}

export interface HeadsAnswer {
  readonly heads: readonly Head[]
  /** There are more behind the last. */
  readonly more: boolean
}

export interface NumberedBucket {
  readonly number: number
  readonly bytes: Uint8Array
}

/** What a peer has of one node. With neither buckets nor hashes when the asker has that state already. */
export interface Parcel {
  readonly sealed: Uint8Array
  /** dag-cbor of the head. */
  readonly head?: Uint8Array | undefined
  /** All that are not empty. */
  readonly buckets?: readonly NumberedBucket[] | undefined
  /** Of all 256 buckets, when these are many bytes. */
  readonly hashes?: Uint8Array | undefined
}

export function encodeRequest(request: CatchUpRequest): Uint8Array {
  switch (request.kind) {
    case 'heads':
      return encodeCbor({
        heads: request.after,
        ...(request.summary === null ? {} : { summary: request.summary }),
      })
    case 'get':
      return encodeCbor({ get: request.wanted.map(({ node, digest }) => [node, digest]) })
    case 'buckets':
      return encodeCbor({ node: request.node, sequence: request.sequence, buckets: request.numbers })
  }
}

/** Throws ShapeError. */
export function decodeRequest(message: Uint8Array): CatchUpRequest {
  const value = decodeCbor(message, 'request', REQUEST_BYTES_MAX)
  const { heads, get } = record(value, 'request')
  if (heads !== undefined) {
    const fields = record(value, 'request', ['heads', 'summary'])
    const summary = optional(fields.summary, 'request.summary', (item, at) => bytes(item, at, SUMMARY_BYTES))
    return { kind: 'heads', after: text(heads, 'request.heads', 64), summary: summary ?? null }
  }
  if (get !== undefined) {
    const fields = record(value, 'request', ['get'])
    return { kind: 'get', wanted: list(fields.get, 'request.get', GET_MAX, readWanted) }
  }
  const fields = record(value, 'request', ['node', 'sequence', 'buckets'])
  return {
    kind: 'buckets',
    node: readNodeId(fields.node, 'request.node'),
    sequence: integer(fields.sequence, 'request.sequence', 1),
    numbers: list(fields.buckets, 'request.buckets', BUCKETS, readNumber),
  }
}

export function encodeHeads(answer: HeadsAnswer): Uint8Array {
  const heads = answer.heads.map(({ node, sequence, digest }) => [node, sequence, digest])
  return encodeCbor({ heads, more: answer.more })
}

/** Throws ShapeError. */
export function decodeHeads(message: Uint8Array): HeadsAnswer {
  const fields = record(decode(message), 'answer', ['heads', 'more'])
  return {
    heads: list(fields.heads, 'answer.heads', HEADS_MAX, readHead),
    more: boolean(fields.more, 'answer.more'),
  }
}

/** In the order asked for, as many as fit; null for a node that is not known. */
export function encodeParcels(parcels: readonly (Parcel | null)[]): Uint8Array {
  return encodeCbor(
    parcels.map((parcel) => {
      if (parcel === null) return null
      const { sealed, head, buckets, hashes } = parcel
      return {
        sealed,
        ...(head === undefined ? {} : { head }),
        ...(buckets === undefined ? {} : { buckets: buckets.map(bucketToValue) }),
        ...(hashes === undefined ? {} : { hashes }),
      }
    }),
  )
}

/** Throws ShapeError. */
export function decodeParcels(message: Uint8Array): (Parcel | null)[] {
  return list(decode(message), 'answer', GET_MAX, (value, path) =>
    value === null ? null : readParcel(value, path),
  )
}

export function encodeBuckets(buckets: readonly NumberedBucket[]): Uint8Array {
  return encodeCbor(buckets.map(bucketToValue))
}

/** Throws ShapeError. */
export function decodeBuckets(message: Uint8Array): NumberedBucket[] {
  return list(decode(message), 'answer', BUCKETS, readBucket)
}

function decode(message: Uint8Array): unknown {
  return decodeCbor(message, 'answer', STREAM_MESSAGE_BYTES_MAX)
}

function bucketToValue({ number, bytes: rows }: NumberedBucket): unknown[] {
  return [number, rows]
}

const readNumber: Reader<number> = (value, path) => integer(value, path, 0, BUCKETS - 1)
const readDigest: Reader<Uint8Array> = (value, path) => bytes(value, path, HASH_BYTES)

const readWanted: Reader<Wanted> = (value, path) => {
  const [node, digest] = tuple(value, path, 2)
  return {
    node: readNodeId(node, `${path}.node`),
    digest: digest === null ? null : readDigest(digest, `${path}.digest`),
  }
}

const readHead: Reader<Head> = (value, path) => {
  const [node, sequence, digest] = tuple(value, path, 3)
  return {
    node: readNodeId(node, `${path}.node`),
    sequence: integer(sequence, `${path}.sequence`, 1),
    digest: readDigest(digest, `${path}.digest`),
  }
}

const readBucket: Reader<NumberedBucket> = (value, path) => {
  const [number, rows] = tuple(value, path, 2)
  return {
    number: readNumber(number, `${path}.number`),
    bytes: bytes(rows, `${path}.rows`, 1, STREAM_MESSAGE_BYTES_MAX),
  }
}

const readParcel: Reader<Parcel> = (value, path) => {
  const fields = record(value, path, ['sealed', 'head', 'buckets', 'hashes'])
  const parcel = {
    sealed: bytes(fields.sealed, `${path}.sealed`, 1, NODE_UPDATE_BYTES_MAX),
    head: optional(fields.head, `${path}.head`, (item, at) => bytes(item, at, 1, NODE_HEAD_BYTES_MAX)),
    buckets: optional(fields.buckets, `${path}.buckets`, (item, at) => list(item, at, BUCKETS, readBucket)),
    hashes: optional(fields.hashes, `${path}.hashes`, (item, at) => bytes(item, at, BUCKETS * HASH_BYTES)),
  }
  const given = [parcel.buckets, parcel.hashes].filter((one) => one !== undefined).length
  if (given !== (parcel.head === undefined ? 0 : 1)) {
    throw new ShapeError(path, 'a head with buckets or with hashes, or none of these')
  }
  return parcel
}

/**
 * The libp2p signed envelope (libp2p specs, RFC 0002), in its one canonical form: a protobuf with the fields
 * public_key = 1, payload_type = 2, payload = 3, signature = 5, each present, once, in this order, lengths in minimal
 * varints, Ed25519 only. Whatever else a lenient protobuf reader would take is malformed here, so that the same claim
 * cannot travel under several encodings.
 */
import { concatBytes, equalBytes, utf8ToBytes } from '../codec/bytes.ts'
import type { NodeId } from '../ids.ts'
import { decodePublicKey, encodePublicKey, nodeIdFromPublicKey } from './node-key.ts'

export { nodeIdFromPublicKey, publicKeyFromNodeId } from './node-key.ts'

export const SIGNATURE_BYTES = 64
const PAYLOAD_TYPE_BYTES_MAX = 256
/** A length of four varint bytes is below 256 MiB, more than any bound of ours. */
const VARINT_BYTES_MAX = 4

// Protobuf tags: field number << 3 | 2 (length-delimited).
const TAG_PUBLIC_KEY = 0x0a
const TAG_PAYLOAD_TYPE = 0x12
const TAG_PAYLOAD = 0x1a
const TAG_SIGNATURE = 0x2a

export interface Envelope {
  /** 32 raw bytes. */
  readonly publicKey: Uint8Array
  /** Text, or the bytes of a multicodec as libp2p's own records have it. 1..256 bytes. */
  readonly payloadType: string | Uint8Array
  /** At least one byte. */
  readonly payload: Uint8Array
  /** 64 bytes over `signedBytes`. */
  readonly signature: Uint8Array
}

/** The sealed bytes. Throws TypeError or RangeError when a part has not the form that `Envelope` says. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const payloadType = typeBytes(envelope.payloadType)
  if (envelope.payload.length === 0) throw new RangeError('envelope: empty payload')
  if (envelope.signature.length !== SIGNATURE_BYTES)
    throw new RangeError('envelope: a signature has 64 bytes')
  return concatBytes(
    ...field(TAG_PUBLIC_KEY, encodePublicKey(envelope.publicKey)),
    ...field(TAG_PAYLOAD_TYPE, payloadType),
    ...field(TAG_PAYLOAD, envelope.payload),
    ...field(TAG_SIGNATURE, envelope.signature),
  )
}

/** What the key signs: domain, type and payload, each behind its length as a varint. The domain is never sent. */
export function signedBytes(
  domain: string,
  payloadType: string | Uint8Array,
  payload: Uint8Array,
): Uint8Array {
  const parts = [utf8ToBytes(domain), typeBytes(payloadType), payload]
  return concatBytes(...parts.flatMap((part) => [varint(part.length), part]))
}

export type EnvelopeErrorCode = 'too-large' | 'malformed' | 'wrong-type' | 'bad-signature'

export type Opened =
  | {
      readonly ok: true
      readonly nodeId: NodeId
      readonly publicKey: Uint8Array
      readonly payload: Uint8Array
    }
  | { readonly ok: false; readonly code: EnvelopeErrorCode }

export interface OpenOptions {
  readonly domain: string
  readonly payloadType: string | Uint8Array
  /** RFC 8032 Ed25519; gets 32, n and 64 bytes. Must not throw. */
  readonly verify: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean
  readonly bytesMax: number
}

/**
 * Size, form, type and signature, in this order; only then is there a payload to decode (PROTOCOL 3). `publicKey` and
 * `payload` are views into `bytes`, which must not be changed afterwards.
 */
export function openEnvelope(bytes: Uint8Array, options: OpenOptions): Opened {
  if (bytes.length > options.bytesMax) return { ok: false, code: 'too-large' }
  const parts = parse(bytes)
  if (parts === null) return { ok: false, code: 'malformed' }
  const { publicKey, payloadType, payload, signature } = parts
  if (!equalBytes(payloadType, typeBytes(options.payloadType))) return { ok: false, code: 'wrong-type' }
  const message = signedBytes(options.domain, payloadType, payload)
  if (!options.verify(publicKey, message, signature)) return { ok: false, code: 'bad-signature' }
  return { ok: true, nodeId: nodeIdFromPublicKey(publicKey), publicKey, payload }
}

interface Parts {
  readonly publicKey: Uint8Array
  readonly payloadType: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
}

function parse(bytes: Uint8Array): Parts | null {
  let offset = 0
  const next = (tag: number): Uint8Array | null => {
    if (bytes[offset] !== tag) return null
    const length = readVarint(bytes, offset + 1)
    if (length === null || length.value === 0) return null
    const end = length.end + length.value
    if (end > bytes.length) return null
    offset = end
    return bytes.subarray(length.end, end)
  }
  const key = next(TAG_PUBLIC_KEY)
  const publicKey = key === null ? null : decodePublicKey(key)
  const payloadType = publicKey === null ? null : next(TAG_PAYLOAD_TYPE)
  const payload = payloadType === null ? null : next(TAG_PAYLOAD)
  const signature = payload === null ? null : next(TAG_SIGNATURE)
  if (publicKey === null || payloadType === null || payload === null || signature === null) return null
  if (payloadType.length > PAYLOAD_TYPE_BYTES_MAX || signature.length !== SIGNATURE_BYTES) return null
  return offset === bytes.length ? { publicKey, payloadType, payload, signature } : null
}

function typeBytes(payloadType: string | Uint8Array): Uint8Array {
  const bytes = typeof payloadType === 'string' ? utf8ToBytes(payloadType) : payloadType
  if (bytes.length === 0 || bytes.length > PAYLOAD_TYPE_BYTES_MAX) {
    throw new RangeError(`envelope: a payload type has 1..${PAYLOAD_TYPE_BYTES_MAX} bytes`)
  }
  return bytes
}

function field(tag: number, value: Uint8Array): Uint8Array[] {
  return [Uint8Array.of(tag), varint(value.length), value]
}

/** Unsigned LEB128, minimal. */
function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  if (bytes.length > VARINT_BYTES_MAX) throw new RangeError('envelope: a part of 256 MiB or more')
  return Uint8Array.from(bytes)
}

/** Null when it is cut short, too long or not minimal. */
function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } | null {
  let value = 0
  for (let i = 0; i < VARINT_BYTES_MAX; i++) {
    const byte = bytes[start + i]
    if (byte === undefined) return null
    value += (byte & 0x7f) * 2 ** (7 * i)
    // A last byte of zero after others means that a shorter form exists.
    if (byte < 0x80) return i > 0 && byte === 0 ? null : { value, end: start + i + 1 }
  }
  return null
}

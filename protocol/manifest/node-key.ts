/**
 * A node's Ed25519 public key and its libp2p peer id (libp2p peer-ids spec): the key as protobuf, in an identity
 * multihash, in base58btc. So the key can be read back from the id.
 */
import { base58FromBytes, bytesFromBase58 } from '../codec/base58.ts'
import { bytesToHex, concatBytes, equalBytes } from '../codec/bytes.ts'
import type { NodeId } from '../ids.ts'

export const PUBLIC_KEY_BYTES = 32

/** Protobuf of a public key: type = Ed25519 (field 1), data = 32 bytes (field 2). */
const KEY_PREFIX = Uint8Array.of(0x08, 0x01, 0x12, PUBLIC_KEY_BYTES)
/** Identity multihash of 36 bytes. */
const MULTIHASH_PREFIX = Uint8Array.of(0x00, 0x24)

/**
 * Points of small order, the sign bit cleared. Under such a key anybody can sign, and verifiers disagree about it
 * (RFC 8032 strict against ZIP 215), so no node may have one.
 */
const SMALL_ORDER = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
])

/** 32 bytes, and not a point of small order. Whether they are on the curve is the verifier's affair. */
export function isPublicKey(bytes: Uint8Array): boolean {
  if (bytes.length !== PUBLIC_KEY_BYTES) return false
  const unsigned = bytes.slice()
  unsigned[31] = (unsigned[31] ?? 0) & 0x7f
  return !SMALL_ORDER.has(bytesToHex(unsigned))
}

/** 36 bytes: the libp2p protobuf of the key. Throws TypeError for bytes that are no public key. */
export function encodePublicKey(publicKey: Uint8Array): Uint8Array {
  if (!isPublicKey(publicKey)) throw new TypeError('not an Ed25519 public key')
  return concatBytes(KEY_PREFIX, publicKey)
}

/** The 32 raw bytes, or null for anything but the one canonical protobuf of an Ed25519 key. */
export function decodePublicKey(protobuf: Uint8Array): Uint8Array | null {
  if (protobuf.length !== KEY_PREFIX.length + PUBLIC_KEY_BYTES) return null
  if (!equalBytes(protobuf.subarray(0, KEY_PREFIX.length), KEY_PREFIX)) return null
  const publicKey = protobuf.subarray(KEY_PREFIX.length)
  return isPublicKey(publicKey) ? publicKey : null
}

/** `12D3KooW...`. Throws TypeError for bytes that are no public key. */
export function nodeIdFromPublicKey(publicKey: Uint8Array): NodeId {
  return base58FromBytes(concatBytes(MULTIHASH_PREFIX, encodePublicKey(publicKey))) as NodeId
}

/** The 32 raw bytes, or null when the id has the form of a node id but holds no usable key. */
export function publicKeyFromNodeId(nodeId: NodeId): Uint8Array | null {
  const bytes = bytesFromBase58(nodeId)
  if (bytes === null || !equalBytes(bytes.subarray(0, MULTIHASH_PREFIX.length), MULTIHASH_PREFIX)) return null
  return decodePublicKey(bytes.subarray(MULTIHASH_PREFIX.length))
}

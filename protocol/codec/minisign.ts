/**
 * minisign public keys and signature files (jedisct1/minisign, src/minisign.h). Verification wants an injected Ed25519;
 * BLAKE2b for the prehashed form `ED` comes from @noble, since WebCrypto has none.
 */
import { blake2b } from '@noble/hashes/blake2.js'
import { compareBytes, concatBytes, utf8FromBytes, utf8ToBytes } from './bytes.ts'

/** Files that we verify in this form are read into memory; larger ones carry hashes in a signed list. */
export const MINISIGN_SIGNATURE_BYTES_MAX = 10_240

export interface MinisignPublicKey {
  /** 8 bytes, random; a hint that says which key, never why to trust it. */
  readonly keyId: Uint8Array
  /** 32 raw bytes. */
  readonly publicKey: Uint8Array
}

export type MinisignFailure = 'not-a-signature' | 'other-key' | 'bad-signature' | 'bad-comment'
export type MinisignVerdict =
  | { readonly ok: true; readonly trustedComment: string }
  | { readonly ok: false; readonly code: MinisignFailure }

type VerifySignature = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean

const LEGACY = utf8ToBytes('Ed')
const PREHASHED = utf8ToBytes('ED')
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** Line 2 of a public key file: 56 characters of base64. */
export function encodeMinisignPublicKey(key: MinisignPublicKey): string {
  return base64Encode(concatBytes(LEGACY, key.keyId, key.publicKey))
}

/** Reads line 2 of a public key file, or a whole file; null when it is none. */
export function parseMinisignPublicKey(text: string): MinisignPublicKey | null {
  const line = text.startsWith('untrusted comment:') ? text.split(/\r?\n/)[1] : text.trim()
  const blob = line === undefined ? null : base64Decode(line, 42)
  if (blob === null || compareBytes(blob.subarray(0, 2), LEGACY) !== 0) return null
  return { keyId: blob.slice(2, 10), publicKey: blob.slice(10) }
}

/** Checks a `.minisig` file over bytes: algorithm, key id, signature, then the signature over the trusted comment. */
export function verifyMinisign(
  file: Uint8Array,
  signatureFile: Uint8Array,
  key: MinisignPublicKey,
  verify: VerifySignature,
): MinisignVerdict {
  const text = signatureFile.length > MINISIGN_SIGNATURE_BYTES_MAX ? null : utf8FromBytes(signatureFile)
  const lines = text?.split(/\r?\n/) ?? []
  const blob = base64Decode(lines[1] ?? '', 74)
  const global = base64Decode(lines[3] ?? '', 64)
  const comment = lines[2]
  if (
    !lines[0]?.startsWith('untrusted comment:') ||
    !comment?.startsWith('trusted comment: ') ||
    blob === null ||
    global === null
  ) {
    return { ok: false, code: 'not-a-signature' }
  }
  const algorithm = blob.subarray(0, 2)
  const prehashed = compareBytes(algorithm, PREHASHED) === 0
  if (!prehashed && compareBytes(algorithm, LEGACY) !== 0) return { ok: false, code: 'not-a-signature' }
  if (compareBytes(blob.subarray(2, 10), key.keyId) !== 0) return { ok: false, code: 'other-key' }
  const signature = blob.subarray(10)
  if (!verify(key.publicKey, prehashed ? blake2b(file) : file, signature))
    return { ok: false, code: 'bad-signature' }
  const trustedComment = comment.slice('trusted comment: '.length)
  if (!verify(key.publicKey, concatBytes(signature, utf8ToBytes(trustedComment)), global))
    return { ok: false, code: 'bad-comment' }
  return { ok: true, trustedComment }
}

/** RFC 4648 with padding; the lengths in use (42, 64, 74, 158) are known, so padding is checked by length. */
export function base64Encode(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const [a = 0, b = 0, c = 0] = bytes.subarray(i, i + 3)
    const group = (a << 16) | (b << 8) | c
    const characters = [18, 12, 6, 0].map((shift) => BASE64[(group >> shift) & 63] ?? '').join('')
    text += characters.slice(0, Math.min(4, bytes.length - i + 1)).padEnd(4, '=')
  }
  return text
}

/** Null when the text is not the canonical base64 of exactly this many bytes. */
export function base64Decode(text: string, lengthBytes: number): Uint8Array | null {
  if (text.length !== 4 * Math.ceil(lengthBytes / 3)) return null
  const bytes = new Uint8Array(lengthBytes)
  let at = 0
  for (let i = 0; i < text.length; i += 4) {
    let group = 0
    for (const character of text.slice(i, i + 4))
      group = (group << 6) | Math.max(0, BASE64.indexOf(character))
    for (const shift of [16, 8, 0]) if (at < lengthBytes) bytes[at++] = (group >> shift) & 255
  }
  return base64Encode(bytes) === text ? bytes : null
}

/** Ed25519 verification by node:crypto (OpenSSL: RFC 8032, canonical S). */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { isPublicKey } from '../../protocol/manifest/node-key.ts'

/** DER of a SubjectPublicKeyInfo for Ed25519 (RFC 8410), up to the key's 32 bytes. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const SIGNATURE_BYTES = 64

/** Never throws: false for a key, or a signature, of the wrong form. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isPublicKey(publicKey) || signature.length !== SIGNATURE_BYTES) return false
  return verify(null, message, publicKeyObject(publicKey), signature)
}

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
}

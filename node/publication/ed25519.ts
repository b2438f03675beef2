/** Raw Ed25519 by node:crypto: 32-byte keys as TUF, minisign and libp2p carry them (RFC 8032). */
import { createPublicKey, verify } from 'node:crypto'

/** DER of a SubjectPublicKeyInfo up to the raw key (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** False for a wrong signature and for what is no key or no signature at all. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  try {
    const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
    return verify(null, message, key, signature)
  } catch {
    return false
  }
}

/** TUF metadata as JSON (TUF 4.2): key, key id, time, signed envelope. tuf-js exports no writer for delegations, so it is plain. */
import { createHash } from 'node:crypto'
import { olpcJsonBytes } from '../../protocol/codec/olpc-json.ts'

export const SPEC_VERSION = '1.0.31'

interface Key {
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
}

export function tufKey(key: { readonly publicKey: Uint8Array }) {
  return {
    keytype: 'ed25519',
    scheme: 'ed25519',
    keyval: { public: Buffer.from(key.publicKey).toString('hex') },
  }
}

/** SHA-256 of the canonical key (TUF 4.2.1). */
export function keyId(key: { readonly publicKey: Uint8Array }): string {
  return createHash('sha256')
    .update(olpcJsonBytes(tufKey(key)))
    .digest('hex')
}

/** ISO 8601 in UTC without fractions of a second, as TUF wants it. Rounds down. */
export function tufTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** The bytes of a metadata file, signed by one key. Ed25519 and this form are deterministic: same input, same bytes. */
export function sealMetadata(signed: object, key: Key): Uint8Array {
  const sig = Buffer.from(key.sign(olpcJsonBytes(signed))).toString('hex')
  return Buffer.from(`${JSON.stringify({ signatures: [{ keyid: keyId(key), sig }], signed })}\n`)
}

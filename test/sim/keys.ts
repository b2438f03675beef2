/**
 * Names and signatures of simulated nodes. Ids are real peer ids of made-up keys. The signature is a stand-in, the only one
 * in the simulator: a keyed hash whose secret only its node's signer holds, so it is fast, and forging fails as it should.
 */
import { bytesToHex } from '../../protocol/codec/bytes.ts'
import type { NodeId } from '../../protocol/ids.ts'
import {
  encodeEnvelope,
  nodeIdFromPublicKey,
  SIGNATURE_BYTES,
  signedBytes,
} from '../../protocol/manifest/envelope.ts'
import { isPublicKey } from '../../protocol/manifest/node-key.ts'
import type { VerifySignature } from '../../protocol/manifest/trust.ts'
import type { Prng } from './prng.ts'

export interface NodeKey {
  readonly nodeId: NodeId
  readonly publicKey: Uint8Array
  /** Domain, type and payload in an envelope, signed by this key. */
  seal(domain: string, payloadType: string, payload: Uint8Array): Uint8Array
}

const WORDS = SIGNATURE_BYTES / 4

/** All keys that were ever made, which is what verifying needs. */
export class KeyRing {
  readonly #secrets = new Map<string, Uint32Array>()

  make(rng: Prng): NodeKey {
    let publicKey = rng.bytes(32)
    while (!isPublicKey(publicKey)) publicKey = rng.bytes(32)
    const secret = Uint32Array.from({ length: WORDS }, () => rng.next())
    this.#secrets.set(bytesToHex(publicKey), secret)
    return {
      nodeId: nodeIdFromPublicKey(publicKey),
      publicKey,
      seal: (domain, payloadType, payload) => {
        const signature = sign(secret, signedBytes(domain, payloadType, payload))
        return encodeEnvelope({ publicKey, payloadType, payload, signature })
      },
    }
  }

  readonly verify: VerifySignature = (publicKey, message, signature) => {
    const secret = this.#secrets.get(bytesToHex(publicKey))
    if (secret === undefined || signature.length !== SIGNATURE_BYTES) return false
    const expected = sign(secret, message)
    for (let i = 0; i < SIGNATURE_BYTES; i++) if (expected[i] !== signature[i]) return false
    return true
  }
}

/** Four lanes run over the message, each from a word of the secret; the signature mixes them with the other words. */
function sign(secret: Uint32Array, message: Uint8Array): Uint8Array {
  let a = secret[0] as number
  let b = secret[1] as number
  let c = secret[2] as number
  let d = (secret[3] as number) ^ message.length
  for (let i = 0; i < message.length; i++) {
    const byte = message[i] as number
    const was = a
    a = Math.imul(b ^ byte, 0x9e3779b1)
    b = (c + (a >>> 15)) | 0
    c = Math.imul(d ^ (a << 7), 0x85ebca77)
    d = was ^ (c >>> 13)
  }
  const out = new Uint8Array(SIGNATURE_BYTES)
  const view = new DataView(out.buffer)
  for (let i = 0; i < WORDS; i++) {
    a = Math.imul(a ^ (secret[i] as number) ^ (b >>> 16), 0x85ebca6b)
    b = Math.imul(b ^ (c >>> 13), 0xc2b2ae35)
    c = (c + d) ^ (a >>> 11)
    d = Math.imul(d ^ i, 0x27d4eb2f) ^ b
    view.setUint32(i * 4, (a ^ c) >>> 0)
  }
  return out
}

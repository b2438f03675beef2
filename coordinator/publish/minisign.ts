/**
 * Signs with minisign keys, in the file forms of jedisct1/minisign: the secret key file is the one of `minisign -G -W`
 * (no password: the folder is the owner's only), so the real tool can take over at any time.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { blake2b } from '@noble/hashes/blake2.js'
import {
  base64Decode,
  base64Encode,
  encodeMinisignPublicKey,
  type MinisignPublicKey,
} from '../../protocol/codec/minisign.ts'

export interface MinisignKey extends MinisignPublicKey {
  /** 32 raw bytes. Secret. */
  readonly seed: Uint8Array
}

/** `Ed` signs the bytes, so browsers and signify can check it; `ED` signs their BLAKE2b-512, for large files. */
export type MinisignAlgorithm = 'Ed' | 'ED'

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
/** alg, kdf, checksum alg, salt, opslimit, memlimit, key id, secret key (seed, public key), checksum. */
const SECRET_KEY_BYTES = 2 + 2 + 2 + 32 + 8 + 8 + 8 + 64 + 32
const NO_PASSWORD = Buffer.from([0, 0])

export function createMinisignKey(): MinisignKey {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  return {
    keyId: new Uint8Array(randomBytes(8)),
    seed: new Uint8Array(Buffer.from(jwk.d ?? '', 'base64url')),
    publicKey: new Uint8Array(Buffer.from(jwk.x ?? '', 'base64url')),
  }
}

export function encodeMinisignKey(key: MinisignKey): string {
  const secret = Buffer.concat([key.seed, key.publicKey])
  const blob = Buffer.concat([
    Buffer.from('Ed'),
    NO_PASSWORD,
    Buffer.from('B2'),
    Buffer.alloc(48),
    key.keyId,
    secret,
    checksum(key.keyId, secret),
  ])
  return `untrusted comment: minisign secret key ${displayId(key)}\n${base64Encode(blob)}\n`
}

/** Reads a secret key file without a password. Throws TypeError saying what is wrong. */
export function parseMinisignKey(text: string): MinisignKey {
  const blob = base64Decode(text.split(/\r?\n/)[1] ?? '', SECRET_KEY_BYTES)
  if (blob === null) throw new TypeError('not a minisign secret key')
  if (Buffer.compare(blob.subarray(2, 4), NO_PASSWORD) !== 0)
    throw new TypeError('a minisign key with a password cannot be used here')
  const keyId = blob.slice(54, 62)
  const secret = blob.subarray(62, 126)
  const found = blob.subarray(126)
  // minisign 0.11 -W leaves the checksum zero.
  if (found.some((byte) => byte !== 0) && Buffer.compare(found, checksum(keyId, secret)) !== 0) {
    throw new TypeError('the checksum of the minisign key is wrong')
  }
  const derived = createPublicKey(privateKeyOf(secret.subarray(0, 32))).export({
    type: 'spki',
    format: 'der',
  })
  if (Buffer.compare(derived.subarray(-32), secret.subarray(32)) !== 0) {
    throw new TypeError('the two halves of the minisign key do not belong together')
  }
  return { keyId, seed: secret.slice(0, 32), publicKey: secret.slice(32) }
}

export function encodeMinisignPublicKeyFile(key: MinisignPublicKey): string {
  return `untrusted comment: minisign public key ${displayId(key)}\n${encodeMinisignPublicKey(key)}\n`
}

export interface SignOptions {
  readonly algorithm?: MinisignAlgorithm
  /** Signed too: the place to say which file and which sequence. One line, under 8,192 bytes. */
  readonly trustedComment: string
}

/** The bytes of a `.minisig` file. */
export function signMinisign(file: Uint8Array, key: MinisignKey, options: SignOptions): Uint8Array {
  const { algorithm = 'Ed', trustedComment } = options
  if (/[^\t\x20-\x7e]/.test(trustedComment) || trustedComment.length >= 8_192)
    throw new TypeError('not a trusted comment')
  const privateKey = privateKeyOf(key.seed)
  const message = algorithm === 'ED' ? createHash('blake2b512').update(file).digest() : file
  const signature = sign(null, message, privateKey)
  const global = sign(null, Buffer.concat([signature, Buffer.from(trustedComment)]), privateKey)
  const blob = Buffer.concat([Buffer.from(algorithm), key.keyId, signature])
  return Buffer.from(
    [
      `untrusted comment: signature from wikiseed key ${displayId(key)}`,
      base64Encode(blob),
      `trusted comment: ${trustedComment}`,
      base64Encode(global),
      '',
    ].join('\n'),
  )
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
}

/** As the tool prints it: 16 hex digits of the little-endian value. */
function displayId(key: MinisignPublicKey): string {
  return Buffer.from(key.keyId).reverse().toString('hex').toUpperCase()
}

/** BLAKE2b-256 over alg, key id and secret key. */
function checksum(keyId: Uint8Array, secret: Uint8Array): Uint8Array {
  return blake2b(Buffer.concat([Buffer.from('Ed'), keyId, secret]), { dkLen: 32 })
}

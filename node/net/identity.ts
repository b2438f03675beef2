/**
 * The node's one key (PROTOCOL 3): made once, kept in `<data folder>/identity.key` as PKCS#8 PEM, readable by its owner
 * alone. Who has the file is the node.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { link, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeEnvelope, nodeIdFromPublicKey, signedBytes } from '../../protocol/manifest/envelope.ts'
import { exists } from '../files/disk.ts'
import { syncFolder } from '../files/durable.ts'
import type { Identity } from '../ports.ts'
import { errorCode, isMissing } from '../system-error.ts'

export const IDENTITY_FILE = 'identity.key'
export const SEED_BYTES = 32
/** A PEM of an Ed25519 key has 119 bytes. */
const IDENTITY_FILE_BYTES_MAX = 4_096
/** DER of a PKCS#8 Ed25519 key (RFC 8410), up to the seed's 32 bytes. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** An identity together with the key that libp2p's handshake needs. Kept out of the port: only the host may ask. */
export interface HostIdentity extends Identity {
  /** 64 bytes, seed then public key: libp2p's raw form of an Ed25519 private key. Secret. */
  privateKeyRaw(): Uint8Array
}

/**
 * Makes a key and writes it: temporary file, fsync, link, so that it is there whole or not at all, and an older one is
 * never overwritten. Rejects when the folder has an identity already.
 */
export async function createIdentity(dataDir: string): Promise<HostIdentity> {
  const { privateKey } = generateKeyPairSync('ed25519')
  const path = join(dataDir, IDENTITY_FILE)
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  const file = await open(temporary, 'wx', 0o600)
  try {
    try {
      await file.writeFile(privateKey.export({ format: 'pem', type: 'pkcs8' }))
      await file.sync()
    } finally {
      await file.close()
    }
    await moveExclusively(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
  await syncFolder(dataDir)
  return identityFromKey(privateKey)
}

/** Null when the folder has no identity yet; rejects with one plain sentence when the file is damaged. */
export async function loadIdentity(dataDir: string): Promise<HostIdentity | null> {
  const path = join(dataDir, IDENTITY_FILE)
  let pem: Buffer
  try {
    pem = await readFile(path)
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
  const key = pem.length > IDENTITY_FILE_BYTES_MAX ? null : parseKey(pem)
  if (key === null) throw new Error(`${path} is not an Ed25519 private key (PKCS#8 PEM)`)
  return identityFromKey(key)
}

/** The same identity for the same 32 bytes: for tests and tools, never for a node's own key. */
export function identityFromSeed(seed: Uint8Array): HostIdentity {
  if (seed.length !== SEED_BYTES) throw new RangeError(`a seed has ${SEED_BYTES} bytes`)
  const der = Buffer.concat([PKCS8_PREFIX, seed])
  return identityFromKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))
}

function identityFromKey(privateKey: KeyObject): HostIdentity {
  const publicKey = rawPublicKey(privateKey)
  const signRaw = (message: Uint8Array): Uint8Array => new Uint8Array(sign(null, message, privateKey))
  return {
    nodeId: nodeIdFromPublicKey(publicKey),
    publicKey,
    sign: signRaw,
    seal(domain, payloadType, payload) {
      const signature = signRaw(signedBytes(domain, payloadType, payload))
      return encodeEnvelope({ publicKey, payloadType, payload, signature })
    },
    privateKeyRaw() {
      const der = privateKey.export({ format: 'der', type: 'pkcs8' })
      return new Uint8Array(Buffer.concat([der.subarray(-SEED_BYTES), publicKey]))
    },
  }
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  return new Uint8Array(spki.subarray(-32))
}

function parseKey(pem: Buffer): KeyObject | null {
  try {
    const key = createPrivateKey({ key: pem, format: 'pem' })
    return key.asymmetricKeyType === 'ed25519' ? key : null
  } catch {
    return null
  }
}

/** Unlike rename, link refuses to replace; where there are no hard links (exFAT, some mounts), rename must do. */
async function moveExclusively(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const code = errorCode(error)
    if (code === 'EEXIST') throw new Error(`${to} exists already`, { cause: error })
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error
    if (await exists(to)) throw new Error(`${to} exists already`, { cause: error })
    await rename(from, to)
  }
}

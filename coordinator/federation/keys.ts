/**
 * The signing keys of a coordinator: one Ed25519 key for each TUF role, and a minisign key for the plain files. They lie in
 * `<dir>/keys`, readable by the owner only. Cycle delegations share the targets key at first (PROTOCOL 3).
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createMinisignKey,
  encodeMinisignKey,
  type MinisignKey,
  parseMinisignKey,
} from '../publish/minisign.ts'

export const ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const
export type Role = (typeof ROLES)[number]

export interface SigningKey {
  /** 32 raw bytes. */
  readonly publicKey: Uint8Array
  /** 64 raw bytes. */
  sign(message: Uint8Array): Uint8Array
}

export interface FederationKeys {
  readonly roles: Readonly<Record<Role, SigningKey>>
  readonly minisign: MinisignKey
}

export class KeyError extends Error {
  readonly code: 'missing' | 'damaged' | 'exists'
  constructor(code: 'missing' | 'damaged' | 'exists', detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'KeyError'
    this.code = code
  }
}

/** A federation key from a private KeyObject. */
export function signingKey(privateKey: KeyObject): SigningKey {
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  return {
    publicKey: new Uint8Array(spki.subarray(-32)),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  }
}

/** Makes all keys and writes them, all or none. KeyError `exists` when a key folder is there: keys are never overwritten. */
export async function createKeys(dir: string): Promise<FederationKeys> {
  const folder = join(dir, 'keys')
  const part = `${folder}.part`
  await rm(part, { recursive: true, force: true })
  await mkdir(part, { recursive: true, mode: 0o700 })
  for (const role of ROLES) {
    const { privateKey } = generateKeyPairSync('ed25519')
    await writeSecret(
      join(part, `${role}.pem`),
      privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    )
  }
  await writeSecret(join(part, 'minisign.key'), encodeMinisignKey(createMinisignKey()))
  try {
    await rename(part, folder)
  } catch (error) {
    await rm(part, { recursive: true, force: true })
    throw new KeyError('exists', `${folder} exists; keys are never overwritten`, { cause: error })
  }
  return loadKeys(dir)
}

/** Reads all keys. KeyError `missing` or `damaged`, naming the file. */
export async function loadKeys(dir: string): Promise<FederationKeys> {
  const role = (name: Role) => readKey(join(dir, 'keys', `${name}.pem`), readPem)
  return {
    roles: {
      root: await role('root'),
      targets: await role('targets'),
      snapshot: await role('snapshot'),
      timestamp: await role('timestamp'),
    },
    minisign: await readKey(join(dir, 'keys', 'minisign.key'), parseMinisignKey),
  }
}

function readPem(text: string): SigningKey {
  const key = createPrivateKey(text)
  if (key.asymmetricKeyType !== 'ed25519')
    throw new TypeError(`a key of type ${key.asymmetricKeyType}, not ed25519`)
  return signingKey(key)
}

async function readKey<T>(path: string, parse: (text: string) => T): Promise<T> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new KeyError('missing', `cannot read the key ${path}`, { cause: error })
  }
  try {
    return parse(text)
  } catch (error) {
    throw new KeyError('damaged', `${path} does not hold a usable key`, { cause: error })
  }
}

async function writeSecret(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ed25519 } from '@noble/curves/ed25519.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createIdentity, IDENTITY_FILE, identityFromSeed, loadIdentity } from '../../node/net/identity.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import { hexToBytes, utf8ToBytes } from '../../protocol/codec/bytes.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wikiseed-identity-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('an identity', () => {
  it('is the same after it was written and loaded again', async () => {
    const created = await createIdentity(folder)
    const loaded = await loadIdentity(folder)
    expect(loaded?.nodeId).toBe(created.nodeId)
    expect(loaded?.privateKeyRaw()).toEqual(created.privateKeyRaw())
  })

  it('is one file that only its owner can read, a PEM that other tools read', async () => {
    const created = await createIdentity(folder)
    expect(await readdir(folder)).toEqual([IDENTITY_FILE])
    expect((await stat(join(folder, IDENTITY_FILE))).mode & 0o777).toBe(0o600)
    const pem = await readFile(join(folder, IDENTITY_FILE), 'utf8')
    const spki = createPublicKey(createPrivateKey(pem)).export({ format: 'der', type: 'spki' })
    expect(new Uint8Array(spki.subarray(-32))).toEqual(created.publicKey)
  })

  it('is never overwritten', async () => {
    const created = await createIdentity(folder)
    await expect(createIdentity(folder)).rejects.toThrow('exists already')
    expect((await loadIdentity(folder))?.nodeId).toBe(created.nodeId)
    expect(await readdir(folder)).toEqual([IDENTITY_FILE])
  })

  it('made by several at once in one folder is one', async () => {
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => createIdentity(folder)))
    const made = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.nodeId] : []))
    expect(made).toEqual([(await loadIdentity(folder))?.nodeId])
  })

  it('is null where there is none, and an error where the file is damaged', async () => {
    expect(await loadIdentity(folder)).toBeNull()
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
      format: 'pem',
      type: 'pkcs8',
    })
    for (const content of ['', 'x'.repeat(5_000), rsa]) {
      await writeFile(join(folder, IDENTITY_FILE), content)
      await expect(loadIdentity(folder)).rejects.toThrow('is not an Ed25519 private key')
    }
  })

  it('does not show its key when printed or serialized', () => {
    const identity = identityFromSeed(new Uint8Array(32).fill(65))
    expect(JSON.stringify(identity)).not.toContain('65,65,65')
    expect(Object.keys(identity)).not.toContain('seed')
  })

  it('in a folder that does not exist is an error', async () => {
    await expect(createIdentity(join(folder, 'none'))).rejects.toThrow('ENOENT')
  })
})

describe('signatures', () => {
  it('agree with RFC 8032, test 2', () => {
    const identity = identityFromSeed(
      hexToBytes('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'),
    )
    expect(identity.sign(Uint8Array.of(0x72))).toEqual(
      hexToBytes(
        '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
          '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
      ),
    )
    expect(identity.publicKey).toEqual(
      hexToBytes('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c'),
    )
  })

  it('verify by node:crypto as by @noble in strict mode, true and false', () => {
    const identity = identityFromSeed(new Uint8Array(32).fill(1))
    const message = utf8ToBytes('a message')
    const signature = identity.sign(message)
    const changed = signature.slice()
    changed[3] = (changed[3] ?? 0) ^ 4
    for (const candidate of [signature, changed]) {
      expect(verifyEd25519(identity.publicKey, message, candidate)).toBe(
        ed25519.verify(candidate, message, identity.publicKey, { zip215: false }),
      )
    }
    expect(verifyEd25519(identity.publicKey, message, signature)).toBe(true)
  })

  it('of the wrong length, or under no key at all, are false and not an error', () => {
    const identity = identityFromSeed(new Uint8Array(32).fill(1))
    expect(verifyEd25519(identity.publicKey, new Uint8Array(1), new Uint8Array(10))).toBe(false)
    expect(verifyEd25519(new Uint8Array(5), new Uint8Array(1), new Uint8Array(64))).toBe(false)
    expect(verifyEd25519(new Uint8Array(32).fill(0xff), new Uint8Array(1), new Uint8Array(64))).toBe(false)
  })
})

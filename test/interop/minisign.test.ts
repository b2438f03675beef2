/** The real minisign (Debian package `minisign`) accepts what we sign, and we accept what it signs. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createMinisignKey,
  encodeMinisignKey,
  encodeMinisignPublicKeyFile,
  parseMinisignKey,
  signMinisign,
} from '../../coordinator/publish/minisign.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import { parseMinisignPublicKey, verifyMinisign } from '../../protocol/codec/minisign.ts'

const run = promisify(execFile)
const installed = isInstalled()

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wikiseed-minisign-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

function isInstalled(): boolean {
  try {
    execFileSync('minisign', ['-v'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

it.runIf(process.env.CI === 'true')('minisign is installed where CI runs', () => {
  expect(installed).toBe(true)
})

describe.skipIf(!installed)(`the real minisign${installed ? '' : ' (skipped: it is not installed)'}`, () => {
  it.each(['Ed', 'ED'] as const)(
    'accepts our signature of the form %s with its trusted comment',
    async (algorithm) => {
      const key = createMinisignKey()
      const file = join(dir, `${algorithm}.json`)
      const bytes = Buffer.from('{"version":1}\n')
      await writeFile(file, bytes)
      await writeFile(
        `${file}.minisig`,
        signMinisign(bytes, key, { algorithm, trustedComment: 'file:x\tsequence:7' }),
      )
      await writeFile(join(dir, 'key.pub'), encodeMinisignPublicKeyFile(key))
      const { stdout } = await run('minisign', ['-V', '-m', file, '-p', join(dir, 'key.pub')])
      expect(stdout).toContain('Signature and comment signature verified')
      expect(stdout).toContain('file:x\tsequence:7')
      await writeFile(file, '{"version":2}\n')
      await expect(run('minisign', ['-V', '-m', file, '-p', join(dir, 'key.pub')])).rejects.toThrow(
        /verification failed/i,
      )
    },
  )

  it('signs with our key file, and we accept what it signed', async () => {
    const key = createMinisignKey()
    const file = join(dir, 'theirs.txt')
    await writeFile(file, 'hello\n')
    await writeFile(join(dir, 'ours.key'), encodeMinisignKey(key), { mode: 0o600 })
    for (const legacy of [[], ['-l']]) {
      await rm(`${file}.minisig`, { force: true })
      await run('minisign', ['-S', ...legacy, '-s', join(dir, 'ours.key'), '-m', file, '-t', 'said'])
      const verdict = verifyMinisign(
        await readFile(file),
        await readFile(`${file}.minisig`),
        key,
        verifyEd25519,
      )
      expect(verdict).toEqual({ ok: true, trustedComment: 'said' })
    }
  })

  it('makes keys that we read', async () => {
    await run('minisign', ['-G', '-W', '-s', join(dir, 'their.key'), '-p', join(dir, 'their.pub')])
    const key = parseMinisignKey(await readFile(join(dir, 'their.key'), 'utf8'))
    const publicKey = parseMinisignPublicKey(await readFile(join(dir, 'their.pub'), 'utf8'))
    expect(publicKey).toEqual({ keyId: key.keyId, publicKey: key.publicKey })
    const file = Buffer.from('bytes')
    expect(verifyMinisign(file, signMinisign(file, key, { trustedComment: '' }), key, verifyEd25519).ok).toBe(
      true,
    )
  })
})

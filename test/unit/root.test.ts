import { createHash } from 'node:crypto'
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKeys, type FederationKeys, KeyError, loadKeys } from '../../coordinator/federation/keys.ts'
import { createRoot } from '../../coordinator/federation/root.ts'
import { sealMetadata } from '../../coordinator/publish/tuf-envelope.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { isNodeId } from '../../protocol/ids.ts'
import { readRoot, readRootDocument } from '../../protocol/manifest/root.ts'
import { DEFAULT_PARAMETERS, parametersAt, parametersFingerprint } from '../../protocol/parameters.ts'

const NODE_ID = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
const NOW = Date.UTC(2026, 10, 1)
const DAY = 86_400_000

let dir: string
let keys: FederationKeys
let bytes: Uint8Array

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wikiseed-root-'))
  keys = await createKeys(dir)
  if (!isNodeId(NODE_ID)) throw new Error('the test needs a node id')
  bytes = createRoot({
    name: 'test federation',
    parameters: DEFAULT_PARAMETERS,
    coordinators: [{ nodeId: NODE_ID, operator: 'us', multiaddrs: ['/ip4/127.0.0.1/tcp/4001'] }],
    nowMs: NOW,
    expiresAtMs: NOW + 365 * DAY,
    keys,
  })
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** The root with one change in its signed part, signed again by the root key. */
function changed(
  change: (signed: Record<string, unknown>, wikiseed: Record<string, unknown>) => void,
): Uint8Array {
  const envelope = JSON.parse(Buffer.from(bytes).toString()) as { signed: Record<string, unknown> }
  change(envelope.signed, envelope.signed.wikiseed as Record<string, unknown>)
  return sealMetadata(envelope.signed, keys.roles.root)
}

describe('federation root', () => {
  it('gives back what it was made of, and is named by its sha256', () => {
    const root = readRoot(bytes, verifyEd25519)
    expect(root.federationId).toBe(createHash('sha256').update(bytes).digest('hex'))
    expect(root.name).toBe('test federation')
    expect(root.expiresAtMs).toBe(NOW + 365 * DAY)
    expect(root.coordinators).toEqual([
      { nodeId: NODE_ID, operator: 'us', multiaddrs: ['/ip4/127.0.0.1/tcp/4001'] },
    ])
    expect(parametersAt(root.parameterChanges, NOW).values).toEqual(DEFAULT_PARAMETERS)
    expect(root.minisignPublicKey).toMatch(/^RW/)
  })

  it('has other parameters from their activation on, and the first before', () => {
    const later = { ...DEFAULT_PARAMETERS, replicas: 5 }
    const root = readRoot(
      changed((_, wikiseed) =>
        (wikiseed.parameters as unknown[]).push({ activatesAtMs: NOW + DAY, values: later }),
      ),
      verifyEd25519,
    )
    const at = (atMs: number) => parametersAt(root.parameterChanges, atMs)
    expect([0, NOW, NOW + DAY - 1, NOW + DAY].map((atMs) => at(atMs).values.replicas)).toEqual([3, 3, 3, 5])
    expect(at(NOW)).toMatchObject({ fromMs: Number.NEGATIVE_INFINITY, untilMs: NOW + DAY })
    expect(at(NOW + DAY)).toMatchObject({ fromMs: NOW + DAY, untilMs: Number.POSITIVE_INFINITY })
    expect(at(NOW + DAY).fingerprint).toBe(parametersFingerprint(later))
  })

  it('is refused when a signed byte or the signature was changed', () => {
    const text = Buffer.from(bytes).toString()
    for (const forged of [
      text.replace('test federation', 'best federation'),
      text.replace(/"sig":"(.)/, (_, c) => `"sig":"${c === '0' ? 1 : 0}`),
    ]) {
      expect(forged).not.toBe(text)
      expect(() => readRoot(Buffer.from(forged), verifyEd25519)).toThrow(/root\.signatures/)
    }
  })

  it('is refused when signed by another key than its own', () => {
    const envelope = JSON.parse(Buffer.from(bytes).toString()) as { signed: object }
    expect(() => readRoot(sealMetadata(envelope.signed, keys.roles.targets), verifyEd25519)).toThrow(
      /root\.signatures/,
    )
  })

  it.each<[string, Parameters<typeof changed>[0]]>([
    ['no parameters', (_, w) => Object.assign(w, { parameters: [] })],
    [
      'a parameter missing',
      (_, w) => Object.assign(w, { parameters: [{ activatesAtMs: 0, values: { replicas: 3 } }] }),
    ],
    ['dates that do not grow', (_, w) => (w.parameters as unknown[]).push((w.parameters as unknown[])[0])],
    ['a coordinator twice', (_, w) => (w.coordinators as unknown[]).push((w.coordinators as unknown[])[0])],
    [
      'a coordinator without a peer id',
      (_, w) => Object.assign(w, { coordinators: [{ nodeId: 'x', operator: '', multiaddrs: [] }] }),
    ],
    ['too many coordinators', (_, w) => Object.assign(w, { coordinators: Array(65).fill({}) })],
    ['no minisign key', (_, w) => Object.assign(w, { minisign: 'RWnonsense' })],
    ['an unknown field of ours', (_, w) => Object.assign(w, { surprise: 1 })],
    ['another type', (s) => Object.assign(s, { _type: 'targets' })],
    ['no date', (s) => Object.assign(s, { expires: 'soon' })],
    ['inconsistent snapshots', (s) => Object.assign(s, { consistent_snapshot: false })],
  ])('is refused with %s, even well signed', (_, change) => {
    expect(() => readRoot(changed(change), verifyEd25519)).toThrow(ShapeError)
  })

  it('names a federation only in its first version', () => {
    const second = changed((signed) => Object.assign(signed, { version: 2 }))
    expect(readRootDocument(second, verifyEd25519).version).toBe(2)
    expect(() => readRoot(second, verifyEd25519)).toThrow(/version/)
  })

  it.each([
    ['nothing', ''],
    ['HTML', '<html>'],
    ['a list', '[]'],
    ['half of it', '{"signed":{'],
  ])('is refused as %s', (_, text) => {
    expect(() => readRoot(Buffer.from(text), verifyEd25519)).toThrow(ShapeError)
  })

  it('is refused above its size before anything is parsed', () => {
    expect(() => readRoot(Buffer.alloc(512_001, 0x20), verifyEd25519)).toThrow(/at most 512000 bytes/)
  })
})

describe('federation keys', () => {
  it('lie in files that only the owner reads', async () => {
    const names = await readdir(join(dir, 'keys'))
    expect(names.sort()).toEqual(['minisign.key', 'root.pem', 'snapshot.pem', 'targets.pem', 'timestamp.pem'])
    for (const name of names) expect((await stat(join(dir, 'keys', name))).mode & 0o777).toBe(0o600)
  })

  it('are the same when loaded again, and are never overwritten', async () => {
    const again = await loadKeys(dir)
    expect(again.roles.root.publicKey).toEqual(keys.roles.root.publicKey)
    expect(again.minisign).toEqual(keys.minisign)
    await expect(createKeys(dir)).rejects.toThrow(KeyError)
    expect((await loadKeys(dir)).minisign).toEqual(keys.minisign)
  })

  it('name the file that is missing or damaged', async () => {
    await expect(loadKeys(join(dir, 'nowhere'))).rejects.toMatchObject({
      code: 'missing',
      message: expect.stringContaining('root.pem'),
    })
    const other = await mkdtemp(join(tmpdir(), 'wikiseed-keys-'))
    try {
      await createKeys(other)
      await chmod(join(other, 'keys', 'snapshot.pem'), 0o600)
      await writeFile(join(other, 'keys', 'snapshot.pem'), 'nonsense')
      await expect(loadKeys(other)).rejects.toMatchObject({
        code: 'damaged',
        message: expect.stringContaining('snapshot.pem'),
      })
    } finally {
      await rm(other, { recursive: true, force: true })
    }
  })
})

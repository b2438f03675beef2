import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createKeys, type FederationKeys } from '../../coordinator/federation/keys.ts'
import { realSleep, type Sleep } from '../../coordinator/http/sleep.ts'
import { createGistTarget, type GistOptions } from '../../coordinator/publish/gist.ts'
import { createLocalFolder } from '../../coordinator/publish/local-folder.ts'
import type { MergedShard } from '../../coordinator/publish/merged-shard.ts'
import { buildPublication, type PublicationState } from '../../coordinator/publish/publication.ts'
import type { Publication } from '../../coordinator/publish/publish-file.ts'
import { memoryPublishRecord, openPublishRecord } from '../../coordinator/publish/publish-record.ts'
import { createS3Target, type S3Options } from '../../coordinator/publish/s3.ts'
import { verifyPublication } from '../../node/publication/verify.ts'
import { TEST_PLACES, testRoot, testShard } from '../support/publication.ts'
import { startWorld, type World } from '../world/world.ts'

let dir: string
let world: World
let keys: FederationKeys
let root: Uint8Array
const clock = { wallMs: Date.now, monotonicMs: () => performance.now() }
const fast: Sleep = (ms, signal) => realSleep(ms / 50, signal)

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wikiseed-targets-'))
  await mkdir(join(dir, 'dumps'))
  world = await startWorld({ dumps: join(dir, 'dumps'), seed: 'targets' })
  keys = await createKeys(dir)
  root = testRoot(keys, Date.now())
})
afterEach(async () => {
  await world.close()
  await rm(dir, { recursive: true, force: true })
})

const shards = [
  testShard({ wiki: 'tenwiki', date: '20260101' }),
  testShard({ wiki: 'aawiki', date: '20260201' }),
]
const build = (
  list: readonly MergedShard[] = shards,
  previous: PublicationState | null = null,
  nowMs = Date.now(),
) =>
  buildPublication({
    root,
    keys,
    shards: list,
    previous,
    nowMs,
    publicUrl: 'https://example.org/',
    places: TEST_PLACES,
  })

const s3 = (change: Partial<S3Options> = {}) =>
  createS3Target({
    endpoint: world.urls.r2,
    bucket: world.bucket,
    ...world.credentials.r2,
    record: memoryPublishRecord(),
    clock,
    sleep: fast,
    ...change,
  })
const gist = (change: Partial<GistOptions> = {}) =>
  createGistTarget({
    apiUrl: world.urls.gist,
    token: world.credentials.gist.token,
    description: 'test federation',
    publicUrl: null,
    record: memoryPublishRecord(),
    sleep: fast,
    ...change,
  })
const requests = (service: 'r2' | 'gist') => world.log.filter((record) => record.service === service)

describe('local folder', () => {
  it('writes everything once, and only the changed pointer the next time', async () => {
    const target = createLocalFolder({ dir: join(dir, 'out') })
    const first = build()
    expect(await target.publish(first.files)).toEqual({ written: first.files.size, skipped: 0 })
    expect(await target.publish(first.files)).toEqual({ written: 0, skipped: first.files.size })
    expect(await readFile(join(dir, 'out', 'manifest.json'))).toEqual(
      Buffer.from(first.files.get('manifest.json')?.bytes ?? []),
    )
  })

  it('never writes outside of its folder', async () => {
    const file = { path: '../out.txt', bytes: Buffer.from('x'), contentType: 'text/plain', mutable: true }
    await expect(
      createLocalFolder({ dir: join(dir, 'out') }).publish(new Map([[file.path, file]])),
    ).rejects.toThrow(TypeError)
  })
})

describe('R2', () => {
  it('holds a publication that a verifier accepts over its public address', async () => {
    const { files } = build()
    expect(await s3().publish(files)).toEqual({ written: files.size, skipped: 0 })
    const source = `${world.urls.r2Public}/${world.bucket}/`
    const report = await verifyPublication({ source, root })
    expect(report.problems).toEqual([])
    expect(report.torrents).toBe(2)
  })

  it('gives immutable names a long life and pointers a short one', async () => {
    await s3().publish(build().files)
    const lifeOf = async (path: string) =>
      (await fetch(`${world.urls.r2Public}/${world.bucket}/${path}`)).headers.get('cache-control')
    expect(await lifeOf('metadata/timestamp.json')).toBe('public, max-age=60')
    expect(await lifeOf('metadata/1.root.json')).toBe('public, max-age=31536000, immutable')
  })

  it('sends only what its record does not know, also after a restart', async () => {
    const path = join(dir, 'record.json')
    const first = build()
    await s3({ record: await openPublishRecord(path) }).publish(first.files)
    const before = requests('r2').length
    const second = build(
      [...shards, testShard({ wiki: 'zuwiki', date: '20260201' })],
      first.state,
      Date.now() + 60_000,
    )
    const report = await s3({ record: await openPublishRecord(path), sleep: realSleep }).publish(second.files)
    expect(report.skipped).toBeGreaterThan(3)
    expect(requests('r2').length - before).toBeGreaterThanOrEqual(report.written)
    expect(
      requests('r2')
        .slice(before)
        .map((record) => record.path),
    ).not.toContain(`/${world.bucket}/metadata/1.root.json`)
  })

  it('takes an immutable file that is there already with the same bytes as done', async () => {
    world.faults.r2WriteLimit = false
    const { files } = build()
    await s3().publish(files)
    expect(await s3().publish(files)).toEqual({ written: files.size, skipped: 0 })
    expect(requests('r2').some((record) => record.status === 412)).toBe(true)
  })

  it('refuses to replace an immutable name by other bytes', async () => {
    world.faults.r2WriteLimit = false
    const file = {
      path: 'a/1.x.json',
      bytes: Buffer.from('one'),
      contentType: 'application/json',
      mutable: false,
    }
    const publish = (bytes: string) =>
      s3().publish(new Map([[file.path, { ...file, bytes: Buffer.from(bytes) }]]))
    await publish('one')
    await expect(publish('two')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('a/1.x.json'),
    })
  })

  it('goes through errors and 429', async () => {
    Object.assign(world.faults, { r2ErrorRate: 0.2 })
    const target = s3({ sleep: (ms, signal) => realSleep(Math.min(ms, 300), signal) })
    const pointer = { path: 'pointer.json', contentType: 'application/json', mutable: true }
    await target.publish(build().files)
    // A new record does not know when the key was last written, so the bucket itself says 429.
    for (const text of ['1', '2'])
      await s3({ sleep: realSleep }).publish(
        new Map([[pointer.path, { ...pointer, bytes: Buffer.from(text) }]]),
      )
    expect(requests('r2').some((record) => record.status >= 500)).toBe(true)
    expect(requests('r2').some((record) => record.status === 429)).toBe(true)
  })

  it.each([
    [{ secretAccessKey: 'hunter2' }, 'forbidden'],
    [{ bucket: 'nobody-made-this' }, 'not-found'],
    [{ endpoint: 'http://127.0.0.1:1' }, 'network'],
  ] as const)('says what is wrong with %o', async (change, code) => {
    const failed = s3(change).publish(build().files)
    await expect(failed).rejects.toMatchObject({ code })
    await failed.catch((error: Error) => expect(String(error)).not.toContain('hunter2'))
  })

  it('writes nothing after the first failure, so no pointer points at what is missing', async () => {
    const { files } = build()
    const broken = new Map([
      [
        'bad',
        { path: 'x'.repeat(2_000), bytes: Buffer.from('x'), contentType: 'text/plain', mutable: false },
      ],
      ...files,
    ])
    await expect(s3().publish(broken)).rejects.toMatchObject({ code: 'rejected' })
    expect(requests('r2')).toHaveLength(1)
  })
})

describe('Gist', () => {
  const shown = async (id: string): Promise<Record<string, { content: string }>> => {
    const answer = await fetch(`${world.urls.gist}/gists/${id}`)
    return ((await answer.json()) as { files: Record<string, { content: string }> }).files
  }

  it('is made once, patched with what changed, and left alone when nothing did', async () => {
    const record = memoryPublishRecord()
    const target = gist({ record })
    const first = build()
    expect(await target.publish(first.files)).toEqual({ written: 3, skipped: 0 })
    expect(await target.publish(first.files)).toEqual({ written: 0, skipped: 3 })
    const second = build([...shards, testShard({ wiki: 'zuwiki', date: '20260201' })], first.state)
    await target.publish(second.files)
    expect(requests('gist').map((request) => request.method)).toEqual(['POST', 'PATCH'])
    const files = await shown(record.note('gist-id') ?? '')
    expect(Object.keys(files).sort()).toEqual(['feed.xml', 'manifest.json', 'manifest.json.minisig'])
    expect(files['manifest.json']?.content).toBe(
      Buffer.from(second.files.get('manifest.json')?.bytes ?? []).toString(),
    )
  })

  it('holds a pointer with the hash when the manifest is too large, and drops the old manifest', async () => {
    const record = memoryPublishRecord()
    const target = gist({ record, publicUrl: 'https://example.org/' })
    const { files } = build()
    await target.publish(files)
    const manifest = { ...(files.get('manifest.json') ?? fail()), bytes: Buffer.alloc(1_000_001, 0x20) }
    const large: Publication = new Map([...files, ['manifest.json', manifest]])
    await target.publish(large)
    const held = await shown(record.note('gist-id') ?? '')
    expect(Object.keys(held).sort()).toEqual(['feed.xml', 'manifest-pointer.json', 'manifest.json.minisig'])
    expect(JSON.parse(held['manifest-pointer.json']?.content ?? '')).toMatchObject({
      url: 'https://example.org/manifest.json',
      sizeBytes: 1_000_001,
    })
  })

  it('says that the token is wrong, without showing it', async () => {
    const failed = gist({ token: 'ghp_other' }).publish(build().files)
    await expect(failed).rejects.toMatchObject({ code: 'unauthorized' })
    await failed.catch((error: Error) => expect(String(error)).not.toContain('ghp_other'))
  })

  it('says plainly what a 404 means', async () => {
    const record = memoryPublishRecord({ notes: new Map([['gist-id', '0123456789abcdef']]) })
    await expect(gist({ record }).publish(build().files)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('lacks the scope "gist"'),
    })
  })

  it('goes through errors when patching, and never makes a second gist for a lost answer', async () => {
    const record = memoryPublishRecord()
    const first = build()
    await gist({ record }).publish(first.files)
    world.faults.gistErrorRate = 1
    const second = build(shards.slice(0, 1), first.state)
    let sleeps = 0
    const recovers: Sleep = async () => {
      sleeps++
      if (sleeps === 3) world.faults.gistErrorRate = 0
    }
    expect(await gist({ record, sleep: recovers }).publish(second.files)).toEqual({ written: 3, skipped: 0 })
    expect(requests('gist').filter((request) => request.status >= 400)).toHaveLength(3)
    expect(requests('gist').filter((request) => request.method === 'POST')).toHaveLength(1)
    // No answer at all: the gist may have been made.
    world.faults.down = ['gist']
    await expect(gist().publish(first.files)).rejects.toMatchObject({ code: 'network' })
    expect(requests('gist').filter((request) => request.method === 'POST')).toHaveLength(2)
  })
})

function fail(): never {
  throw new Error('the publication lacks a file')
}

// Longer than 300 lines: one publication, written, read by every client, and damaged in each of its parts.
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Updater } from 'tuf-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKeys, type FederationKeys } from '../../coordinator/federation/keys.ts'
import { createLocalFolder } from '../../coordinator/publish/local-folder.ts'
import { torrentPath, torrentTarget } from '../../coordinator/publish/manifest-json.ts'
import type { MergedShard } from '../../coordinator/publish/merged-shard.ts'
import { buildPublication, type PublicationState } from '../../coordinator/publish/publication.ts'
import { writeTufRepository } from '../../coordinator/publish/tuf-repository.ts'
import { verifyPublication } from '../../node/publication/verify.ts'
import { cycleOf } from '../../protocol/ids.ts'
import { readMergedManifest } from '../../protocol/manifest/merged-manifest.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { TEST_PLACES, testRoot, testShard } from '../support/publication.ts'

const MINUTE = 60_000
const DAY = 1_440 * MINUTE
let base: string
let keys: FederationKeys
let root: Uint8Array
let now: number
let shards: MergedShard[]

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'wikiseed-publication-'))
  keys = await createKeys(base)
  // tuf-js asks the real clock about expiry.
  now = Date.now()
  root = testRoot(keys, now)
  shards = [
    testShard({ wiki: 'tenwiki', date: '20260101', item: 'wikiseed-tenwiki-20260101' }),
    testShard({ wiki: 'aawiki', date: '20260101' }),
    testShard({ wiki: 'aawiki', date: '20260201' }),
  ]
})
afterAll(() => rm(base, { recursive: true, force: true }))

const build = (list: readonly MergedShard[], previous: PublicationState | null = null, nowMs = now) =>
  buildPublication({
    root,
    keys,
    shards: list,
    previous,
    nowMs,
    publicUrl: 'https://example.org/w/',
    places: TEST_PLACES,
  })

/** A fresh folder with this publication in it. */
async function published(name: string, ...builds: ReturnType<typeof build>[]): Promise<string> {
  const dir = join(base, name)
  for (const built of builds) await createLocalFolder({ dir }).publish(built.files)
  return dir
}

/** Serves a folder on loopback, with what plain TUF clients ask for. */
async function serve(dir: string): Promise<{ url: string; close: () => Promise<void> }> {
  const server: Server = createServer((request, response) => {
    readFile(
      join(
        dir,
        ...decodeURIComponent(request.url ?? '/')
          .split('/')
          .filter((part) => part !== '..'),
      ),
    ).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    )
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/`, close: () => new Promise((done) => server.close(() => done())) }
}

async function updaterAt(url: string, metadataDir: string): Promise<Updater> {
  await mkdir(metadataDir, { recursive: true })
  await writeFile(join(metadataDir, 'root.json'), root)
  return new Updater({
    metadataDir,
    metadataBaseUrl: `${url}metadata`,
    targetBaseUrl: `${url}targets`,
    targetDir: metadataDir,
  })
}

describe('a plain tuf-js Updater on what was published', () => {
  it('finds a torrent through the delegated role of its cycle and downloads it', async () => {
    const server = await serve(await published('plain', build(shards)))
    try {
      const updater = await updaterAt(server.url, join(base, 'plain-cache'))
      for (const shard of shards) {
        const info = await updater.getTargetInfo(torrentTarget(shard))
        if (info === undefined) throw new Error(`no target for ${shard.id}`)
        expect(info.custom).toEqual({
          infohash: shard.infohash,
          shard: `${shard.id}@${shard.digest}`,
          item: shard.archive?.item ?? null,
          sizeBytes: shard.sizeBytes,
        })
        const path = await updater.downloadTarget(info, join(base, `${shard.infohash}.torrent`))
        expect(await readFile(path)).toEqual(Buffer.from(shard.torrent))
      }
      const roles = (await readdir(join(base, 'plain-cache'))).sort()
      expect(roles).toEqual([
        '2026-01.json',
        '2026-02.json',
        'root.json',
        'snapshot.json',
        'targets.json',
        'timestamp.json',
      ])
      expect(await updater.getTargetInfo('2026-01/nothing.torrent')).toBeUndefined()
    } finally {
      await server.close()
    }
  })

  it('finds the .torrent under a new name when its web seeds changed, with the infohash as it was', async () => {
    const [first] = shards as [MergedShard, ...MergedShard[]]
    const before = build(shards)
    const seeded = { ...first, trackers: ['udp://t.example:1/announce'], webSeeds: ['https://m.example/'] }
    const after = build([seeded, ...shards.slice(1)], before.state, now + MINUTE)
    const names = (built: ReturnType<typeof build>) =>
      [...built.files.keys()].filter((path) => path.endsWith('.torrent'))
    const [fresh, ...more] = names(after).filter((path) => !before.files.has(path))
    expect([names(after).length, more]).toEqual([names(before).length, []])
    const dir = await published('lists', before, after)
    const server = await serve(dir)
    try {
      const updater = await updaterAt(server.url, join(base, 'lists-cache'))
      const info = await updater.getTargetInfo(torrentTarget(first))
      if (info === undefined) throw new Error('no target')
      const bytes = await readFile(await updater.downloadTarget(info, join(base, 'lists.torrent')))
      expect(bytes).toEqual(Buffer.from(after.files.get(fresh ?? '')?.bytes ?? []))
      expect(decodeMetainfo(bytes)).toMatchObject({
        infohash: first.infohash,
        trackers: [['udp://t.example:1/announce']],
        webSeeds: ['https://m.example/'],
      })
    } finally {
      await server.close()
    }
    expect(await verifyPublication({ source: dir, root })).toMatchObject({ ok: true, torrents: 3 })
  })

  it('follows a later publication and refuses the earlier one after it', async () => {
    const first = build(shards.slice(0, 1))
    const second = build(shards, first.state, now + MINUTE)
    const older = await published('older', first)
    const newer = await published('newer', first, second)
    const cacheDir = join(base, 'rollback-cache')
    expect(await verifyPublication({ source: older, root, cacheDir })).toMatchObject({
      ok: true,
      torrents: 1,
    })
    expect(await verifyPublication({ source: newer, root, cacheDir })).toMatchObject({
      ok: true,
      torrents: 3,
    })
    const rolledBack = await verifyPublication({ source: older, root, cacheDir })
    expect(rolledBack.ok).toBe(false)
    expect(rolledBack.problems.map((problem) => problem.code)).toEqual(['rollback'])
  })

  it('refuses what has expired', async () => {
    const old = build(shards, null, now - 8 * DAY)
    const report = await verifyPublication({ source: await published('expired', old), root })
    expect(report.problems.map((problem) => problem.code)).toEqual(['expired'])
  })

  it('keeps a cycle listed when its last shard is withdrawn, since clients refuse a role that vanished', async () => {
    const first = build(shards)
    const second = build(shards.slice(0, 2), first.state, now + MINUTE)
    const dir = await published('withdrawn', first)
    const cacheDir = join(base, 'withdrawn-cache')
    expect(await verifyPublication({ source: dir, root, cacheDir })).toMatchObject({ ok: true, torrents: 3 })
    await createLocalFolder({ dir }).publish(second.files)
    expect(await verifyPublication({ source: dir, root, cacheDir })).toMatchObject({ ok: true, torrents: 2 })
  })
})

describe('publishing again', () => {
  it('changes nothing but the pointer when nothing changed', () => {
    const first = build(shards)
    const again = build([...shards].reverse(), first.state, now + 5 * MINUTE)
    const different = [...again.files.values()].filter(
      (file) => !Buffer.from(first.files.get(file.path)?.bytes ?? []).equals(file.bytes),
    )
    expect(different.map((file) => file.path)).toEqual([])
    expect(again.state).toEqual(first.state)
  })

  it('renews signatures before they expire', () => {
    const first = build(shards)
    const later = build(shards, first.state, now + 4 * DAY)
    expect(later.state.tuf.timestamp.version).toBeGreaterThan(first.state.tuf.timestamp.version)
    expect(later.state.tuf.snapshot).toEqual(first.state.tuf.snapshot)
  })

  it('counts on when it publishes twice in a minute, and never falls below unix minutes', () => {
    const first = build(shards.slice(0, 1))
    const second = build(shards, first.state, now + 1)
    expect(first.state.tuf.timestamp.version).toBe(Math.floor(now / MINUTE))
    expect(second.state.tuf.timestamp.version).toBe(first.state.tuf.timestamp.version + 1)
    expect(second.state.sequence).toBeGreaterThan(first.state.sequence)
  })

  it('never gives an immutable name other bytes', () => {
    const seen = new Map<string, Uint8Array>()
    let state: PublicationState | null = null
    for (let round = 0; round < 6; round++) {
      const built = build(
        shards.map((shard) => ({ ...shard, replicas: round })).slice(0, 1 + (round % 3)),
        state,
        now + round,
      )
      state = built.state
      for (const file of built.files.values()) {
        if (file.mutable) continue
        expect(Buffer.from(seen.get(file.path) ?? file.bytes).equals(file.bytes)).toBe(true)
        seen.set(file.path, file.bytes)
      }
    }
  })

  it('writes what is pointed at before what points', () => {
    const paths = [...build(shards).files.keys()]
    expect(paths.at(-1)).toBe('metadata/timestamp.json')
    const lastImmutable = paths.findLastIndex(
      (path) => path.startsWith('targets/') || /\d\.\w+\.json$/.test(path),
    )
    expect(paths.indexOf('manifest.json')).toBeGreaterThan(lastImmutable)
    expect(paths.indexOf('manifest.json.minisig')).toBe(paths.indexOf('manifest.json') + 1)
  })
})

describe('verifyPublication', () => {
  it('is content with a good publication, from a folder and from a URL, and says what it saw', async () => {
    const dir = await published('good', build(shards))
    const server = await serve(dir)
    try {
      for (const source of [dir, server.url, server.url.slice(0, -1)]) {
        const report = await verifyPublication({ source, root })
        expect(report.problems).toEqual([])
        expect(report).toMatchObject({
          ok: true,
          name: 'test federation',
          targets: 4,
          torrents: 3,
          manifest: { shards: 3 },
        })
        expect(report.federation).toBe(createHash('sha256').update(root).digest('hex'))
        expect(report.roles.map((role) => role.name)).toEqual([
          'root',
          'timestamp',
          'snapshot',
          'targets',
          '2026-01',
          '2026-02',
        ])
      }
    } finally {
      await server.close()
    }
  })

  const tampered: [string, (dir: string) => Promise<void>, object][] = [
    [
      'a torrent with a changed byte',
      (dir) => flip(join(dir, torrentPath(shards[1] as MergedShard))),
      { code: 'torrent', path: expect.stringContaining('aawiki-20260101') },
    ],
    [
      'a torrent that is missing',
      (dir) => rm(join(dir, torrentPath(shards[0] as MergedShard))),
      { code: 'unreachable', path: expect.stringContaining('tenwiki-20260101') },
    ],
    [
      'a changed manifest.json',
      (dir) => flip(join(dir, 'manifest.json')),
      { code: 'manifest', path: 'manifest.json' },
    ],
    [
      'a manifest.json signed by another key',
      resignManifest,
      { code: 'signature', path: 'manifest.json.minisig' },
    ],
    [
      'changed sums',
      (dir) => flip(join(dir, 'sha256sums.txt')),
      { code: 'signature', path: 'sha256sums.txt.minisig' },
    ],
    ['a changed timestamp', (dir) => flip(join(dir, 'metadata', 'timestamp.json')), { code: 'metadata' }],
    [
      'no signature file',
      (dir) => rm(join(dir, 'manifest.json.minisig')),
      { code: 'unreachable', path: 'manifest.json.minisig' },
    ],
  ]
  it.each(tampered)('names %s', async (what, tamper, problem) => {
    const dir = join(base, `tampered ${what}`)
    await cp(await published('whole', build(shards)), dir, { recursive: true })
    await tamper(dir)
    const report = await verifyPublication({ source: dir, root })
    expect(report.ok).toBe(false)
    expect(report.problems).toContainEqual(expect.objectContaining(problem))
  })

  it('refuses the publication of another federation', async () => {
    const other = await mkdtemp(join(base, 'other-'))
    const otherRoot = testRoot(await createKeys(other), now)
    const report = await verifyPublication({
      source: await published('mine', build(shards)),
      root: otherRoot,
    })
    expect(report).toMatchObject({ ok: false, torrents: 0, manifest: null })
  })

  it('names a torrent whose infohash is not the one that was signed', async () => {
    const [shard] = shards as [MergedShard]
    const infohash = '0'.repeat(40)
    const target = {
      path: torrentTarget(shard),
      bytes: shard.torrent,
      contentType: 'application/x-bittorrent',
      custom: { infohash },
    }
    const cycles = new Map([[cycleOf('20260101'), [target]]])
    const { files } = writeTufRepository({ root, keys, cycles, topTargets: [], previous: null, nowMs: now })
    const dir = join(base, 'other-infohash')
    await createLocalFolder({ dir }).publish(new Map(files.map((file) => [file.path, file])))
    const report = await verifyPublication({ source: dir, root })
    expect(report.torrents).toBe(0)
    expect(report.problems).toContainEqual({
      code: 'torrent',
      path: torrentTarget(shard),
      detail: `its infohash is ${shard.infohash}, not the one that was signed`,
    })
  })

  it.each([
    ['a folder that is not there', '/nonexistent/wikiseed'],
    ['a server that is not there', 'http://127.0.0.1:1/'],
  ])('says that it cannot reach %s', async (_, source) => {
    const report = await verifyPublication({ source, root, timeoutMs: 2_000 })
    expect(report.problems).toEqual([expect.objectContaining({ code: 'unreachable' })])
  })

  it('refuses a root that is none', async () => {
    const report = await verifyPublication({ source: pathToFileURL(base).pathname, root: Buffer.from('{}') })
    expect(report).toMatchObject({ ok: false, federation: null, problems: [{ code: 'root' }] })
  })
})

describe('buildPublication', () => {
  it('refuses a shard whose .torrent has another infohash', () => {
    const [first, second] = shards as [MergedShard, MergedShard]
    expect(() => build([{ ...first, infohash: second.infohash }])).toThrow(/does not have its infohash/)
  })
})

describe('manifest.json', () => {
  it('says what was merged', async () => {
    const file = build(shards).files.get('manifest.json')
    const manifest = readMergedManifest(file?.bytes ?? new Uint8Array())
    expect(manifest.shards.map((shard) => shard.id)).toEqual([
      'dumps/aawiki/20260101',
      'dumps/aawiki/20260201',
      'dumps/tenwiki/20260101',
    ])
    const ten = manifest.shards[2]
    expect(ten).toMatchObject({
      infohash: shards[0]?.infohash,
      replicas: 3,
      archive: { item: 'wikiseed-tenwiki-20260101', verifiedAt: '2026-01-20T00:00:00.000Z' },
      torrent: torrentPath(shards[0] as MergedShard),
    })
  })
})

/** Changes one byte in the middle, keeping JSON readable where it can. */
async function flip(path: string): Promise<void> {
  const bytes = await readFile(path)
  const at = bytes.findIndex((byte, i) => i > bytes.length / 2 && byte >= 0x30 && byte <= 0x38)
  bytes[at] = (bytes[at] ?? 0) + 1
  await writeFile(path, bytes)
}

async function resignManifest(dir: string): Promise<void> {
  const { signMinisign, createMinisignKey } = await import('../../coordinator/publish/minisign.ts')
  const key = { ...createMinisignKey(), keyId: keys.minisign.keyId }
  const bytes = await readFile(join(dir, 'manifest.json'))
  await writeFile(join(dir, 'manifest.json.minisig'), signMinisign(bytes, key, { trustedComment: 'x' }))
}

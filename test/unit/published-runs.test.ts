import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { manifestBundles, manifestShards } from '../../coordinator/publish/manifest-json.ts'
import { Progress } from '../../node/commands/progress.ts'
import { getFiles, placeOf } from '../../node/getting/get-files.ts'
import { followRedirects } from '../../node/origin/redirect.ts'
import { allRuns, runsOf, wikisLike } from '../../node/publication/runs.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { type Cycle, type ShardId, shardKey } from '../../protocol/ids.ts'
import { type MergedManifestShard, readMergedManifest } from '../../protocol/manifest/merged-manifest.ts'
import { parseMagnet } from '../../protocol/torrent/magnet.ts'
import { testShard } from '../support/publication.ts'

const [plain] = manifestShards([testShard({ wiki: 'tenwiki', date: '20260101' })])
if (plain === undefined) throw new Error('no shard')
const shard = (id: string, fields: Partial<MergedManifestShard> = {}) => ({
  ...plain,
  id: id as ShardId,
  ...fields,
})
const archived = (verifiedAt: string) => ({ archive: { item: 'wikiseed-x', verifiedAt } })

describe('the runs of a manifest', () => {
  it('are the newest first, with their parts in order', () => {
    const all = [
      shard('dumps/tenwiki/20260101'),
      shard('dumps/tenwiki/20260201~10'),
      shard('dumps/tenwiki/20260201~2'),
      shard('content_current/tenwiki/20260301'),
      shard('dumps/otherwiki/20260401'),
    ]
    expect(runsOf(all, 'tenwiki').map((run) => [run.date, run.shards.map((one) => one.id)])).toEqual([
      ['20260201', ['dumps/tenwiki/20260201~2', 'dumps/tenwiki/20260201~10']],
      ['20260101', ['dumps/tenwiki/20260101']],
    ])
    expect(runsOf(all, 'tenwiki', 'content_current')).toHaveLength(1)
    expect(allRuns(all)).toHaveLength(4)
    expect(wikisLike(all, 'tewiki')).toEqual(['tenwiki'])
  })

  it('have of two revisions the one that the Archive verified last, then the one with more replicas', () => {
    const id = 'dumps/tenwiki/20260101'
    const chosen = (...of: MergedManifestShard[]) => runsOf(of, 'tenwiki')[0]?.shards
    const [old, newer] = [
      shard(id, archived('2026-01-02T00:00:00.000Z')),
      shard(id, archived('2026-01-03T00:00:00.000Z')),
    ]
    expect(chosen(old, newer, shard(id, { replicas: 9 }))).toEqual([newer])
    expect(chosen(shard(id, { replicas: 9 }), newer, old)).toEqual([newer])
    const [few, many] = [shard(id, { replicas: 1, archive: null }), shard(id, { replicas: 2, archive: null })]
    expect(chosen(few, many)).toEqual([many])
  })

  it('are whole or in parts, never both: those with more bytes count', () => {
    const whole = shard('dumps/tenwiki/20260101', { sizeBytes: 10 })
    const parts = [1, 2].map((part) => shard(`dumps/tenwiki/20260101~${part}`, { sizeBytes: 6 }))
    expect(runsOf([whole, ...parts], 'tenwiki')[0]?.shards).toEqual(parts)
    expect(runsOf([{ ...whole, sizeBytes: 12 }, ...parts], 'tenwiki')[0]?.shards).toHaveLength(1)
  })
})

describe('peers in a manifest', () => {
  const peers = [
    { host: '192.0.2.7', port: 6881 },
    { host: '2001:db8::1', port: 6881 },
    { host: 'a b&x.pe=evil', port: 6881 },
    { host: '192.0.2.7', port: 6881 },
  ]
  const [written] = manifestShards([testShard({ wiki: 'tenwiki', date: '20260101', peers })])
  const read = (fields: object) => {
    const manifest = {
      version: 1,
      federation: 'a'.repeat(64),
      sequence: 1,
      issuedAt: '2026-01-01T00:00:00.000Z',
      shards: [{ ...written, ...fields }],
    }
    return readMergedManifest(Buffer.from(JSON.stringify(manifest))).shards[0]
  }

  it('are told once each, in order, and in the magnet link', () => {
    expect(written?.peers).toEqual([
      ['192.0.2.7', 6881],
      ['2001:db8::1', 6881],
    ])
    expect(parseMagnet(written?.magnet ?? '')?.peers).toEqual(['192.0.2.7:6881', '[2001:db8::1]:6881'])
    expect(read({})?.peers).toEqual(written?.peers)
    expect(manifestShards([testShard({ wiki: 'tenwiki', date: '20260101' })])[0]).not.toHaveProperty('peers')
  })

  it.each([
    [[['host name', 1]]],
    [[['a', 0]]],
    [[['a', 70_000]]],
    [[['a', 1, 2]]],
    [[['a']]],
    [Array(17).fill(['a', 1])],
    ['a:1'],
  ])('are refused when they are none: %j', (wrong) => {
    expect(() => read({ peers: wrong })).toThrow('manifest.shards[0].peers')
  })
})

describe('bundles in a manifest', () => {
  const shard = testShard({ wiki: 'tenwiki', date: '20260101' })
  const key = shardKey(shard.id, shard.digest)
  const [written] = manifestBundles([
    {
      name: 'wikiseed-2026-01',
      cycle: '2026-01' as Cycle,
      infohash: shard.infohash,
      sizeBytes: 5,
      shards: [key],
      torrent: shard.torrent,
      trackers: ['udp://tracker.example:1/announce'],
      webSeeds: [],
      peers: [],
      madeAtMs: 0,
    },
  ])
  const read = (bundles: unknown) => {
    const manifest = {
      version: 1,
      federation: 'a'.repeat(64),
      sequence: 1,
      shards: manifestShards([shard]),
      bundles,
    }
    const issuedAt = '2026-01-01T00:00:00.000Z'
    return readMergedManifest(Buffer.from(JSON.stringify({ ...manifest, issuedAt }))).bundles
  }

  it('are read as they were written, and a manifest without them has none', () => {
    expect(read([written])).toEqual([written])
    expect(parseMagnet(written?.magnet ?? '')?.trackers).toEqual(['udp://tracker.example:1/announce'])
    expect(read(undefined)).toBeUndefined()
  })

  it.each([
    { name: 'tenwiki' },
    { name: '../wikiseed-2026-01' },
    { name: 'wikiseed-2026-01~1' },
    { cycle: '2026-02' },
    { infohash: 'x' },
    { shards: ['tenwiki'] },
    { shards: Array(10_001).fill(key) },
    { torrent: '../x.torrent' },
    { sizeBytes: -1 },
    { peers: [['a', 0]] },
  ])('are refused when they are none: %j', (wrong) => {
    expect(() => read([{ ...written, ...wrong }])).toThrow('manifest.bundles[0].')
  })

  it('of which there are too many are refused', () => {
    expect(() => read(Array(2_001).fill(written))).toThrow('manifest.bundles')
  })
})

describe('files of a manifest', () => {
  it('that lie outside of their run never touch the disk', async () => {
    const to = mkdtempSync(join(tmpdir(), 'wikiseed-places-'))
    const hasher = new WorkerHasher()
    try {
      for (const path of ['../x', '/etc/passwd', '20260201/x', 'x', '20260101/../../x', '20260101/a\\b']) {
        const file = { ...(plain.files[0] as MergedManifestShard['files'][number]), path }
        const getting = getFiles([{ shard: plain, file }], { to, sources: [], hasher })
        await expect(getting, path).rejects.toThrow(/not a path/)
      }
      const file = plain.files[0] as MergedManifestShard['files'][number]
      expect(placeOf({ shard: plain, file })).toBe(`tenwiki/${file.path}`)
      expect(() => placeOf({ shard: { ...plain, name: 'other' }, file })).toThrow(/not a path of this run/)
    } finally {
      await hasher.close()
      rmSync(to, { recursive: true })
    }
  })
})

describe('progress', () => {
  const at = { what: 'fetching x', doneBytes: 500, allBytes: 1_000 }
  const shown = (isTerminal: boolean, times: number[]) => {
    const written: string[] = []
    let now = 0
    const progress = new Progress({
      isTerminal,
      columns: 60,
      now: () => now,
      write: (text) => void written.push(text),
    })
    for (const time of times) {
      now = time
      progress.show(at)
    }
    progress.end()
    return written
  }

  it('is a bar that is drawn over on a terminal, no wider than it, and goes in the end', () => {
    const written = shown(true, [0, 10, 200])
    expect(written).toHaveLength(3)
    expect(written[0]).toContain('████████████░░░░░░░░░░░░')
    for (const text of written) expect(text.replace('\r\x1b[K', '').length).toBeLessThan(60)
    expect(written.at(-1)).toBe('\r\x1b[K')
  })

  it('is a line now and then elsewhere, and none for short work', () => {
    expect(shown(false, [0, 100, 4_000])).toEqual([])
    expect(shown(false, [0, 5_000, 6_000, 10_000])).toEqual([
      expect.stringMatching(/^ {1,2}50 % {2}500 bytes of 1.0 kB, .*fetching x\n$/),
      expect.stringContaining('50 %'),
    ])
  })
})

describe('redirects', () => {
  it('may lead to any host below one that is named with a star before it, and to no other', async () => {
    const to = async (location: string) => {
      const client = followRedirects(
        {
          get: async (url, _request, use) =>
            use({
              status: url.host === 'archive.org' ? 302 : 200,
              header: () => location,
              body: (async function* () {})(),
            }),
          close: async () => {},
        },
        { redirectsMax: 3, hosts: ['*.archive.org'] },
      )
      return client.get(new URL('https://archive.org/download/x/y'), {}, async (response) => response.status)
    }
    expect(await to('https://ia600100.us.archive.org/0/items/x/y')).toBe(200)
    for (const location of [
      'https://evilarchive.org/x',
      'https://archive.org.evil.example/x',
      'http://ia1.archive.org/x',
    ])
      await expect(to(location), location).rejects.toMatchObject({ code: 'refused' })
  })
})

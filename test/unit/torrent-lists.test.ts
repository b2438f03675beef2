import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { manifestShards, torrentPath } from '../../coordinator/publish/manifest-json.ts'
import {
  archiveWebSeeds,
  mirrorWebSeed,
  webSeedMirrors,
  withLists,
} from '../../coordinator/publish/torrent-lists.ts'
import { PublishedLists } from '../../coordinator/published-lists.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { isInfohash, isShardKey } from '../../protocol/ids.ts'
import { parseMagnet } from '../../protocol/torrent/magnet.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { testShard } from '../support/publication.ts'

const shard = testShard({ wiki: 'tenwiki', date: '20260101' })
const url = fc.webUrl({ withQueryParameters: true, size: 'small' })
const lists = fc.record({
  trackers: fc.array(url, { maxLength: 16 }),
  webSeeds: fc.array(url, { maxLength: 8 }),
})
const decoded = (torrent: Uint8Array | null) => {
  const metainfo = torrent === null ? null : decodeMetainfo(torrent)
  if (metainfo === null) throw new Error('no torrent')
  return metainfo
}

describe('the lists around an info dictionary', () => {
  it('never change the infohash, are read back as they were, and leave nothing of earlier ones', () => {
    fc.assert(
      fc.property(lists, lists, (before, now) => {
        const first = withLists(shard.torrent, shard.infohash, before) ?? new Uint8Array()
        const second = withLists(first, shard.infohash, now) ?? new Uint8Array()
        const { info, infohash, trackers, webSeeds, comment } = decoded(second)
        expect(infohash).toBe(shard.infohash)
        expect(info).toEqual(decoded(shard.torrent).info)
        expect({ trackers, webSeeds, comment }).toEqual({
          trackers: now.trackers.map((one) => [one]),
          webSeeds: now.webSeeds,
          comment: null,
        })
        expect(second).toEqual(withLists(shard.torrent, shard.infohash, now))
      }),
    )
  })

  it('are not put around another torrent', () => {
    const other = 'c'.repeat(40)
    if (!isInfohash(other)) throw new Error('not an infohash')
    expect(withLists(shard.torrent, other, { trackers: [], webSeeds: [] })).toBeNull()
    expect(withLists(Buffer.from('no torrent'), shard.infohash, { trackers: [], webSeeds: [] })).toBeNull()
  })

  it('give the .torrent a name of its own, and come back from the magnet link as they were', () => {
    const names = new Set<string>()
    fc.assert(
      fc.property(lists, (some) => {
        const torrent = withLists(shard.torrent, shard.infohash, some) ?? new Uint8Array()
        const [row] = manifestShards([{ ...shard, ...some, torrent }])
        expect(row?.torrent).toBe(torrentPath({ ...shard, torrent }))
        names.add(row?.torrent ?? '')
        expect(parseMagnet(row?.magnet ?? '')).toEqual({
          infohash: shard.infohash,
          name: 'tenwiki',
          ...some,
          peers: [],
        })
      }),
      {
        examples: [[{ trackers: ['udp://[2001:db8::1]:80/a?b=c&d=e'], webSeeds: ['https://h/a%20b/%25/'] }]],
      },
    )
    expect(names.size).toBeGreaterThan(50)
  })
})

describe('web seeds', () => {
  const item = 'wikiseed-tenwiki-20260101'

  it("of an item are its download address and its storage node, by the site's scheme", () => {
    const storage = `ia800100.us.archive.org/12/items/${item}`
    expect(archiveWebSeeds('https://archive.org/', { item, storage })).toEqual([
      `https://archive.org/download/${item}/`,
      `https://ia800100.us.archive.org/12/items/${item}/`,
    ])
    expect(archiveWebSeeds('http://127.0.0.1:1/', { item, storage: null })).toEqual([
      `http://127.0.0.1:1/download/${item}/`,
    ])
  })

  it('are none of an item that an earlier build verified, whose layout is not known', () => {
    expect(archiveWebSeeds('https://archive.org/', { item })).toEqual([])
  })

  it('are the address before the name of the torrent: at a mirror, exports lie in other/', () => {
    expect(mirrorWebSeed('https://m.example/d%20e/', { dataset: 'dumps' })).toBe('https://m.example/d%20e/')
    expect(mirrorWebSeed('https://m.example/', { dataset: 'content_history' })).toBe(
      'https://m.example/other/',
    )
  })

  it("are never upstream's own host, whoever names it", () => {
    const mirrors = [
      'https://m.example/',
      'https://dumps.wikimedia.org/',
      'http://DUMPS.wikimedia.org./x/',
      'https://wikimedia.org/',
      'http://127.0.0.1:8/other/',
      'http://127.0.0.1:9/',
      'https://wikimedia.org.example/',
      'https://m.example/',
    ]
    expect(webSeedMirrors(mirrors, 'http://127.0.0.1:8/')).toEqual([
      'https://m.example/',
      'http://127.0.0.1:9/',
      'https://wikimedia.org.example/',
    ])
  })
})

describe('published lists', () => {
  const HOUR = 3_600_000
  const key = `${shard.id}@${shard.digest}`
  if (!isShardKey(key)) throw new Error('not a key')
  const wanted = (...webSeeds: string[]) => ({ trackers: ['udp://t.example:1'], webSeeds })

  it('change at once the first time, then once a day at most, also over a restart', async () => {
    let nowMs = 1_000 * HOUR
    const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs }
    const store = createMemoryStore()
    let published = await PublishedLists.open(store, clock)
    expect(await published.of(key, wanted())).toEqual(wanted())
    nowMs += HOUR
    expect(await published.of(key, wanted('http://a/'))).toEqual(wanted('http://a/'))
    nowMs += HOUR
    expect(await published.of(key, wanted('http://b/'))).toEqual(wanted('http://a/'))
    nowMs += 22 * HOUR
    published = await PublishedLists.open(store, clock)
    expect(await published.of(key, wanted())).toEqual(wanted('http://a/'))
    nowMs += HOUR
    expect(await published.of(key, wanted())).toEqual(wanted())
    nowMs += HOUR
    expect(await published.of(key, wanted('http://a/'))).toEqual(wanted())
  })

  it('give each shard at most one new name a day, whatever is wanted when', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.constantFrom('a', 'b', 'c')), {
          maxLength: 60,
        }),
        async (steps) => {
          let nowMs = 0
          const published = await PublishedLists.open(createMemoryStore(), {
            wallMs: () => nowMs,
            monotonicMs: () => nowMs,
          })
          const changedAtMs: number[] = []
          let last: string | null = null
          for (const [hours, name] of steps) {
            nowMs += hours * HOUR
            const text = JSON.stringify(await published.of(key, wanted(name)))
            if (last !== null && text !== last) changedAtMs.push(nowMs)
            last = text
          }
          const gaps = changedAtMs.slice(1).map((at, index) => at - (changedAtMs[index] ?? 0))
          expect(gaps.every((gap) => gap >= 24 * HOUR)).toBe(true)
        },
      ),
    )
  })
})

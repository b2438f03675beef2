import { describe, expect, it } from 'vitest'
import { torrentPath } from '../../coordinator/publish/manifest-json.ts'
import { feedItems, feedXml } from '../../coordinator/publish/rss.ts'
import { sha256sums } from '../../coordinator/publish/sha256sums.ts'
import type { Cycle } from '../../protocol/ids.ts'
import { testShard } from '../support/publication.ts'

const URL_BASE = 'https://example.org/a&b/'
const shard = testShard({ wiki: 'tenwiki', date: '20260101' })
const tags = (xml: string, name: string) =>
  [...xml.matchAll(new RegExp(`<${name}[^>]*>([^<]*)</${name}>`, 'g'))].map((match) => match[1])

describe('feed', () => {
  it('gives each torrent a guid of its infohash and an enclosure with its exact length', () => {
    const xml = feedItems([shard], [], URL_BASE)
    expect(tags(xml, 'guid')).toEqual([`urn:btih:${shard.infohash}`])
    expect(xml).toContain(
      `<enclosure url="https://example.org/a&amp;b/${torrentPath(shard)}" length="${shard.torrent.length}" type="application/x-bittorrent"/>`,
    )
    expect(tags(xml, 'title')).toEqual(['tenwiki 20260101 dumps'])
    expect(tags(xml, 'pubDate')).toEqual(['Mon, 19 Jan 2026 00:00:00 GMT'])
  })

  it('gives magnet links when the publication has no address', () => {
    const xml = feedItems([shard], [], null)
    expect(tags(xml, 'link')).toEqual([`magnet:?xt=urn:btih:${shard.infohash}&amp;dn=tenwiki`])
    expect(xml).not.toContain('<enclosure')
  })

  it('has an item for each bundle, by when it was made', () => {
    const bundle = {
      name: 'wikiseed-2026-01',
      cycle: '2026-01' as Cycle,
      infohash: shard.infohash,
      sizeBytes: 5,
      shards: [],
      torrent: shard.torrent,
      trackers: ['udp://tracker.example:1/announce'],
      webSeeds: [],
      peers: [],
      madeAtMs: shard.acceptedAtMs + 1_000,
    }
    const xml = feedItems([shard], [bundle], URL_BASE)
    expect(tags(xml, 'title')).toEqual(['wikiseed-2026-01 bundle', 'tenwiki 20260101 dumps'])
    expect(xml).toMatch(/url="[^"]*\/2026-01\/[0-9a-f]{64}\.wikiseed-2026-01\.torrent"/)
    expect(tags(feedItems([shard], [{ ...bundle, madeAtMs: 0 }], URL_BASE), 'title')[0]).toBe(
      'tenwiki 20260101 dumps',
    )
  })

  it('holds the 50 newest', () => {
    const many = Array.from({ length: 60 }, (_, i) =>
      testShard({ wiki: `w${i}wiki`, date: '20260101', acceptedAtMs: i }),
    )
    const titles = tags(feedItems(many, [], null), 'title')
    expect(titles).toHaveLength(50)
    expect(titles[0]).toBe('w59wiki 20260101 dumps')
  })

  it('escapes the name', () => {
    const xml = Buffer.from(feedXml('', { name: 'a<b>&"c', publicUrl: null, lastBuildAtMs: 0 })).toString()
    expect(xml).toContain('<title>a&lt;b&gt;&amp;&quot;c: newest dumps</title>')
    expect(tags(xml, 'lastBuildDate')).toEqual(['Thu, 01 Jan 1970 00:00:00 GMT'])
  })
})

describe('sha256sums.txt', () => {
  it('has the form that sha256sum -c reads, sorted by path', () => {
    const other = testShard({ wiki: 'aawiki', date: '20260101' })
    const lines = Buffer.from(sha256sums([shard, other]))
      .toString()
      .split('\n')
    expect(lines).toEqual([
      `${other.files[0]?.digests.sha256}  aawiki/20260101/aawiki-20260101-pages-articles.xml.bz2`,
      `${shard.files[0]?.digests.sha256}  tenwiki/20260101/tenwiki-20260101-pages-articles.xml.bz2`,
      '',
    ])
  })

  it('names each path once, with the revision that was accepted last', () => {
    const later = testShard({
      wiki: 'tenwiki',
      date: '20260101',
      content: 'changed upstream',
      acceptedAtMs: shard.acceptedAtMs + 1,
    })
    for (const list of [
      [shard, later],
      [later, shard],
    ]) {
      const text = Buffer.from(sha256sums(list)).toString()
      expect(text).toBe(`${later.files[0]?.digests.sha256}  tenwiki/${later.files[0]?.path}\n`)
    }
  })
})

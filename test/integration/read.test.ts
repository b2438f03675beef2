/** `wikiseed read` from a swarm: what goes over the wire, and what is printed. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { useCli, wikiseed } from '../support/cli.ts'
import { FIXTURES, type Published, publishRuns } from '../support/published.ts'
import { indexOf, randomTitles, readOne } from '../support/read-many.ts'

let published: Published
beforeAll(async () => {
  published = await publishRuns({ runs: ['fatwiki/20240920'], seeds: 2 })
})
afterAll(() => published.close())

/** Titles and texts of every page, by Python's bz2 and expat: nothing of ours. */
function textsByPython(): Map<string, string | null> {
  const path = join(FIXTURES, 'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2')
  const script = `
import bz2, json, sys, xml.etree.ElementTree as E
ns = '{http://www.mediawiki.org/xml/export-0.11/}'
root = E.fromstring(bz2.open(sys.argv[1]).read())
print(json.dumps([[p.find(ns+'title').text, p.find(ns+'revision/'+ns+'text').text or ''] for p in root.iter(ns+'page')]))`
  const out = execFileSync('python3', ['-c', script, path], { maxBuffer: 256 * 1024 * 1024 })
  return new Map(JSON.parse(out.toString()) as [string, string][])
}

describe('100 random titles of fatwiki from a swarm of two nodes', () => {
  it('need no more than the pieces of the index and the stream, plus 2, plus 10 %, and are what the dump says', async () => {
    const of = await indexOf(published)
    const texts = textsByPython()
    const before = published.seeds.map(({ meter }) => meter.bytes())
    for (const title of randomTitles(of.index, 100, 20240920)) {
      const one = await readOne(published, title, of)
      expect(one.found, title).toBe(true)
      expect(one.text, title).toBe(texts.get(title))
      expect(one.wireBytes, title).toBeLessThanOrEqual(one.boundBytes)
      expect(one.payloadBytes, title).toBeLessThan(one.wireBytes)
    }
    published.seeds.forEach(({ meter }, index) => {
      expect(meter.bytes()).toBeGreaterThan(before[index] ?? 0)
    })
  }, 120_000)

  it('are not there when they are not, and only the index and the siteinfo are read then', async () => {
    const of = await indexOf(published)
    const one = await readOne(published, 'No such page at all', of)
    expect(one.found).toBe(false)
    expect(one.wireBytes).toBeLessThanOrEqual(one.boundBytes)
  })
})

describe('wikiseed read', () => {
  useCli()
  const from = () => ['--manifest', published.dir, '--root', published.rootPath]

  it('prints the wikitext of a page from the swarm of a published manifest', async () => {
    const read = await wikiseed('read', 'fatwiki', 'nhwɛdo:databox', ...from())
    expect(read).toEqual({ code: 0, out: '{{#invoke:Databox|databox}}\n', error: '' })
  })

  it('prints the same from a folder, and takes underscores and English names of namespaces', async () => {
    const read = await wikiseed('read', 'fatwiki@2024-09-20', 'template:Databox', '--from', FIXTURES)
    expect(read).toEqual({ code: 0, out: '{{#invoke:Databox|databox}}\n', error: '' })
    const title = 'dzodze_Penyi_Senior_High School'
    const json = await wikiseed('read', 'fatwiki', title, '--from', FIXTURES, '--json')
    expect(JSON.parse(json.out)).toMatchObject({
      found: true,
      title: 'Dzodze Penyi Senior High School',
      pageId: 3680,
      ns: 0,
      fetchedBytes: null,
    })
    const xml = await wikiseed('read', 'fatwiki', title, '--from', FIXTURES, '--xml')
    expect(xml.out).toMatch(
      /^ {2}<page>\n {4}<title>Dzodze Penyi Senior High School<\/title>[\s\S]*<\/page>\n$/,
    )
  })

  it('reads the last page of the last stream, behind which only the closing tag stands', async () => {
    const title = 'Ebenezer Senior High School'
    const read = await wikiseed('read', 'fatwiki', title, ...from(), '--json')
    expect(JSON.parse(read.out)).toMatchObject({ title, pageId: 3681 })
    expect(JSON.parse(read.out).fetchedBytes).toBeGreaterThan(0)
  })

  it('tells near titles of one that is not there, with exit code 1', async () => {
    const title = 'Dzodze Peni Senior High School'
    const read = await wikiseed('read', 'fatwiki', title, ...from())
    expect([read.code, read.out]).toEqual([1, ''])
    expect(read.error).toContain('has no page "Dzodze Peni Senior High School"')
    expect(read.error).toContain('Near it: Dzodze Penyi Senior High School')
    const json = await wikiseed('read', 'fatwiki', title, '--from', FIXTURES, '--json')
    expect(json.code).toBe(1)
    expect(JSON.parse(json.out)).toMatchObject({ found: false, near: ['Dzodze Penyi Senior High School'] })
  })

  it('says what is missing in a sentence', async () => {
    const cases: [string[], RegExp][] = [
      [['fatwiki', 'X'], /--manifest <url\|dir> is needed/],
      [['fat wiki', 'X', ...from()], /"fat wiki" is not a wiki/],
      [['fatwiki@1', 'X', ...from()], /"1" is not a date/],
      [['fatwiki@20200101', 'X', ...from()], /has no dump of fatwiki of 20200101; there are 20240920/],
      [['fatwik', 'X', ...from()], /has no dump of fatwik; there are fatwiki/],
      [['afwiki', 'X', '--from', FIXTURES], /afwiki of 20260101 has no multistream dump/],
    ]
    for (const [args, sentence] of cases) {
      const read = await wikiseed('read', ...args)
      expect(read.code).toBe(1)
      expect(read.error).toMatch(sentence)
    }
  })
})

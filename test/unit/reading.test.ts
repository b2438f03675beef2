import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readArticle } from '../../node/reading/article.ts'
import type { RunSource } from '../../node/reading/byte-source.ts'
import { localRunDates, openLocalRun } from '../../node/reading/local-source.ts'
import { multistreamsOf } from '../../node/reading/multistream.ts'
import { distance, NearTitles } from '../../node/reading/near-titles.ts'
import { lastRevision, pagesOf } from '../../node/reading/pages.ts'
import { readSiteInfo, titleForms } from '../../node/reading/titles.ts'
import { xmlText } from '../../node/reading/xml-text.ts'
import { bzip2, header, pageXml, writeMultistream } from '../support/multistream.ts'

describe('titles', () => {
  const site = readSiteInfo(header('tenwiki'))
  if (site === null) throw new Error('no siteinfo')
  it.each([
    ['cape_coast', 'Cape coast'],
    ['  Cape   Coast_', 'Cape Coast'],
    ['modelo:databox', 'Modelo:Databox'],
    ['Template: databox', 'Modelo:Databox'],
    [':category:Towns', 'Kategorie:Towns'],
    ['WP: x', 'WP: x'],
    ['2001: A Space Odyssey', '2001: A Space Odyssey'],
    ['éa', 'Éa'],
    ['ßa', 'ßa'],
    ['e\u0301a', 'Éa'],
  ])('%j stands in the dump as %j', (typed, form) => {
    expect(titleForms(typed, site)[0]).toBe(form)
  })

  it('keep their first letter where the namespace is case-sensitive', () => {
    const wiktionary = readSiteInfo(header('tenwiktionary').replaceAll('first-letter', 'case-sensitive'))
    if (wiktionary === null) throw new Error('no siteinfo')
    expect(titleForms('word', wiktionary)).toEqual(['word'])
    expect(readSiteInfo('<html><dbname>x</dbname>')).toBeNull()
  })

  it('that are near are told by letter case, marks and few changed letters', () => {
    const near = new NearTitles('cafe')
    for (const title of ['Café', 'Cafe del Mar', 'Case', 'Elephant', 'CAFE']) near.look(title)
    expect(near.titles()).toEqual(['CAFE', 'Café', 'Case', 'Cafe del Mar'])
    expect(distance('kitten', 'sitting', 3)).toBe(3)
    expect(distance('kitten', 'sitting', 2)).toBeNull()
  })
})

describe('pages', () => {
  it('are cut whole, with their title, id and text as meant', () => {
    const text = 'a < b && "c" <page> </page>\n&amp; Ɔ'
    const xml = `cut off</text></page>\n${pageXml({ id: 7, title: 'R&D "x"', text })}${pageXml({ id: 8, title: 'B', text: '' })}  <page><title>cut`
    const pages = [...pagesOf(xml)]
    expect(pages.map(({ id, ns, title }) => [id, ns, title])).toEqual([
      [7, 0, 'R&D "x"'],
      [8, 0, 'B'],
    ])
    const [first] = pages
    if (first === undefined) throw new Error('no page')
    expect(lastRevision(first)).toMatchObject({ id: 1_007, model: 'wikitext', text })
    expect(first.xml).toBe(pageXml({ id: 7, title: 'R&D "x"', text }))
  })

  it('have the text of the last revision, an empty one, or none when it was deleted', () => {
    const of = (texts: string[]) =>
      [
        ...pagesOf(
          `<page><title>A</title><ns>0</ns><id>1</id>${texts.map((t, i) => `<revision><id>${i}</id>${t}</revision>`).join('')}</page>`,
        ),
      ].map((page) => lastRevision(page)?.text)
    expect(of(['<text>old</text>', '<text bytes="3">new</text>'])).toEqual(['new'])
    expect(of(['<text bytes="0" />'])).toEqual([''])
    expect(of(['<text bytes="9" deleted="deleted" />'])).toEqual([null])
    expect(of([])).toEqual([undefined])
  })

  it('keep references that mean nothing', () => {
    expect(xmlText('&#233;&#xe9;&nbsp;&#x110000;&amp;amp;')).toBe('éé&nbsp;&#x110000;&amp;')
  })
})

describe('a multistream dump', () => {
  let root: string
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'wikiseed-reading-'))
    const folder = join(root, 'tenwiki', '20260101')
    const page = (id: number, title: string) => ({ id, title, text: `text of ${title}` })
    writeMultistream(
      folder,
      'tenwiki-20260101',
      [[page(1, 'A'), page(2, 'B: the "second"')], [page(3, 'C')]],
      { number: '1', range: '-p1p3' },
    )
    writeMultistream(folder, 'tenwiki-20260101', [[page(10, 'J')], [page(11, 'K'), page(12, 'L')]], {
      number: '2',
      range: '-p10p12',
    })
  })
  afterAll(() => rmSync(root, { recursive: true }))

  const read = async (title: string, date = '20260101') =>
    readArticle(await openLocalRun(root, 'tenwiki', date), title)

  it('in parts is read by the index of each part', async () => {
    expect(await localRunDates(root, 'tenwiki')).toEqual(['20260101'])
    for (const title of ['A', 'b:_the "second"', 'C', 'J', 'K', 'L']) {
      const result = await read(title)
      expect(result.found && lastRevision(result.page)?.text, title).toBe(
        `text of ${title.replace('b:_', 'B: ')}`,
      )
    }
    expect(await read('M')).toMatchObject({ found: false, near: ['A', 'C', 'J', 'K', 'L'] })
  })

  it('in parts is taken before the one whole file, in the order of numbers, only where both files of a pair are there', () => {
    const name = (rest: string) => ({
      name: `enwiki-20260901-pages-articles-multistream${rest}`,
      sizeBytes: 1,
    })
    const files = ['10.xml-p9p10.bz2', '2.xml-p3p4.bz2', '2.xml-p5p6.bz2', '.xml.bz2'].flatMap((rest) => [
      name(rest),
      name(`-index${rest.replace('xml', 'txt')}`),
    ])
    const lonely = name('3.xml-p7p8.bz2')
    const rests = multistreamsOf([...files, lonely]).map((pair) =>
      pair.content.name.slice('enwiki-20260901-pages-articles-multistream'.length),
    )
    expect(rests).toEqual(['2.xml-p3p4.bz2', '2.xml-p5p6.bz2', '10.xml-p9p10.bz2'])
    expect(multistreamsOf(files.slice(-2)).map((pair) => pair.content.name)).toEqual([name('.xml.bz2').name])
  })

  it.each([
    ['an index that is none', bzip2('hello\n'), 'is no index of a multistream dump'],
    ['an index that points behind the dump', bzip2('99999999:1:A\n'), 'points behind the end'],
    ['an index that is not packed', Buffer.from('x:y:z'), 'cannot be decompressed'],
    ['an index that points between streams', bzip2('300:1:A\n'), 'cannot be decompressed'],
    ['an index with another page', null, 'does not hold page 9 where its index says'],
  ])('with %s is refused in a sentence', async (_what, index, sentence) => {
    const folder = join(root, 'tenwiki', '20260201')
    writeMultistream(folder, 'tenwiki-20260201', [[{ id: 1, title: 'A', text: 'x' }]])
    const path = join(folder, 'tenwiki-20260201-pages-articles-multistream-index.txt.bz2')
    const start = bzip2(header('tenwiki')).length
    writeFileSync(path, index ?? bzip2(`${start}:9:A\n`))
    await expect(read('A', '20260201')).rejects.toThrow(sentence)
  })

  it('is not there in a run without one', async () => {
    const run: RunSource = {
      dataset: 'dumps',
      wiki: 'tenwiki',
      date: '20260301',
      files: [],
      open: () => Promise.reject(new Error('not asked')),
      close: async () => {},
    }
    await expect(readArticle(run, 'A')).rejects.toMatchObject({ name: 'DumpFormatError' })
  })
})

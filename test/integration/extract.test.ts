/** `wikiseed extract`: subsets that other programs read as exports. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { at, useCli, wikiseed } from '../support/cli.ts'
import { header, pageXml, writeMultistream } from '../support/multistream.ts'
import { FIXTURES, type Published, publishRuns } from '../support/published.ts'
import { writeTable } from '../support/tables.ts'

useCli()

/** Titles and texts by Python's XML parser, which refuses what is not well-formed. */
function pagesByPython(path: string): Record<string, string> {
  const script = `
import json, sys, xml.etree.ElementTree as E
root = E.parse(sys.argv[1]).getroot()
assert root.tag == '{http://www.mediawiki.org/xml/export-0.11/}mediawiki', root.tag
assert root[0].tag.endswith('siteinfo')
print(json.dumps({p.find('{*}title').text: p.find('{*}revision/{*}text').text or '' for p in root.findall('{*}page')}))`
  return JSON.parse(execFileSync('python3', ['-c', script, path]).toString())
}

describe('pages of fatwiki by title', () => {
  it('are an export with the header and the closing tag of the dump, each page as it stands there', async () => {
    writeFileSync(
      at('titles.txt'),
      '\uFEFFdzodze_Penyi Senior High School\r\ntemplate:databox\n\nEbenezer Senior High School\n',
    )
    const out = at('some.xml')
    const args = ['--titles', at('titles.txt'), '--from', FIXTURES, '--out', out]
    const done = await wikiseed('extract', 'fatwiki', ...args, '--json')
    expect(JSON.parse(done.out)).toMatchObject({ pages: 3, streams: 2, missing: [] })
    expect(Object.keys(pagesByPython(out))).toEqual([
      'Nhwɛdo:Databox',
      'Dzodze Penyi Senior High School',
      'Ebenezer Senior High School',
    ])
    const script = 'import bz2, sys; sys.stdout.buffer.write(bz2.open(sys.argv[1]).read())'
    const dump = join(FIXTURES, 'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2')
    const whole = execFileSync('python3', ['-c', script, dump], { maxBuffer: 64 * 1024 * 1024 }).toString()
    const xml = readFileSync(out, 'utf8')
    const start = whole.indexOf('  <page>')
    expect(xml.startsWith(whole.slice(0, start))).toBe(true)
    expect(xml.endsWith('  </page>\n</mediawiki>\n')).toBe(true)
    for (const page of xml
      .slice(start)
      .split(/(?<=<\/page>\n)/)
      .slice(0, -1))
      expect(whole).toContain(page)
  })

  it('go to the standard output, and titles that are not there are told, with exit code 1', async () => {
    writeFileSync(at('titles.txt'), 'Nhwɛdo:Databox\nNo such page\n')
    const done = await wikiseed('extract', 'fatwiki', '--titles', at('titles.txt'), '--from', FIXTURES)
    expect(done.code).toBe(1)
    expect(done.error).toContain('1 pages of fatwiki of 20240920, out of 1 streams.\nnot there: No such page')
    writeFileSync(at('out.xml'), done.out)
    expect(pagesByPython(at('out.xml'))).toEqual({ 'Nhwɛdo:Databox': '{{#invoke:Databox|databox}}' })
  })

  it('come from the swarm too, of the dump only the streams that are needed', async () => {
    const published: Published = await publishRuns({ runs: ['fatwiki/20240920'], seeds: 2 })
    try {
      writeFileSync(at('titles.txt'), 'Nhwɛdo:Databox\n')
      const from = ['--manifest', published.dir, '--root', published.rootPath]
      const done = await wikiseed(
        'extract',
        'fatwiki',
        '--titles',
        at('titles.txt'),
        ...from,
        '--out',
        at('a.xml'),
        '--json',
      )
      expect(JSON.parse(done.out)).toMatchObject({ pages: 1, streams: 1 })
      expect(Object.keys(pagesByPython(at('a.xml')))).toEqual(['Nhwɛdo:Databox'])
      expect(published.wireBytes()).toBeLessThan(300_000)
    } finally {
      await published.close()
    }
  })

  it('are not asked for in two ways or none', async () => {
    const cases: [string[], RegExp][] = [
      [[], /one of --titles <file> and --category-from-sql <name> is needed/],
      [['--titles', 'x', '--category-from-sql', 'y'], /one of --titles/],
      [['--titles', 'x', '--depth', '2'], /--depth is of subcategories/],
      [['--titles', at('none.txt')], /cannot be read/],
      [['--category-from-sql', 'x', '--json'], /--json needs --out/],
      [['--category-from-sql', 'x'], /fatwiki of 20240920 has no categorylinks.sql.gz/],
    ]
    for (const [args, sentence] of cases) {
      const done = await wikiseed('extract', 'fatwiki', '--from', FIXTURES, ...args)
      expect(done.code).toBe(1)
      expect(done.error).toMatch(sentence)
    }
  })
})

describe('pages of a category', () => {
  const START = 'tenwiki-20260101'
  let folder: string
  let mirror: string
  const page = (id: number, title: string) => ({ id, title, text: `text of ${title}` })
  beforeAll(() => {
    mirror = mkdtempSync(join(tmpdir(), 'wikiseed-extract-'))
    folder = join(mirror, 'tenwiki', '20260101')
    writeMultistream(folder, START, [[page(1, 'A'), page(2, 'B')], [page(3, 'C')]], {
      number: '1',
      range: '-p1p3',
    })
    writeMultistream(folder, START, [[page(10, 'J')], [page(11, 'K')]], { number: '2', range: '-p10p11' })
    const rows = [
      [2, 0, 'B'],
      [99, 1, "Only_talked'about"],
      [14, 14, 'Big_towns'],
    ]
    writeTable(folder, START, 'page', ['page_id', 'page_namespace', 'page_title'], rows)
  })
  afterAll(() => rmSync(mirror, { recursive: true, force: true }))
  beforeEach(() => rmSync(join(folder, `${START}-linktarget.sql.gz`), { force: true }))

  const numbered = (rows: (string | number)[][]) =>
    writeTable(folder, START, 'categorylinks', ['cl_from', 'cl_type', 'cl_target_id'], rows)
  const extract = (name: string, ...more: string[]) =>
    wikiseed(
      'extract',
      'tenwiki',
      '--category-from-sql',
      name,
      '--from',
      mirror,
      '--out',
      at('c.xml'),
      ...more,
    )

  it('are found by the number of the category in newer tables, over all parts, without subcategories', async () => {
    const targets = [
      [5, 14, 'Big_towns'],
      [6, 0, 'Big_towns'],
    ]
    writeTable(folder, START, 'linktarget', ['lt_id', 'lt_namespace', 'lt_title'], targets)
    numbered([
      [2, 'page', 5],
      [3, 'page', 6],
      [11, 'page', 5],
      [1, 'subcat', 5],
    ])
    for (const name of ['big towns', 'Category:Big_towns', 'kategorie:big towns']) {
      const done = await extract(name, '--json')
      expect(JSON.parse(done.out)).toMatchObject({ pages: 2, streams: 2, missing: [] })
      expect(readFileSync(at('c.xml'), 'utf8')).toBe(
        `${header('tenwiki')}${pageXml(page(2, 'B'))}${pageXml(page(11, 'K'))}</mediawiki>\n`,
      )
    }
  })

  it('are found by its title in older tables, and those that the dump does not hold are named', async () => {
    const rows = [
      [2, 'Big_towns', 'page'],
      [99, 'Big_towns', 'page'],
      [3, 'Small_towns', 'page'],
    ]
    writeTable(folder, START, 'categorylinks', ['cl_from', 'cl_to', 'cl_type'], rows)
    const done = await extract('Big towns', '--json')
    expect(done.code).toBe(1)
    expect(JSON.parse(done.out)).toMatchObject({ pages: 1, missing: ["Only talked'about"] })
  })

  it('are those of its subcategories too, as deep as is asked, and a circle ends', async () => {
    const pages = [
      [1, 0, 'A'],
      [14, 14, 'Big_towns'],
      [15, 14, 'Huge_towns'],
      [16, 14, 'Capitals'],
    ]
    writeTable(folder, START, 'page', ['page_id', 'page_namespace', 'page_title'], pages)
    // Towns > Big towns > Huge towns > Capitals > Towns; a page in each.
    const links: [number, string, string, number][] = [
      [1, 'page', 'Towns', 4],
      [14, 'subcat', 'Towns', 4],
      [2, 'page', 'Big_towns', 5],
      [15, 'subcat', 'Big_towns', 5],
      [3, 'page', 'Huge_towns', 6],
      [16, 'subcat', 'Huge_towns', 6],
      [10, 'page', 'Capitals', 7],
      [14, 'subcat', 'Capitals', 7],
    ]
    const older = () =>
      writeTable(
        folder,
        START,
        'categorylinks',
        ['cl_from', 'cl_type', 'cl_to'],
        links.map(([from, type, to]) => [from, type, to]),
      )
    const newer = () => {
      const targets = ['Towns', 'Big_towns', 'Huge_towns', 'Capitals'].map((title, index) => [
        index + 4,
        14,
        title,
      ])
      writeTable(folder, START, 'linktarget', ['lt_id', 'lt_namespace', 'lt_title'], targets)
      numbered(links.map(([from, type, , target]) => [from, type, target]))
    }
    for (const write of [older, newer]) {
      write()
      for (const [depth, titles] of [
        ['0', ['A']],
        ['1', ['A', 'B']],
        ['2', ['A', 'B', 'C']],
        ['50', ['A', 'B', 'C', 'J']],
      ] as const) {
        const done = await extract('Towns', '--depth', depth, '--json')
        expect([done.code, done.error]).toEqual([0, ''])
        expect(Object.keys(pagesByPython(at('c.xml')))).toEqual(titles)
      }
    }
  })

  it('that is not there, or cannot be known, is told in a sentence, and no file is left', async () => {
    numbered([[2, 'page', 5]])
    const unknown = await extract('Big towns')
    expect([unknown.code, unknown.error]).toEqual([1, expect.stringContaining('has no linktarget table')])
    writeTable(folder, START, 'linktarget', ['lt_id', 'lt_namespace', 'lt_title'], [[5, 14, 'Big_towns']])
    const none = await extract('Tiny towns')
    expect([none.code, none.error]).toEqual([1, expect.stringContaining('is in the category Tiny towns')])
    expect(existsSync(at('c.xml'))).toBe(false)
    expect(existsSync(at('c.xml.part'))).toBe(false)
  })
})

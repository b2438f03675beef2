/** `wikiseed restore`: a folder from which MediaWiki brings a wiki back, and what it says of what is in it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { planRestore } from '../../node/restoring/plan.ts'
import { at, useCli, wikiseed } from '../support/cli.ts'
import { bzip2, header, pageXml } from '../support/multistream.ts'
import { type Published, publishRuns } from '../support/published.ts'
import { writeTable } from '../support/tables.ts'

let made: string
let published: Published
const START = 'tenwiki-20260101'
const STATS = ['ss_row_id', 'ss_total_edits', 'ss_good_articles', 'ss_total_pages']

beforeAll(async () => {
  made = mkdtempSync(join(tmpdir(), 'wikiseed-made-'))
  const write = (date: string, totalPages: number) => {
    const folder = join(made, 'tenwiki', date)
    const start = `tenwiki-${date}`
    mkdirSync(folder, { recursive: true })
    const pages = Array.from({ length: 300 }, (_, index) =>
      pageXml({ id: index + 1, title: `P ${index}`, text: 'x <page> &' }),
    )
    const twice = pages.map((xml) => xml.replace(/( {4}<revision>[\s\S]*<\/revision>\n)/, '$1$1'))
    const special = header('tenwiki').replace(
      '    </namespaces>',
      '      <namespace key="100" case="first-letter">Port \'a`l</namespace>\n    </namespaces>',
    )
    writeFileSync(
      join(folder, `${start}-pages-meta-history.xml.bz2`),
      bzip2(`${special}${twice.join('')}</mediawiki>\n`),
    )
    writeFileSync(
      join(folder, `${start}-pages-articles.xml.bz2`),
      bzip2(`${special}${pages.join('')}</mediawiki>\n`),
    )
    writeTable(folder, start, 'site_stats', STATS, [[1, 650, 200, totalPages]])
    writeTable(folder, start, 'page', ['page_id'], [[1]])
  }
  write('20260101', 301)
  write('20260201', 900)
  published = await publishRuns({ runs: ['tenwiki/20260101', 'tenwiki/20260201'], from: made, seeds: 2 })
})
afterAll(async () => {
  await published.close()
  rmSync(made, { recursive: true, force: true })
})

useCli()
const from = () => ['--manifest', published.dir, '--root', published.rootPath]

describe('wikiseed restore', () => {
  it('brings the fullest dump and the tables, counted and compared with what the wiki said of itself', async () => {
    const done = await wikiseed('restore', 'tenwiki@20260101', ...from(), '--to', at('again'), '--json')
    expect([done.code, done.error]).toEqual([0, ''])
    const report = JSON.parse(done.out)
    expect(report).toMatchObject({
      ok: true,
      kind: 'pages-meta-history',
      counts: { pages: 300, revisions: 600 },
      comparisons: [
        { what: 'pages', counted: 300, said: 301, fits: true },
        { what: 'revisions', counted: 600, said: 650, fits: true },
      ],
    })
    const names = (report.files as { path: string }[]).map(({ path }) =>
      path.replace(/wikiseed-\w{8}/, 'wikiseed'),
    )
    expect(names).toEqual([
      ...['page.sql.gz', 'pages-meta-history.xml.bz2', 'site_stats.sql.gz'].map(
        (rest) => `tenwiki/20260101/${START}-${rest}`,
      ),
      ...['HASH.json', 'STATUS.json', 'README.txt'].map((name) => `tenwiki/20260101/wikiseed/${name}`),
    ])
    const sums = spawnSync('sha256sum', ['-c', 'sha256sums.txt'], { cwd: at('again') })
    expect(sums.status).toBe(0)
    const readme = readFileSync(at('again', 'README.md'), 'utf8')
    expect(readme).toContain('every page with all its revisions')
    const settings = readFileSync(at('again', 'settings.php'), 'utf8')
    expect(settings).toContain("$wgLanguageCode = 'ten';")
    expect(settings).toContain("$wgExtraNamespaces[10] = 'Modelo';")
    expect(settings).toContain("$wgExtraNamespaces[100] = 'Port_\\'al';")
    expect(readme).toContain('As it should be: 300 pages, the wiki counted 301.')
  })

  it('writes a script that imports by MediaWiki, and stops when a file is not what was published', async () => {
    await wikiseed('restore', 'tenwiki@20260101', ...from(), '--to', at('again'))
    const said = fakeMediaWiki()
    const script = (env: NodeJS.ProcessEnv) =>
      spawnSync('sh', [at('again', 'restore.sh')], {
        env: { PATH: process.env.PATH ?? '', HOME: at(), ...env },
      })
    expect(script({}).stderr.toString()).toContain('the folder of MediaWiki')
    const tools = { MEDIAWIKI: at('mw'), PHP: at('php'), MYSQL: at('mysql') }
    const ran = script(tools)
    expect([ran.status, ran.stderr.toString()]).toEqual([0, ''])
    const run = join(at('mw'), 'maintenance', 'run.php')
    const history = at('again', 'tenwiki/20260101', `${START}-pages-meta-history.xml.bz2`)
    const calls = [
      at('again', 'wikiseed.php'),
      'importDump --no-updates --report 1000',
      'refreshLinks',
      'initSiteStats --update',
      'rebuildrecentchanges',
      'rebuildtextindex',
      `${at('again', 'wikiseed.php')} --pages 300 --revisions 600`,
    ]
    expect(said()).toEqual(calls.map((call) => `php ${run} ${call}`))
    const tables = script({ ...tools, TABLES_DB: 'old' })
    expect(tables.status).toBe(0)
    expect(said().slice(-5, -1)).toEqual([
      'mysql --help',
      'mysql -e CREATE DATABASE IF NOT EXISTS `old`',
      'mysql old',
      'mysql old',
    ])
    writeFileSync(history, 'other bytes')
    const before = said().length
    expect(script(tools).status).not.toBe(0)
    expect(said()).toHaveLength(before)
  })

  it('says when the pages are not as many as the wiki had, with exit code 1', async () => {
    const done = await wikiseed('restore', 'tenwiki', ...from(), '--to', at('again'))
    expect(done.code).toBe(1)
    expect(done.out).toContain('NOT as it should be: 300 pages, the wiki counted 900.')
    expect(existsSync(at('again', 'tenwiki', '20260201'))).toBe(true)
  })
})

describe('wikiseed restore of real dumps', () => {
  let real: Published
  beforeAll(async () => {
    real = await publishRuns({ runs: ['fatwiki/20240920', 'aawiki/20260101', 'metawiki/20240401'], seeds: 1 })
  })
  afterAll(() => real.close())

  it('counts 7z and bzip2 as Python counts them', async () => {
    const args = ['--manifest', real.dir, '--root', real.rootPath, '--to', at('again'), '--json']
    const script = `
import bz2, re, sys
text = bz2.open(sys.argv[1]).read()
print(len(re.findall(b'<page>', text)), len(re.findall(b'<revision>', text)))`
    const python = (path: string) =>
      execFileSync('python3', ['-c', script, join(real.mirror, path)])
        .toString()
        .trim()
        .split(' ')
        .map(Number)
    const fat = JSON.parse((await wikiseed('restore', 'fatwiki', ...args)).out)
    expect(fat.kind).toBe('pages-articles')
    const [pages, revisions] = python('fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2')
    expect(fat.counts).toEqual({ pages, revisions })
    const aa = JSON.parse((await wikiseed('restore', 'aawiki', ...args)).out)
    expect(aa.kind).toBe('pages-meta-history')
    // The newest revision of every page of the history is what pages-meta-current has.
    const [current = 0] = python('aawiki/20260101/aawiki-20260101-pages-meta-current.xml.bz2')
    expect(aa.counts.pages).toBe(current)
    expect(aa.counts.revisions).toBeGreaterThan(current)
  })

  it('of a run without pages is refused', async () => {
    const done = await wikiseed(
      'restore',
      'metawiki',
      '--manifest',
      real.dir,
      '--root',
      real.rootPath,
      '--to',
      at('again'),
    )
    expect([done.code, done.error]).toEqual([1, expect.stringContaining('has no dump of pages')])
  })
})

describe('what a restore takes', () => {
  const plan = (...rests: string[]) => planRestore(rests.map((rest) => `enwiki-20260901-${rest}`))
  const rests = (names: readonly string[] | undefined) =>
    names?.map((name) => name.slice('enwiki-20260901-'.length))

  it('are the parts in the order of pages when there is no whole file', () => {
    const found = plan(
      'pages-meta-history2.xml-p10p20.bz2',
      'pages-meta-history1.xml-p5p9.bz2',
      'pages-meta-history1.xml-p1p4.bz2',
      'pages-meta-history10.xml-p21p30.bz2',
    )
    expect(rests(found?.content)).toEqual([
      'pages-meta-history1.xml-p1p4.bz2',
      'pages-meta-history1.xml-p5p9.bz2',
      'pages-meta-history2.xml-p10p20.bz2',
      'pages-meta-history10.xml-p21p30.bz2',
    ])
  })

  it('is one form of the pages, the fullest, with log, tables and namespaces', () => {
    const found = plan(
      'pages-articles.xml.bz2',
      'pages-articles-multistream.xml.bz2',
      'pages-meta-current1.xml-p1p2.bz2',
      'pages-meta-current.xml.bz2',
      'pages-logging.xml.gz',
      'stub-meta-history.xml.gz',
      'page.sql.gz',
      'siteinfo-namespaces.json.gz',
      'all-titles.gz',
    )
    expect(found?.kind).toBe('pages-meta-current')
    expect(rests(found?.content)).toEqual(['pages-meta-current.xml.bz2'])
    expect(rests(found?.logging)).toEqual(['pages-logging.xml.gz'])
    expect(rests(found?.tables)).toEqual(['page.sql.gz'])
    expect(rests(found?.siteinfo)).toEqual(['siteinfo-namespaces.json.gz'])
    expect(plan('page.sql.gz')).toBeNull()
  })
})

/** Programs that write down how they were called; answers how to read that. */
function fakeMediaWiki(): () => string[] {
  mkdirSync(at('mw', 'maintenance'), { recursive: true })
  writeFileSync(at('mw', 'maintenance', 'run.php'), '')
  const log = at('calls')
  writeFileSync(log, '')
  for (const name of ['php', 'mysql']) {
    writeFileSync(at(name), `#!/bin/sh\necho "${name} $*" >> '${log}'\n[ -t 0 ] || cat > /dev/null\n`)
    chmodSync(at(name), 0o755)
  }
  return () =>
    readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .filter((line) => line !== '')
}

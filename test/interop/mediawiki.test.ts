/**
 * The real MediaWiki on a real MariaDB (Debian packages `mediawiki` and `mariadb-server-core`) becomes the wiki that was dumped, by
 * nothing but what `wikiseed restore` wrote. What came back is read by MediaWiki's dumpBackup.php and by SQL, and held to what
 * Python reads in the dump.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { at, useCli, wikiseed } from '../support/cli.ts'
import {
  MEDIAWIKI,
  type MediaWiki,
  missingForMediaWiki,
  revisionsIn,
  revisionsOf,
  startMediaWiki,
  text,
  type Wiki,
} from '../support/mediawiki.ts'
import { bzip2 } from '../support/multistream.ts'
import { type Published, publishRuns } from '../support/published.ts'

const missing = missingForMediaWiki()
const HANDLER_OF_SCRIPTS = `<?php
require_once '${MEDIAWIKI}/maintenance/Maintenance.php';
class Ask extends Maintenance {
	public function execute() {
		$factory = MediaWiki\\MediaWikiServices::getInstance()->getContentHandlerFactory();
		$this->output( get_class( $factory->getContentHandler( 'Scribunto' ) ) );
	}
}
$maintClass = Ask::class;
require_once RUN_MAINTENANCE_IF_MAIN;
`
const FAT = 'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2'

it.runIf(process.env.CI === 'true')('MediaWiki and MariaDB are installed where CI runs', () => {
  expect(missing).toEqual([])
})

useCli()

describe.skipIf(missing.length > 0)(`MediaWiki (needs ${missing.join(', ') || 'nothing more'})`, () => {
  let mediawiki: MediaWiki
  let published: Published
  beforeAll(async () => {
    mediawiki = await startMediaWiki()
    const runs = ['fatwiki/20240920', 'aawiki/20260101', 'wikidatawiki/20260101']
    published = await publishRuns({ runs, seeds: 1 })
  }, 120_000)
  afterAll(async () => {
    await published?.close()
    await mediawiki?.close()
  })

  /** What `wikiseed restore` wrote, and what it said. */
  const restored = async (wiki: string, from: Published, ...more: string[]) => {
    const args = ['--manifest', from.dir, '--root', from.rootPath, '--to', at('again'), '--json', ...more]
    const done = await wikiseed('restore', wiki, ...args)
    expect(done.code, done.error).toBe(0)
    return JSON.parse(done.out) as { counts: { pages: number; revisions: number } }
  }
  const useSettings = (wiki: Wiki) => wiki.configure(`require_once '${at('again', 'settings.php')}';`)
  const rows = async (wiki: Wiki, table: string) =>
    Number((await wiki.sql(`SELECT COUNT(*) FROM ${table}`))[0])
  const dump = (path: string) => revisionsOf(join(published.mirror, path))

  it('becomes the Wikipedia in Fante: every page, its templates, modules, categories and search', {
    timeout: 600_000,
  }, async () => {
    const { counts } = await restored('fatwiki', published)
    const wiki = await mediawiki.install('fatwiki')
    const refused = await wiki.restore(at('again', 'restore.sh'))
    expect(refused.code).toBe(1)
    expect(refused.error).toContain('Namespace 10 is Nhwɛdo in the dump and Template in this wiki.')
    expect(refused.error).toContain('nothing that handles the content model Scribunto.')
    expect(await rows(wiki, 'page')).toBe(1)

    useSettings(wiki)
    const done = await wiki.restore(at('again', 'restore.sh'))
    expect(done.code, done.error.slice(-2_000)).toBe(0)
    expect(done.out).toContain('Removed the page of the installer: Main Page')
    expect(done.out).toContain('The dump has 3566 pages and 3566 revisions, this wiki 3566 and 3566.')
    expect(counts).toEqual({ pages: await rows(wiki, 'page'), revisions: await rows(wiki, 'revision') })
    const original = dump(FAT)
    expect(await revisionsIn(wiki, at())).toEqual(original)
    expect(await wiki.sql('SELECT ss_total_pages, ss_total_edits FROM site_stats')).toEqual(['3566\t3566'])
    expect(await rows(wiki, 'searchindex')).toBe(3566)
    // The category's name in the texts is the wiki's own; a release that does not know it would find no members.
    const inTexts = execFileSync(
      'sh',
      [
        '-c',
        `bzip2 -dc "$1" | grep -o '\\[\\[Nkyekyεmu:Ghanafo\\]\\]' | wc -l`,
        'sh',
        join(published.mirror, FAT),
      ],
      { maxBuffer: 1_000 },
    )
    const members = await wiki.sql("SELECT COUNT(*) FROM categorylinks WHERE cl_to = 'Ghanafo'")
    expect(members).toEqual([inTexts.toString().trim()])
    expect(await wiki.maintenance('getText', 'Main Page')).toContain('Kratafa')
    // An extension that comes later takes over what was kept for it.
    writeFileSync(at('ask.php'), HANDLER_OF_SCRIPTS)
    expect(await wiki.maintenance('runScript', at('ask.php'))).toMatch(/FallbackContentHandler$/)
    wiki.configure("wfLoadExtension( 'Scribunto' );")
    expect(await wiki.maintenance('runScript', at('ask.php'))).toMatch(/ScribuntoContentHandler$/)
  })

  it('becomes a wiki with its history out of 7z, beside its SQL tables; a second run changes nothing', {
    timeout: 300_000,
  }, async () => {
    const { counts } = await restored('aawiki', published)
    const wiki = await mediawiki.install('aawiki')
    useSettings(wiki)
    for (const already of ['Removed the page of the installer', 'Pages that are there already: 507']) {
      const done = await wiki.restore(at('again', 'restore.sh'), { TABLES_DB: 'aawiki_tables' })
      expect(done.code, done.error.slice(-2_000)).toBe(0)
      expect(done.out).toContain(already)
      expect(await rows(wiki, 'page')).toBe(counts.pages)
      expect(await rows(wiki, 'revision')).toBe(counts.revisions)
    }
    const original = dump('aawiki/20260101/aawiki-20260101-pages-meta-history.xml.7z')
    expect(await revisionsIn(wiki, at())).toEqual(original)
    for (const table of ['categorylinks', 'pagelinks']) {
      const script = `zcat "$1" | grep '^INSERT' | grep -o '),(\\| VALUES (' | wc -l`
      const file = at('again', 'aawiki/20260101', `aawiki-20260101-${table}.sql.gz`)
      const inFile = Number(execFileSync('sh', ['-c', script, 'sh', file]).toString())
      const [inDatabase] = await mediawiki.sql(`SELECT COUNT(*) FROM aawiki_tables.${table}`)
      expect(Number(inDatabase), table).toBe(inFile)
    }
  })

  it('keeps items, properties and lexemes of Wikidata byte for byte without its extension', {
    timeout: 200_000,
  }, async () => {
    await restored('wikidatawiki', published)
    const wiki = await mediawiki.install('wikidatawiki')
    useSettings(wiki)
    const done = await wiki.restore(at('again', 'restore.sh'))
    expect(done.code, done.error.slice(-2_000)).toBe(0)
    const original = dump('wikidatawiki/20260101/wikidatawiki-20260101-pages-articles.xml.bz2')
    expect(await revisionsIn(wiki, at())).toEqual(original)
    expect(text(at('again', 'README.md'))).toContain('`wikibase-lexeme`: extension WikibaseLexeme')
  })
  it('takes back what MediaWiki dumped itself, the log of the wiki too', { timeout: 200_000 }, async () => {
    const source = await mediawiki.install('ownwiki')
    const files = ['One', 'Two'].map((title) => at(`${title}.txt`))
    for (const file of files) writeFileSync(file, 'Text of [[One]] & <b>more</b>\n\nand ]]> more')
    await source.maintenance('importTextFiles', ...files)
    await source.maintenance('protect', 'One')
    const folder = at('made', 'ownwiki', '20260101')
    mkdirSync(folder, { recursive: true })
    for (const [what, end] of [
      ['full', 'pages-meta-history.xml.bz2'],
      ['logs', 'pages-logging.xml.gz'],
    ] as const) {
      const kind = end.endsWith('bz2') ? 'bzip2' : 'gzip'
      const output = `--output=${kind}:${join(folder, `ownwiki-20260101-${end}`)}`
      await source.maintenance('dumpBackup', `--${what}`, '--quiet', output)
    }
    const own = await publishRuns({ runs: ['ownwiki/20260101'], from: at('made'), seeds: 1 })
    try {
      const { counts } = await restored('ownwiki', own)
      const wiki = await mediawiki.install('ownwiki_again')
      useSettings(wiki)
      const done = await wiki.restore(at('again', 'restore.sh'))
      expect(done.code, done.error.slice(-2_000)).toBe(0)
      expect(counts).toEqual({ pages: 3, revisions: 4 })
      // Protecting makes a revision of the same text, mostly within the same second; MediaWiki imports such a one once.
      const different = async (one: Wiki) => [...new Set(await revisionsIn(one, at()))]
      expect(await different(wiki)).toEqual(await different(source))
      const log = 'SELECT log_type, log_action, log_title, log_timestamp FROM logging ORDER BY log_id'
      const [first = '', ...more] = await source.sql(log)
      expect([first, ...more].some((line) => line.startsWith('protect\tprotect\tOne'))).toBe(true)
      expect(await wiki.sql(log)).toEqual(expect.arrayContaining([first, ...more]))
    } finally {
      await own.close()
    }
  })

  it('takes a Content File Export, with the structured data of a file in its own slot, and a page in two files', {
    timeout: 200_000,
  }, async () => {
    const folder = at('made', 'mediawiki_content_history', 'commonswiki', '2026-03-01', 'xml', 'bzip2')
    mkdirSync(folder, { recursive: true })
    const sample = text(join(import.meta.dirname, '..', 'fixtures', 'exports', 'commonswiki.xml'))
    const pageId = /<id>(\d+)<\/id>/.exec(sample)?.[1]
    const cut = sample.indexOf('    <revision>', sample.length / 2)
    const start = sample.slice(0, sample.indexOf('    <revision>'))
    const halves = [`${sample.slice(0, cut)}  </page>\n</mediawiki>\n`, start + sample.slice(cut)]
    for (const [index, half] of halves.entries()) {
      const name = `commonswiki-2026-03-01-p${pageId}r${index + 1}r${index + 1}.xml.bz2`
      writeFileSync(join(folder, name), bzip2(half))
    }
    const runs = ['mediawiki_content_history/commonswiki/2026-03-01']
    const own = await publishRuns({ runs, from: at('made'), seeds: 1 })
    try {
      const { counts } = await restored('commonswiki', own, '--dataset', 'content_history')
      const wiki = await mediawiki.install('commonswiki')
      const refused = await wiki.restore(at('again', 'restore.sh'))
      expect(refused.error).toContain('This wiki has no slot mediainfo.')
      useSettings(wiki)
      const done = await wiki.restore(at('again', 'restore.sh'))
      expect(done.code, done.error.slice(-2_000)).toBe(0)
      expect(counts).toEqual({ pages: 1, revisions: 59 })
      expect(await rows(wiki, 'page')).toBe(1)
      // The only page of a wiki is its own, unless the installer made it.
      const again = await wiki.restore(at('again', 'restore.sh'))
      expect([again.code, again.out]).toEqual([0, expect.stringContaining('Pages that are there already: 1')])
      writeFileSync(at('sample.xml'), sample)
      expect(await revisionsIn(wiki, at())).toEqual(revisionsOf(at('sample.xml')))
    } finally {
      await own.close()
    }
  })
})

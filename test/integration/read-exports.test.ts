/** Content File Exports, which have no index, by `wikiseed read`, `extract` and `restore`: from a folder and from the swarm. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unpacked } from '../../node/reading/chunks.ts'
import { PageScanner } from '../../node/reading/page-scanner.ts'
import { at, sentence, useCli, wikiseed } from '../support/cli.ts'
import { bzip2, header } from '../support/multistream.ts'
import { type Published, publishRuns } from '../support/published.ts'

const SAMPLES = join(import.meta.dirname, '..', 'fixtures', 'exports')

let made: string
let published: Published

const revision = (id: number, timestamp: string, text: string) => `    <revision>
      <id>${id}</id>
      <timestamp>${timestamp}</timestamp>
      <model>wikitext</model>
      <text bytes="${text.length}" xml:space="preserve">${text}</text>
    </revision>
`
const page = (id: number, title: string, ...revisions: string[]) =>
  `  <page>\n    <title>${title}</title>\n    <ns>0</ns>\n    <id>${id}</id>\n${revisions.join('')}  </page>\n`
const FIRST = page(1, 'First', revision(10, '2026-01-01T00:00:00Z', 'first'))
/** The newest revision does not come last. */
const LONG = [
  page(7, 'Long', revision(20, '2026-01-02T00:00:00Z', 'old'), revision(21, '2026-01-03T00:00:00Z', 'older')),
  page(
    7,
    'Long',
    revision(31, '2026-02-02T00:00:00Z', 'newest'),
    revision(30, '2026-02-01T00:00:00Z', 'new'),
  ),
]
const LAST = page(9, 'Last', revision(40, '2026-01-04T00:00:00Z', 'last'))

function write(dataset: string, wiki: string, date: string, files: Record<string, string>): void {
  const folder = join(made, `mediawiki_${dataset}`, wiki, date, 'xml', 'bzip2')
  mkdirSync(folder, { recursive: true })
  for (const [pages, xml] of Object.entries(files))
    writeFileSync(join(folder, `${wiki}-${date}-${pages}.xml.bz2`), bzip2(xml))
}

beforeAll(async () => {
  made = mkdtempSync(join(tmpdir(), 'wikiseed-made-'))
  const whole = (pages: string) => `${header('tenwiki')}${pages}</mediawiki>\n`
  write('content_history', 'tenwiki', '2026-03-01', {
    p1p6: whole(FIRST),
    p7r20r21: whole(LONG[0] ?? ''),
    p7r30r31: whole(LONG[1] ?? ''),
    p8p9: whole(LAST),
  })
  write('content_history', 'tenwiki', '2026-02-01', { p1p6: whole(FIRST) })
  const sample = readFileSync(join(SAMPLES, 'simplewiki.xml'), 'utf8')
  write('content_history', 'simplewiki', '2026-03-01', { p1p999: sample })
  const runs = [
    'mediawiki_content_history/tenwiki/2026-03-01',
    'mediawiki_content_history/simplewiki/2026-03-01',
  ]
  published = await publishRuns({ runs, from: made, seeds: 2 })
})
afterAll(async () => {
  await published?.close()
  rmSync(made, { recursive: true, force: true })
})

useCli()
const HISTORY = ['--dataset', 'content_history']
const swarm = () => ['--manifest', published.dir, '--root', published.rootPath]

describe('wikiseed read of an export', () => {
  it('prints the newest revision of a page, be its history in several files and out of order', async () => {
    const read = await wikiseed('read', 'tenwiki', 'long', ...HISTORY, '--from', made)
    expect(read).toEqual({ code: 0, out: 'newest\n', error: '' })
    const xml = await wikiseed('read', 'tenwiki', 'Long', ...HISTORY, '--from', made, '--xml')
    expect(xml.out).toBe(page(7, 'Long', revision(31, '2026-02-02T00:00:00Z', 'newest')))
    const json = await wikiseed('read', 'tenwiki@2026-02-01', 'First', ...HISTORY, '--from', made, '--json')
    expect(JSON.parse(json.out)).toMatchObject({ date: '20260201', pageId: 1, revisionId: 10, text: 'first' })
  })

  it('reads a real one as Python reads it', async () => {
    const script = `
import sys, xml.etree.ElementTree as E
page = [p for p in E.parse(sys.argv[1]).getroot().findall('{*}page') if p.find('{*}title').text == sys.argv[2]][0]
sys.stdout.write(max(page.findall('{*}revision'), key=lambda r: r.find('{*}timestamp').text).find('{*}text').text)`
    for (const title of ['User:Ryulong', 'Talk:Cristiano Ronaldo']) {
      const read = await wikiseed('read', 'simplewiki', title, ...HISTORY, '--from', made)
      const text = execFileSync('python3', ['-c', script, join(SAMPLES, 'simplewiki.xml'), title]).toString()
      expect([read.code, read.out]).toEqual([0, `${text}\n`])
    }
  })

  it('from the swarm is done only when --scan says so, and stops at the article', async () => {
    const refused = sentence(await wikiseed('read', 'tenwiki', 'Long', ...HISTORY, ...swarm()))
    expect(refused).toMatch(/has no index: it must be read from its beginning .* --scan does that/)
    const before = published.wireBytes()
    const read = await wikiseed('read', 'tenwiki', 'Long', ...HISTORY, '--scan', ...swarm(), '--json')
    expect(JSON.parse(read.out)).toMatchObject({ title: 'Long', text: 'newest' })
    expect(JSON.parse(read.out).fetchedBytes).toBeGreaterThan(0)
    expect(published.wireBytes()).toBeGreaterThan(before)
  })

  it('tells near titles when it was read to its end, and which dataset there is when none was named', async () => {
    const read = await wikiseed('read', 'tenwiki', 'Lost', ...HISTORY, '--from', made)
    expect([read.code, read.error]).toEqual([1, expect.stringContaining('Near it: Last')])
    const none = sentence(await wikiseed('read', 'tenwiki', 'Long', ...swarm()))
    expect(none).toContain('has no dump of tenwiki; there is --dataset content_history')
  })
})

describe('wikiseed extract of an export', () => {
  const extract = (...more: string[]) => {
    writeFileSync(at('titles.txt'), 'long\nFirst\n')
    return wikiseed(
      'extract',
      'tenwiki',
      ...HISTORY,
      '--titles',
      at('titles.txt'),
      '--out',
      at('some.xml'),
      ...more,
    )
  }

  it('takes pages with all their revisions as they stand there, and reads no further than the last of them', async () => {
    for (const from of [
      ['--from', made],
      ['--scan', ...swarm()],
    ]) {
      const done = await extract('--json', ...from)
      expect([done.code, done.error]).toEqual([0, ''])
      expect(JSON.parse(done.out)).toMatchObject({ pages: 2, streams: 3, missing: [] })
      expect(readFileSync(at('some.xml'), 'utf8')).toBe(
        `${header('tenwiki')}${FIRST}${LONG.join('')}</mediawiki>\n`,
      )
    }
  })

  it('knows no categories, and says so', async () => {
    const done = await wikiseed('extract', 'tenwiki', ...HISTORY, '--category-from-sql', 'X', '--from', made)
    expect(sentence(done)).toContain('an export has no SQL tables')
  })
})

describe('wikiseed restore of an export', () => {
  it('imports its files in the order of pages, and says that there are no tables', async () => {
    const done = await wikiseed('restore', 'tenwiki', ...HISTORY, ...swarm(), '--to', at('again'), '--json')
    expect([done.code, done.error]).toEqual([0, ''])
    expect(JSON.parse(done.out)).toMatchObject({
      ok: true,
      dataset: 'content_history',
      kind: 'pages-meta-history',
      // The page whose history fills two files is one.
      counts: { pages: 3, revisions: 6 },
    })
    const readme = readFileSync(at('again', 'README.md'), 'utf8')
    expect(readme).toContain('every page with all its revisions, a MediaWiki Content File Export')
    expect(readme).toContain('A Content File Export has none')
    const imports = readFileSync(at('again', 'restore.sh'), 'utf8').match(/^import .*$/gm)
    const folder = 'mediawiki_content_history/tenwiki/2026-03-01/xml/bzip2/tenwiki-2026-03-01'
    expect(imports).toEqual(
      ['p1p6', 'p7r20r21', 'p7r30r31', 'p8p9'].map((pages) => `import "$HERE"/'${folder}-${pages}.xml.bz2'`),
    )
  })
})

describe('an export that is scanned', () => {
  const scan = (pieces: readonly Uint8Array[], titles: readonly string[]) => {
    const scanner = new PageScanner('x')
    let out = ''
    for (const events of [...pieces.map((piece) => scanner.push(piece)), scanner.end()]) {
      for (const event of events) {
        if (event.kind === 'page' && titles.includes(event.head.title)) event.take()
        if (event.kind === 'bytes') out += Buffer.from(event.bytes).toString('latin1')
      }
    }
    return Buffer.from(out, 'latin1').toString('utf8')
  }
  const xml = Buffer.from(`${header('tenwiki')}${FIRST}${LONG.join('')}${LAST}</mediawiki>\n`)

  it('gives the same pages wherever it is cut', () => {
    const expected = FIRST + LAST
    for (let cut = 1; cut < xml.length; cut++)
      expect(scan([xml.subarray(0, cut), xml.subarray(cut)], ['First', 'Last'])).toBe(expected)
    expect(
      scan(
        [...xml].map((byte) => Uint8Array.of(byte)),
        ['First', 'Last'],
      ),
    ).toBe(expected)
  })

  it('that unpacks to far more than any dump is not read on', async () => {
    const bomb = Buffer.concat(Array.from({ length: 8 }, () => bzip2(Buffer.alloc(40 * 1024 * 1024))))
    const read = async () => {
      let bytes = 0
      for await (const piece of unpacked('x.xml.bz2', Readable.from([bomb]))) bytes += piece.length
      return bytes
    }
    await expect(read()).rejects.toThrow('x.xml.bz2 unpacks to much more than any dump does')
  })

  it('that is cut short is no whole export', () => {
    for (const length of [10, xml.length - 20, xml.indexOf('</page>')])
      expect(() => scan([xml.subarray(0, length)], [])).toThrow(/does not end as an export does/)
    expect(scan([Buffer.from(`${header('tenwiki')}</mediawiki>`)], [])).toBe('')
  })
})

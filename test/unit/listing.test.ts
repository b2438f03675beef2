import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { completeSums, makeExportRun } from '../../protocol/dump/content-export.ts'
import { readListing } from '../../protocol/dump/listing.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import { listingPage } from '../world/wikimedia/pages.ts'

const read = (text: unknown) => readListing(text, 'page')

describe('the listing of a folder', () => {
  it('of dumps.wikimedia.org gives the folders and their times, not the way up', () => {
    const text = readFileSync(
      join(import.meta.dirname, '..', 'fixtures', 'html', 'enwiki-20230304.html'),
      'utf8',
    )
    const entries = read(text)
    expect(entries.map((one) => one.name)).toEqual([
      '20221201',
      '20221220',
      '20230101',
      '20230120',
      '20230201',
      '20230220',
      '20230301',
      'latest',
    ])
    expect(entries[0]).toEqual({ name: '20221201', isFolder: true, changedMs: Date.UTC(2023, 0, 20, 9, 30) })
  })

  it('gives names whole although their text is cut, and none that could leave the folder', () => {
    const name = `enwiki-2026-01-01-p${'1'.repeat(40)}p2.xml.bz2`
    const row = (one: string) => ({ name: one, folder: false, mtimeMs: 0, sizeBytes: 1 })
    const page = listingPage('/x/', [
      row(name),
      row('_SUCCESS'),
      row('..'),
      row('a/b'),
      row('.hidden'),
      row('a b'),
    ])
    expect(read(page).map((one) => one.name)).toEqual([name, '_SUCCESS'])
    const links =
      '<a href="/etc/">x</a><a href="http://evil/">x</a><a href="?C=N">x</a><a href="%2e%2e/">x</a><a href="%zz">x</a>'
    expect(read(`<title>Index of /</title>${links}<a href="ok/">ok/</a></html>`)).toEqual([
      { name: 'ok', isFolder: true, changedMs: null },
    ])
  })

  it.each([
    ['an error page', '<html><head><title>403 Forbidden</title></head></html>'],
    ['a page that was cut', '<html><head><title>Index of /</title></head><a href="a/">a/</a>'],
    [
      'too many entries',
      `<title>Index of /</title>${Array.from({ length: 20_001 }, (_, i) => `<a href="f${i}">f</a>`).join('')}</html>`,
    ],
    ['no text', null],
  ])('that is %s is refused', (_, value) => {
    expect(() => read(value)).toThrow(ShapeError)
  })

  it('of any text gives plain names or a ShapeError, in time that grows with its length', () => {
    const part = fc.constantFrom(
      '<a href="',
      '">',
      '</a>',
      '<title>Index of ',
      '</html>',
      ' ',
      '01-Jan-2026 00:00',
      'x',
      '../',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(part, fc.string()), { maxLength: 60 }), (parts) => {
        try {
          for (const { name } of read(`<title>Index of /</title>${parts.join('')}</html>`))
            expect(name).toMatch(/^(?:_SUCCESS|[A-Za-z0-9][A-Za-z0-9_.+-]*)$/)
        } catch (error) {
          expect(error).toBeInstanceOf(ShapeError)
        }
      }),
      { seed: 1 },
    )
    const started = performance.now()
    read(`<title>Index of /</title>${'<a href="x">'.repeat(300_000)}</html>`)
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})

describe('a content file export', () => {
  const name = { dataset: 'content_history', wiki: 'tenwiki', date: '20260101' } as const
  const file = (pages: string) => `tenwiki-2026-01-01-${pages}.xml.bz2`
  const sha = (digit: string) => digit.repeat(64)
  const sums = `${sha('a')}  ${file('p1p9')}\n${sha('b')}  ${file('p10r1r99')}\n`
  const facts = { success: true, sums, listed: null, updatedMs: 7 }
  const sizes = new Map([
    [file('p1p9'), 3],
    [file('p10r1r99'), 4],
  ])

  it('is complete with both markers and a whole list, and makes a run in path order with one job', () => {
    const run = makeExportRun(name, completeSums(name, facts), sizes, 7)
    expect(run).toMatchObject({ state: 'complete', refused: [], missing: [], newestUpdatedMs: 7 })
    expect(run.files).toEqual([
      {
        path: `tenwiki/2026-01-01/xml/bzip2/${file('p10r1r99')}`,
        sizeBytes: 4,
        digests: { sha256: sha('b') },
      },
      { path: `tenwiki/2026-01-01/xml/bzip2/${file('p1p9')}`, sizeBytes: 3, digests: { sha256: sha('a') } },
    ])
    const [shard] = cutRun(run)
    expect(shard?.id).toBe('content_history/tenwiki/20260101')
    expect(shard?.name).toBe('mediawiki_content_history')
    expect(shard?.statusJson).toBe(
      `{"mediawiki_content_history":{"files":["${file('p10r1r99')}","${file('p1p9')}"],"status":"done"}}\n`,
    )
  })

  it.each([
    ['no _SUCCESS', { success: false }],
    ['no list', { sums: null }],
    ['an empty list', { sums: '' }],
    ['a list cut in its last line', { sums: sums.slice(0, -10) }],
    ['a list whose last line did not end', { sums: sums.slice(0, -1) }],
    [
      'a list cut between two lines, with the folder listed',
      { sums: `${sums.split('\n')[0]}\n`, listed: [file('p1p9'), file('p10r1r99'), '_SUCCESS'] },
    ],
  ])('with %s is in progress', (_, change) => {
    const list = completeSums(name, { ...facts, ...change })
    expect(list).toBeNull()
    expect(makeExportRun(name, list, sizes, 7)).toMatchObject({ state: 'in-progress', files: [] })
  })

  it('with a page of HTML for a list is unreadable', () => {
    expect(() => completeSums(name, { ...facts, sums: '<html>\n</html>\n' })).toThrow(ShapeError)
  })

  it('names foreign files, contradictions and files without a size, and holds none of them', () => {
    const more = `${sha('c')}  otherwiki-2026-01-01-p1p2.xml.bz2\n${sha('d')}  ${file('p7p8')}\n${sha('e')}  ${file('p7p8')}\n`
    const run = makeExportRun(
      name,
      completeSums(name, { ...facts, sums: sums + more }),
      new Map([[file('p1p9'), 3]]),
      7,
    )
    expect(run.files).toHaveLength(1)
    expect(run.missing).toEqual([file('p10r1r99')])
    expect(run.refused).toEqual([
      { name: 'otherwiki-2026-01-01-p1p2.xml.bz2', reason: 'not-a-name-of-this-run' },
      { name: file('p7p8'), reason: 'two-different-descriptions' },
    ])
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseContentExportName } from '../../protocol/dump/content-export.ts'
import { isRunDate, parseUpdatedMs } from '../../protocol/dump/dates.ts'
import { isSafeFileName, parseDumpFileName } from '../../protocol/dump/file-name.ts'

describe('names of dump files', () => {
  it.each([
    ['enwiki-20260901-pages-articles-multistream1.xml-p1p41242.bz2', 'enwiki', '20260901'],
    ['zh_min_nanwiki-20260101-all-titles.gz', 'zh_min_nanwiki', '20260101'],
    ['be_x_oldwiki-20240229-page.sql.gz', 'be_x_oldwiki', '20240229'],
    ['enwiki-20130204-pages-articles1.xml-p000000010p000010000.bz2', 'enwiki', '20130204'],
  ])('splits %s', (name, wiki, date) => {
    expect(parseDumpFileName(name)).toEqual({ wiki, date, rest: name.slice(wiki.length + 10) })
  })

  it('splits at the first date, as a later one belongs to the rest', () => {
    expect(parseDumpFileName('aawiki-20260101-20250101-x.gz')?.date).toBe('20260101')
  })

  it.each([
    'aawiki-20260101-page.sql.gz.inprog',
    'aawiki-20260101-page.sql.gz.truncated',
    'aawiki-20260101-page.sql.gz.empty',
    'aawiki-20260101-page.sql.gz-tmp',
    'aawiki-20260101-page.sql.gz.part',
    '../../x',
    'aawiki-20260101-../x',
    'aawiki-20260101-a\\b',
    'aawiki-20260101-a/b',
    '.aawiki-20260101-x',
    'aawiki-20260101-x\n',
    'aawiki-20260101-x\0',
    'aawiki-20260101-ä.gz',
    'aawiki-20260230-page.sql.gz',
    'aawiki-20251301-page.sql.gz',
    'aawiki-20260101-',
    'aawiki-latest-page.sql.gz',
    'AAwiki-20260101-page.sql.gz',
    `aawiki-20260101-${'x'.repeat(250)}`,
    '',
  ])('refuses %j', (name) => {
    expect(parseDumpFileName(name)).toBeNull()
  })

  it('lets no text through that could leave its folder', () => {
    const hostile = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[a-z./\\0-9-]{1,40}$/))
    fc.assert(
      fc.property(hostile, (name) => {
        if (isSafeFileName(name)) expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9_.+-]*$/)
        const parsed = parseDumpFileName(name)
        if (parsed !== null) expect(`${parsed.wiki}-${parsed.date}-${parsed.rest}`).toBe(name)
      }),
    )
  })

  it('reads the names of Content File Exports', () => {
    expect(parseContentExportName('simplewiki-2026-01-01-p1p5000.xml.bz2')).toEqual({
      wiki: 'simplewiki',
      date: '20260101',
      firstPage: 1,
      lastPage: 5000,
      revisions: null,
    })
    expect(parseContentExportName('enwiki-2026-01-01-p77r10r900.xml.bz2')?.revisions).toEqual({
      first: 10,
      last: 900,
    })
    expect(parseContentExportName('enwiki-2026-01-32-p1p2.xml.bz2')).toBeNull()
    expect(parseContentExportName('_SUCCESS')).toBeNull()
  })
})

describe('dates of upstream', () => {
  it('are UTC, whatever zone this machine is in', () => {
    expect(parseUpdatedMs('2020-10-03 01:01:38')).toBe(1601686898000)
    expect(parseUpdatedMs('2024-02-29 23:59:59')).toBe(1709251199000)
  })

  it.each(['', '2023-02-29 00:00:00', '2026-01-01T00:00:00', '2026-01-01 24:00:00', '2026-1-1 0:0:0', 'now'])(
    'refuse %j',
    (value) => expect(parseUpdatedMs(value)).toBeNull(),
  )

  it('agree with the calendar of the platform', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('2001-01-01'), max: new Date('2099-12-31'), noInvalidDate: true }),
        (day) => {
          const iso = day.toISOString()
          expect(isRunDate(iso.slice(0, 10).replaceAll('-', ''))).toBe(true)
          expect(parseUpdatedMs(iso.slice(0, 19).replace('T', ' '))).toBe(
            Math.floor(day.getTime() / 1000) * 1000,
          )
        },
      ),
    )
  })
})

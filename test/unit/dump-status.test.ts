import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { readChecksumJson, readChecksumText } from '../../protocol/dump/checksums.ts'
import { readDumpIndex } from '../../protocol/dump/dump-index.ts'
import { readDumpStatus } from '../../protocol/dump/dump-status.ts'
import { makeRun, settled } from '../../protocol/dump/run.ts'

const HOUR = 3_600_000
const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(join(import.meta.dirname, '..', 'fixtures', 'dumpstatus', `${name}.json`), 'utf8'))
const enwiki2020 = { wiki: 'enwiki', date: '20201001' }

/** Nothing but a ShapeError may leave a reader. */
function onlyShapeErrors(read: () => unknown): void {
  try {
    read()
  } catch (error) {
    expect(error).toBeInstanceOf(ShapeError)
  }
}

describe('dumpstatus.json', () => {
  it('of a finished run makes a complete run with upstream digests', () => {
    const run = makeRun(enwiki2020, readDumpStatus(fixture('enwiki-20201001-two-jobs'), 'status'))
    expect(run.state).toBe('complete')
    expect(run.newestUpdatedMs).toBe(Date.UTC(2020, 9, 3, 1, 1, 38))
    expect(run.files.map((file) => [file.path, file.sizeBytes])).toEqual([
      ['20201001/enwiki-20201001-flaggedpage_config.sql.gz', 23853],
      ['20201001/enwiki-20201001-pages-articles-multistream-index.txt.bz2', 226307773],
      ['20201001/enwiki-20201001-pages-articles-multistream.xml.bz2', 18799041841],
    ])
    expect(run.files[0]?.digests).toEqual({
      md5: '2b078264f32583f2a607bede7fd0268d',
      sha1: '200a7f269b665d0f3c0640980082577d5b816ba6',
    })
  })

  it('is settled only when every job ended and the time has passed since the newest update', () => {
    const run = makeRun(enwiki2020, readDumpStatus(fixture('enwiki-20201001-two-jobs'), 'status'))
    const newest = Date.UTC(2020, 9, 3, 1, 1, 38)
    expect(settled(run, newest + 24 * HOUR - 1, 24 * HOUR)).toBe(false)
    expect(settled(run, newest + 24 * HOUR, 24 * HOUR)).toBe(true)
    const waiting = makeRun(enwiki2020, readDumpStatus(fixture('enwiki-20201001-two-jobs-waiting'), 'status'))
    expect(waiting.state).toBe('in-progress')
    expect(settled(waiting, newest + 1000 * HOUR, 24 * HOUR)).toBe(false)
    expect(waiting.files.map((file) => file.path)).toEqual([
      '20201001/enwiki-20201001-flaggedpage_config.sql.gz',
    ])
  })

  it('caught in the middle of a run counts the files of done jobs only', () => {
    const run = makeRun(
      { wiki: 'enwiki', date: '20230301' },
      readDumpStatus(fixture('enwiki-20230301-in-progress'), 'status'),
    )
    expect(run.state).toBe('in-progress')
    expect(run.files).toHaveLength(436)
    expect(run.files.filter((file) => file.digests.sha1 === undefined)).toHaveLength(131)
    expect(run.jobs.find((job) => job.name === 'metahistory7zdump')).toEqual({
      name: 'metahistory7zdump',
      state: 'waiting',
      files: [],
    })
    expect(run.refused).toEqual([])
  })

  it('is read although files are `{}`, jobs have no files, digests lag and a job is unknown', () => {
    const status = readDumpStatus(
      {
        version: '0.9',
        jobs: {
          brandnewtable: {
            status: 'done',
            updated: '2026-01-02 00:00:00',
            files: { 'aawiki-20260101-new.sql.gz': { size: 5 } },
          },
          losttable: {
            status: 'done',
            updated: '2026-01-02 00:00:01',
            files: { 'aawiki-20260101-lost.sql.gz': {} },
          },
          failedtable: {
            status: 'failed',
            updated: '2026-01-02 00:00:02',
            files: { 'aawiki-20260101-f.sql.gz': { size: 1 } },
          },
          noop: { status: 'skipped', updated: '' },
          nulls: { status: 'skipped', updated: null, files: null },
          nulldigests: {
            status: 'done',
            updated: '2026-01-02 00:00:00',
            files: { 'aawiki-20260101-new.sql.gz': { size: 5, md5: null, sha1: '' } },
          },
        },
      },
      'status',
    )
    const run = makeRun({ wiki: 'aawiki', date: '20260101' }, status)
    expect(run.state).toBe('failed-jobs')
    expect(run.files).toEqual([{ path: '20260101/aawiki-20260101-new.sql.gz', sizeBytes: 5, digests: {} }])
    expect(run.missing).toEqual(['aawiki-20260101-lost.sql.gz'])
    expect(settled(run, Date.UTC(2026, 0, 4), 24 * HOUR)).toBe(true)
  })

  it('shows the files of another wiki and unfinished ones as refused, never holds them', () => {
    const files = {
      'aawiki-20260101-page.sql.gz': { size: 1 },
      'abwiki-20260101-page.sql.gz': { size: 1 },
      'aawiki-20260201-page.sql.gz': { size: 1 },
      'aawiki-20260101-page.sql.gz.inprog': { size: 1 },
    }
    const status = readDumpStatus({ jobs: { pagetable: { status: 'done', updated: '', files } } }, 'status')
    const run = makeRun({ wiki: 'aawiki', date: '20260101' }, status)
    expect(run.files).toHaveLength(1)
    expect(run.refused.map((one) => one.name)).toEqual([
      'aawiki-20260101-page.sql.gz.inprog',
      'aawiki-20260201-page.sql.gz',
      'abwiki-20260101-page.sql.gz',
    ])
    expect(settled(run, Date.UTC(2030, 0, 1), 0)).toBe(false) // No job says when.
  })

  it.each([
    ['a path as a name', { jobs: { a: { status: 'done', updated: '', files: { '../../x': { size: 1 } } } } }],
    ['an unknown status', { jobs: { a: { status: 'finished', updated: '' } } }],
    ['a size that is no whole number', { jobs: { a: { status: 'done', files: { x: { size: 1.5 } } } } }],
    ['a negative size', { jobs: { a: { status: 'done', files: { x: { size: -1 } } } } }],
    [
      'a digest of the wrong length',
      { jobs: { a: { status: 'done', files: { x: { size: 1, md5: 'ab' } } } } },
    ],
    ['a time in another form', { jobs: { a: { status: 'done', updated: 'yesterday' } } }],
    ['a job with an escape sequence for a name', { jobs: { '\u001b[2J': { status: 'done' } } }],
    ['no jobs', {}],
    ['a list', []],
    ['nothing', null],
  ])('with %s is refused by a ShapeError', (_, value) => {
    expect(() => readDumpStatus(value, 'status')).toThrow(ShapeError)
  })

  it('of any shape gives a run or a ShapeError', () => {
    const job = fc.record(
      {
        status: fc.oneof(fc.constantFrom('done', 'waiting', 'skipped'), fc.anything()),
        updated: fc.oneof(fc.constantFrom('', '2026-01-01 00:00:00'), fc.string()),
        files: fc.oneof(fc.dictionary(fc.string(), fc.oneof(fc.constant({}), fc.anything())), fc.anything()),
      },
      { requiredKeys: [] },
    )
    const anyStatus = fc.oneof(
      fc.anything(),
      fc.jsonValue(),
      fc.record({ jobs: fc.dictionary(fc.string(), job) }),
    )
    fc.assert(
      fc.property(anyStatus, (value) => {
        onlyShapeErrors(() => makeRun({ wiki: 'aawiki', date: '20260101' }, readDumpStatus(value, 'status')))
        onlyShapeErrors(() => readDumpIndex(value, 'index'))
        onlyShapeErrors(() => readChecksumJson(value, 'sums', 'md5'))
        onlyShapeErrors(() => readChecksumText(value, 'sums', 'sha1'))
      }),
    )
  })
})

describe('checksum lists', () => {
  const md5 = '4316f4ef817d03c6c3bf758813e8d334'
  const other = 'eb4f8b914abd8d6d1d11261105c05049'

  it('fill in the digests that lag behind in dumpstatus, and change none that is there', () => {
    const files = { 'aawiki-20260101-a.gz': { size: 1, md5: other }, 'aawiki-20260101-b.gz': { size: 1 } }
    const status = readDumpStatus({ jobs: { pagetable: { status: 'done', updated: '', files } } }, 'status')
    const list = readChecksumText(
      `${md5}  aawiki-20260101-a.gz\n${md5}  aawiki-20260101-b.gz\n`,
      'sums',
      'md5',
    )
    const run = makeRun({ wiki: 'aawiki', date: '20260101' }, status, [list])
    expect(run.files.map((file) => file.digests)).toEqual([{ md5: other }, { md5 }])
  })

  it('leave out a half-written last line and say so', () => {
    const list = readChecksumText(`${md5}  a.gz\n4316f4ef817d0`, 'sums', 'md5')
    expect([...list.digests]).toEqual([['a.gz', md5]])
    expect(list.ignoredLines).toBe(1)
  })

  it('do not use a name that has two digests', () => {
    const list = readChecksumText(`${md5}  a.gz\n${other}  a.gz\n${md5}  b.gz\n${md5} *b.gz\n`, 'sums', 'md5')
    expect([...list.digests.keys()]).toEqual(['b.gz'])
    expect(list.conflicting).toEqual(['a.gz'])
  })

  it('are refused when they are a page of HTML', () => {
    expect(() => readChecksumText('<html>\n<h1>429 Too Many Requests</h1>\n</html>', 'sums', 'md5')).toThrow(
      ShapeError,
    )
  })

  it('are read in their JSON form', () => {
    expect(readChecksumJson({ md5: { files: { 'a.gz': md5 } } }, 'sums', 'md5').digests.get('a.gz')).toBe(md5)
    expect(() => readChecksumJson({ md5: { files: { '../a': md5 } } }, 'sums', 'md5')).toThrow(ShapeError)
    expect(() => readChecksumJson({ md5: { files: { 'a.gz': 'x' } } }, 'sums', 'md5')).toThrow(ShapeError)
  })
})

describe('index.json', () => {
  it('takes the date of each run from the names of its files', () => {
    const status = fixture('enwiki-20201001-two-jobs')
    const index = readDumpIndex(
      { wikis: { enwiki: status, aawiki: { jobs: {} }, '../x': status, frwiki: status } },
      'index',
    )
    expect([...index.runs]).toEqual([['enwiki', { date: '20201001', status }]])
    expect(index.undated).toBe(3)
  })
})

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decode, encode } from '@ipld/dag-cbor'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { readDumpStatus } from '../../protocol/dump/dump-status.ts'
import { makeRun, type Run } from '../../protocol/dump/run.ts'
import { cutRun, readShard, type ShardValue, shardToValue } from '../../protocol/shard/cut.ts'
import { readStatusJson } from '../../protocol/shard/status-json.ts'

const GiB = 1024 ** 3
const root = join(import.meta.dirname, '..')
const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'))

/** A run of aawiki with one job; sizes in order of name. */
function runOf(sizes: readonly number[]): Run {
  const digits = String(sizes.length).length
  const files = Object.fromEntries(
    sizes.map((size, index) => [`aawiki-20260101-part${String(index).padStart(digits, '0')}.gz`, { size }]),
  )
  const status = { jobs: { pagetable: { status: 'done', updated: '2026-01-02 00:00:00', files } } }
  return makeRun({ wiki: 'aawiki', date: '20260101' }, readDumpStatus(status, 'status'))
}

const enwiki = makeRun(
  { wiki: 'enwiki', date: '20201001' },
  readDumpStatus(readJson(join(root, 'fixtures/dumpstatus/enwiki-20201001-two-jobs.json')), 'status'),
)
/** A good shard's plain value, with some fields changed. */
function changed(change: Partial<Record<keyof ShardValue, unknown>>): unknown {
  const [shard] = cutRun(enwiki)
  if (shard === undefined) throw new Error('no shard')
  return { ...shardToValue(shard), ...change }
}

describe('a run is cut into shards', () => {
  it('one when it is small, with the run as its id', () => {
    const shards = cutRun(runOf([1, 2, 3]))
    expect(shards.map((shard) => [shard.id, shard.sizeBytes])).toEqual([['dumps/aawiki/20260101', 6]])
  })

  it('none when it holds no file', () => {
    expect(cutRun(runOf([]))).toEqual([])
  })

  it('greedily and in order, a larger single file alone', () => {
    const shards = cutRun(runOf([12, 8, 1, 30, 1, 19, 1].map((size) => size * GiB)))
    expect(shards.map((shard) => [shard.id, shard.sizeBytes / GiB])).toEqual([
      ['dumps/aawiki/20260101~1', 20],
      ['dumps/aawiki/20260101~2', 1],
      ['dumps/aawiki/20260101~3', 30],
      ['dumps/aawiki/20260101~4', 20],
      ['dumps/aawiki/20260101~5', 1],
    ])
  })

  it('after 2,000 files', () => {
    expect(cutRun(runOf(Array(2_000).fill(1))).map((shard) => shard.id)).toEqual(['dumps/aawiki/20260101'])
    expect(cutRun(runOf(Array(2_001).fill(1))).map((shard) => shard.files.length)).toEqual([2_000, 1])
  })

  it('so that each file is in exactly one part and no part of two files is too large', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 45 * GiB }), { maxLength: 30 }), (sizes) => {
        const run = runOf(sizes)
        const shards = cutRun(run)
        expect(shards.flatMap((shard) => shard.files)).toEqual(run.files)
        for (const shard of shards) expect(shard.files.length === 1 || shard.sizeBytes <= 20 * GiB).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  it('whose digest is the sha256 of the rows, STATUS.json and the bundle version', () => {
    const [shard] = cutRun(enwiki)
    // Written out by hand from PROTOCOL 1, from the fixture, without the product's code.
    const expected = createHash('sha256')
      .update(
        '20201001/enwiki-20201001-flaggedpage_config.sql.gz\t23853\tmd5:2b078264f32583f2a607bede7fd0268d,sha1:200a7f269b665d0f3c0640980082577d5b816ba6\n' +
          '20201001/enwiki-20201001-pages-articles-multistream-index.txt.bz2\t226307773\tmd5:94d4068954261ca46ed7052b1b7b8ac1,sha1:15e98e677d5d1b5e7de913e73a2dafd8e97bba32\n' +
          '20201001/enwiki-20201001-pages-articles-multistream.xml.bz2\t18799041841\tmd5:b9dae590c9f82a5fcf8bc65a3dfea8d9,sha1:cc9a1681d67209f8e5ca8850157842da1c671c53\n' +
          '{"articlesmultistreamdumprecombine":{"files":["enwiki-20201001-pages-articles-multistream-index.txt.bz2","enwiki-20201001-pages-articles-multistream.xml.bz2"],"status":"done"},' +
          '"flaggedpageconfigtable":{"files":["enwiki-20201001-flaggedpage_config.sql.gz"],"status":"done"}}\n' +
          'bundle-version\t1\n',
      )
      .digest('hex')
    expect(shard?.digest).toBe(expected)
    expect(shard?.key).toBe(`dumps/enwiki/20201001@${expected}`)
    expect(shard?.name).toBe('enwiki')
  })

  it('whose digest says `none` of a file that upstream never hashed', () => {
    const [shard] = cutRun(runOf([7]))
    const status = '{"pagetable":{"files":["aawiki-20260101-part0.gz"],"status":"done"}}\n'
    const rows = `20260101/aawiki-20260101-part0.gz\t7\tnone\n${status}bundle-version\t1\n`
    expect(shard?.digest).toBe(createHash('sha256').update(rows).digest('hex'))
  })

  it('with every job in STATUS.json and only the names of its own files', () => {
    const [first, second] = cutRun(runOf([15 * GiB, 15 * GiB]))
    expect(first?.statusJson).toBe('{"pagetable":{"files":["aawiki-20260101-part0.gz"],"status":"done"}}\n')
    expect(second?.statusJson).toBe('{"pagetable":{"files":["aawiki-20260101-part1.gz"],"status":"done"}}\n')
  })

  it('also the 436 real files of an unfinished run of English Wikipedia', () => {
    const status = readJson(join(root, 'fixtures/dumpstatus/enwiki-20230301-in-progress.json'))
    const run = makeRun({ wiki: 'enwiki', date: '20230301' }, readDumpStatus(status, 'status'))
    const shards = cutRun(run)
    expect(shards.length).toBeGreaterThan(5)
    expect(shards.flatMap((shard) => shard.files)).toEqual(run.files)
    for (const shard of shards) expect(shard.files.length === 1 || shard.sizeBytes <= 20 * GiB).toBe(true)
    expect(shards.map((shard) => readShard(decode(encode(shardToValue(shard))), 'shard'))).toEqual(shards)
  })
})

describe('a shard in a catalog', () => {
  it('survives dag-cbor and JSON, with digest and key computed again', () => {
    for (const shard of [...cutRun(enwiki), ...cutRun(runOf([15 * GiB, 15 * GiB]))]) {
      const value = shardToValue(shard)
      expect(readShard(decode(encode(value)), 'shard')).toEqual(shard)
      expect(readShard(JSON.parse(JSON.stringify(value)), 'shard')).toEqual(shard)
      expect(Object.keys(value).sort()).toEqual(['bundle', 'files', 'id', 'status'])
    }
  })

  const name = 'enwiki-20201001-page.sql.gz'
  const status = (files: string[]): string =>
    `{"pagetable":{"files":${JSON.stringify(files)},"status":"done"}}\n`
  const row = (path: unknown, size: unknown = 1, digests: unknown = {}): unknown => ({
    files: [[path, size, digests]],
    status: status([name]),
  })

  it('is read when it is good (so that the refusals below mean something)', () => {
    expect(readShard(changed(row(`20201001/${name}`) as object), 'shard').files).toHaveLength(1)
  })

  it.each([
    ['../../x', row('../../x')],
    ['20201001/../../x', row('20201001/../../x')],
    ['20201001/../20201001/name', row(`20201001/../20201001/${name}`)],
    ['an absolute path', row(`/20201001/${name}`)],
    ['a backslash', row(`20201001\\${name}`)],
    ['no folder', row(name)],
    ['a doubled slash', row(`20201001//${name}`)],
    ['the folder of another date', row(`20201002/${name}`)],
    ['a file of another wiki', row('20201001/dewiki-20201001-page.sql.gz')],
    ['a file of another date', row('20201001/enwiki-20201002-page.sql.gz')],
    ['a NUL', row(`20201001/${name}\0`)],
    ['letters beyond ASCII', row(`20201001/enwiki-20201001-pagé.gz`)],
    ['a working suffix', row(`20201001/${name}.inprog`)],
    ['a negative size', row(`20201001/${name}`, -1)],
    ['a fraction of a byte', row(`20201001/${name}`, 0.5)],
    ['a huge size', row(`20201001/${name}`, 2 ** 52)],
    ['a short digest', row(`20201001/${name}`, 1, { md5: 'abcd' })],
    ['a digest in capitals', row(`20201001/${name}`, 1, { md5: 'A'.repeat(32) })],
    ['an unknown algorithm', row(`20201001/${name}`, 1, { crc32: 'abcdef00' })],
    [
      'a file twice',
      {
        files: [
          [`20201001/${name}`, 1, {}],
          [`20201001/${name}`, 1, {}],
        ],
        status: status([name]),
      },
    ],
    ['no files', { files: [], status: status([]) }],
    [
      'a status that names another file',
      { ...(row(`20201001/${name}`) as object), status: status(['enwiki-20201001-x.gz']) },
    ],
    ['a status with spaces', { ...(row(`20201001/${name}`) as object), status: `${status([name])} ` }],
    ['a status that is no JSON', { ...(row(`20201001/${name}`) as object), status: '<html>' }],
    ['a date that does not exist', { id: 'dumps/enwiki/20201399' }],
    ['an id of another form', { id: 'dumps/../x' }],
    ['an unknown bundle version', { bundle: 2 }],
    ['a field too many', { extra: 1 } as object],
  ])('is refused by a ShapeError with %s', (_, change) => {
    expect(() => readShard(changed(change as object), 'shard')).toThrow(ShapeError)
  })

  it('is refused when its files are not in raw-byte order', () => {
    const [shard] = cutRun(enwiki)
    const files = shard === undefined ? [] : [...shardToValue(shard).files].reverse()
    expect(() => readShard(changed({ files }), 'shard')).toThrow(ShapeError)
  })

  it('of any shape gives a shard or a ShapeError', () => {
    const path = fc.oneof(fc.string(), fc.constant(`20201001/${name}`), fc.constant('../../x'))
    const file = fc.oneof(
      fc.anything(),
      fc.tuple(path, fc.integer(), fc.dictionary(fc.string(), fc.string())),
    )
    const value = fc.record(
      {
        id: fc.oneof(fc.anything(), fc.constant('dumps/enwiki/20201001')),
        bundle: fc.oneof(fc.constant(1), fc.anything()),
        files: fc.oneof(fc.array(file), fc.anything()),
        status: fc.oneof(fc.constant(status([name])), fc.json(), fc.anything()),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.oneof(value, fc.anything()), (any) => {
        for (const read of [() => readShard(any, 'shard'), () => readStatusJson(any, 'status')]) {
          try {
            read()
          } catch (error) {
            expect(error).toBeInstanceOf(ShapeError)
          }
        }
      }),
    )
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeCbor, decodeCborList, encodeCbor } from '../../protocol/codec/cbor.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { makeShard, readShard, shardToValue } from '../../protocol/shard/cut.ts'

const NAMES = ['a.sql.gz', 'b.xml.bz2', 'c.xml.7z'].map((rest) => `tenwiki-20260101-${rest}`)
const FILES = [
  { sizeBytes: 0, digests: {} },
  { sizeBytes: 2 ** 40, digests: { md5: 'ab'.repeat(16), sha256: 'ef'.repeat(32) } },
  { sizeBytes: 12, digests: { sha1: 'cd'.repeat(20) } },
].map((file, i) => ({ path: `20260101/${NAMES[i]}`, ...file }))
const PARTS = {
  dataset: 'dumps',
  wiki: 'tenwiki',
  date: '20260101',
  part: 0,
  files: FILES.filter((file) => file.sizeBytes < 2 ** 40),
  statusJson: `{"job":{"files":["${NAMES[0]}","${NAMES[2]}"],"status":"done"}}\n`,
  bundleVersion: 1,
} as const
const LARGE = {
  ...PARTS,
  files: FILES.slice(1, 2),
  statusJson: `{"job":{"files":["${NAMES[1]}"],"status":"done"}}\n`,
} as const

describe('a packed shard', () => {
  it.each([PARTS, LARGE])('gives back the files and the status that it was made of', (parts) => {
    const shard = makeShard(parts)
    expect(shard.files).toEqual(parts.files)
    expect(shard.fileCount).toBe(parts.files.length)
    expect(shard.statusJson).toBe(parts.statusJson)
    expect(shard.key).toBe(`${shard.id}@${shard.digest}`)
  })

  it('is the same after a trip through its value', () => {
    const shard = makeShard(PARTS)
    const again = readShard(shardToValue(shard), 'shard')
    expect([again.key, again.files, again.statusJson]).toEqual([shard.key, shard.files, shard.statusJson])
  })

  it('reads its rows once for all who go through them together', () => {
    const shard = makeShard(PARTS)
    expect(shard.files).toBe(shard.files)
  })
})

const anyItem = fc.oneof(
  fc.integer(),
  fc.string(),
  fc.array(fc.integer()),
  fc.dictionary(fc.string(), fc.string()),
)

describe('a map with a long list, decoded item by item', () => {
  it('is what the decoder says of it as a whole', () => {
    const anyCount = fc.array(anyItem, { maxLength: 300 })
    fc.assert(
      fc.property(anyCount, fc.dictionary(fc.string(), anyItem), (rows, rest) => {
        const bytes = encodeCbor({ ...rest, rows })
        const { map, count, items } = decodeCborList(bytes, 'x', 1e6, 'rows')
        const whole = { ...(map as object), rows: [...items] }
        expect(count).toBe(rows.length)
        expect(whole).toEqual(decodeCbor(bytes, 'x', 1e6))
      }),
    )
  })

  it('refuses what the decoder refuses: a longer form of the count, a key twice, more after the end', () => {
    const row = [0x64, 0x72, 0x6f, 0x77, 0x73] // "rows"
    const list = [0x82, 0x01, 0x02]
    const read = (...bytes: number[]) => decodeCborList(Uint8Array.from(bytes), 'x', 100, 'rows')
    expect([...read(0xa1, ...row, ...list).items]).toEqual([1, 2])
    for (const wrong of [
      [0xa1, ...row, 0x98, 0x02, 0x01, 0x02],
      [0xa2, ...row, ...list, ...row, ...list],
      [0xa1, ...row, ...list, 0x00],
      [0xa1, ...row, 0x01],
      list,
    ])
      expect(() => read(...wrong)).toThrow(ShapeError)
    expect(() => [...read(0xa1, ...row, 0x81, 0x18, 0x01).items]).toThrow(ShapeError)
  })
})

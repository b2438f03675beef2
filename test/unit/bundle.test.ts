/** Cycle bundles: which runs go into which, and their info dictionaries. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Cycle } from '../../protocol/ids.ts'
import { BUNDLE_FILES_MAX } from '../../protocol/limits.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import {
  type BundleBounds,
  bundleFiles,
  bundleInfo,
  bundleName,
  cycleBundles,
  cycleOfBundle,
} from '../../protocol/torrent/bundle.ts'
import { decodeInfo, encodeInfo, infohashOf, torrentFiles, totalBytes } from '../../protocol/torrent/info.ts'
import { decodeMetainfo, encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { pieceCount } from '../../protocol/torrent/piece-length.ts'
import { runShard } from '../support/shards.ts'

const CYCLE = '2026-01' as Cycle
const WIDE: BundleBounds = { bytesMax: 2 ** 50, filesMax: 10_000, infoBytesMax: 2 ** 30 }

/** Runs of different wikis and dates of one cycle; sizes of their files in bytes. */
const someRuns = fc.uniqueArray(
  fc.record({
    wiki: fc.stringMatching(/^[a-z][a-z0-9_]{1,12}$/),
    date: fc.constantFrom('20260101', '20260120'),
    sizes: fc.array(fc.integer({ min: 0, max: 50_000 }), { minLength: 1, maxLength: 6 }),
  }),
  { minLength: 1, maxLength: 12, selector: ({ wiki, date }) => `${wiki}/${date}` },
)
const shardsOf = (runs: readonly Parameters<typeof runShard>[0][]): Shard[] => runs.map(runShard)
const zeroes = (bytes: number, pieceLengthBytes: number) =>
  new Uint8Array(pieceCount(bytes, pieceLengthBytes) * 20)

describe('the bundles of a cycle', () => {
  it('hold every small run once, whole, in raw-byte order of its first path', () => {
    fc.assert(
      fc.property(someRuns, fc.integer({ min: 8, max: 30 }), (runs, filesMax) => {
        const shards = shardsOf(runs)
        const bundles = cycleBundles(CYCLE, shards, { ...WIDE, filesMax })
        const order = shards
          .map((shard) => ({ shard, first: Buffer.from(`${shard.name}/${shard.files[0]?.path}`) }))
          .sort((a, b) => Buffer.compare(a.first, b.first))
          .map(({ shard }) => shard.id)
        expect(bundles.flatMap((bundle) => bundle.shards.map((shard) => shard.id))).toEqual(order)
        for (const bundle of bundles) {
          expect(bundle.files).toEqual(bundle.shards.flatMap(bundleFiles))
          expect(bundle.sizeBytes).toBe(totalBytes(bundle.files))
        }
      }),
    )
  })

  it('are the same whatever the order in which shards are given', () => {
    fc.assert(
      fc.property(
        someRuns.chain((runs) =>
          fc.tuple(fc.constant(runs), fc.shuffledSubarray(runs, { minLength: runs.length })),
        ),
        ([runs, shuffled]) => {
          const bounds = { ...WIDE, filesMax: 12 }
          expect(cycleBundles(CYCLE, shardsOf(shuffled), bounds)).toEqual(
            cycleBundles(CYCLE, shardsOf(runs), bounds),
          )
        },
      ),
    )
  })

  it('keep to bytes, files and the length of the info dictionary, and are closed by nothing else', () => {
    const bounds = fc.record({
      bytesMax: fc.integer({ min: 400_000, max: 1_000_000 }),
      filesMax: fc.integer({ min: 9, max: 40 }),
      infoBytesMax: fc.integer({ min: 1_500, max: 6_000 }),
    })
    fc.assert(
      fc.property(someRuns, bounds, (runs, { bytesMax, filesMax, infoBytesMax }) => {
        const bundles = cycleBundles(CYCLE, shardsOf(runs), { bytesMax, filesMax, infoBytesMax })
        const infoOf = (shards: readonly Shard[], name: string) => {
          const [whole] = cycleBundles(CYCLE, shards, WIDE)
          if (whole === undefined) throw new Error('no bundle')
          return bundleInfo({ ...whole, name }, zeroes(whole.sizeBytes, whole.pieceLengthBytes))
        }
        const fits = (shards: readonly Shard[], name: string) => {
          const files = shards.flatMap(bundleFiles)
          const info = infoOf(shards, name)
          return totalBytes(files) <= bytesMax && files.length <= filesMax && info.length <= infoBytesMax
        }
        bundles.forEach((bundle, i) => {
          expect(bundle.name).toBe(bundleName(CYCLE, i + 1))
          // A run is never split: one alone may be more.
          if (bundle.shards.length > 1) expect(fits(bundle.shards, bundle.name)).toBe(true)
          const next = bundles[i + 1]?.shards[0]
          if (next !== undefined) expect(fits([...bundle.shards, next], bundle.name)).toBe(false)
        })
      }),
    )
  })

  it('leave out parts of big runs, and runs of other cycles', () => {
    const small = runShard({ wiki: 'aawiki', date: '20260101', sizes: [5] })
    const part = runShard({ wiki: 'enwiki', date: '20260101', sizes: [5], part: 1 })
    const later = runShard({ wiki: 'aawiki', date: '20260201', sizes: [5] })
    const [bundle, ...more] = cycleBundles(CYCLE, [part, later, small])
    expect([bundle?.shards, more]).toEqual([[small], []])
    expect(cycleBundles('2025-12' as Cycle, [small])).toEqual([])
  })

  it('are refused when two revisions of a run are given', () => {
    const first = runShard({ wiki: 'aawiki', date: '20260101', sizes: [5] })
    const second = runShard({ wiki: 'aawiki', date: '20260101', sizes: [6] })
    expect(() => cycleBundles(CYCLE, [first, second])).toThrow(RangeError)
  })

  it('has every file of its runs, metadata files too, with the name before the path', () => {
    const shard = runShard({ wiki: 'aawiki', date: '20260101', sizes: [5, 6] })
    const [bundle] = cycleBundles(CYCLE, [shard])
    expect(bundle?.files.map((file) => file.path)).toEqual(
      torrentFiles(shard).map((file) => `aawiki/${file.path}`),
    )
    expect(bundle?.files.at(-1)?.path).toMatch(/^aawiki\/20260101\/wikiseed-[0-9a-f]{8}\/README\.txt$/)
  })

  it('are named so that their cycle can be told', () => {
    expect([1, 2, 31].map((number) => bundleName(CYCLE, number))).toEqual([
      'wikiseed-2026-01',
      'wikiseed-2026-01~2',
      'wikiseed-2026-01~31',
    ])
    for (const name of ['wikiseed-2026-01', 'wikiseed-2026-01~2', 'wikiseed-2026-01~31'])
      expect(cycleOfBundle(name)).toBe(CYCLE)
    for (const name of [
      'wikiseed-2026-13',
      'wikiseed-2026-01~1',
      'wikiseed-2026-01~02',
      'wikiseed-0a1b2c3d',
      'tenwiki',
    ])
      expect(cycleOfBundle(name)).toBeNull()
  })
})

describe('the info dictionary of a bundle', () => {
  const shards = ['aawiki', 'htwiki'].map((wiki) =>
    runShard({ wiki, date: '20260101', sizes: [50_000, 0, 7] }),
  )
  const [bundle] = cycleBundles(CYCLE, shards)
  if (bundle === undefined) throw new Error('no bundle')
  const info = bundleInfo(bundle, zeroes(bundle.sizeBytes, bundle.pieceLengthBytes))

  it('says name, files and piece length, and nothing else', () => {
    const { name, files, pieceLengthBytes } = bundle
    const pieces = zeroes(bundle.sizeBytes, pieceLengthBytes)
    expect(decodeInfo(info, 'bundle')).toEqual({ name, files, pieceLengthBytes, pieces })
  })

  it('of more files than a shard may have is refused as the info dictionary of a shard', () => {
    const files = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ path: `a/${i}`, sizeBytes: 1 }))
    const of = (count: number) => {
      const parts = { name: 'wikiseed-2026-01', pieceLengthBytes: 16_384 }
      return encodeInfo({ ...parts, files: files(count), pieces: zeroes(count, 16_384) }, 'bundle')
    }
    expect(decodeInfo(of(2_003))).not.toBeNull()
    expect(decodeInfo(of(2_004))).toBeNull()
    expect(decodeInfo(of(BUNDLE_FILES_MAX), 'bundle')?.files).toHaveLength(BUNDLE_FILES_MAX)
    expect(() => of(BUNDLE_FILES_MAX + 1)).toThrow(RangeError)
    expect(decodeMetainfo(encodeMetainfo({ info: of(BUNDLE_FILES_MAX) }))).not.toBeNull()
  })

  it('is the one of the golden vectors', () => {
    const file = join(import.meta.dirname, '..', 'vectors', 'torrents.json')
    const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as {
      vectors: {
        name: string
        files: {
          path: string
          sizeBytes: number
          content: { counter?: string; text?: string; fixture?: string }
        }[]
        expected: { infohash: string; pieceLengthBytes: number; piecesSha1: string }
      }[]
    }
    const ours = vectors.filter(({ name }) => name.startsWith('wikiseed-'))
    expect(ours.map(({ name }) => name)).toEqual(['wikiseed-2026-01', 'wikiseed-2024-02~2'])
    for (const { name, files, expected } of ours) {
      const bytes = Buffer.concat(files.map(({ content, sizeBytes }) => contentOf(content, sizeBytes)))
      const pieces: Buffer[] = []
      for (let at = 0; at < bytes.length; at += expected.pieceLengthBytes) {
        const piece = bytes.subarray(at, at + expected.pieceLengthBytes)
        pieces.push(createHash('sha1').update(piece).digest())
      }
      const bare = files.map(({ path, sizeBytes }) => ({ path, sizeBytes }))
      const made = encodeInfo(
        { name, files: bare, pieceLengthBytes: expected.pieceLengthBytes, pieces: Buffer.concat(pieces) },
        'bundle',
      )
      expect(infohashOf(made)).toBe(expected.infohash)
    }
  })
})

/** As the vector file describes it. */
function contentOf(
  content: { counter?: string; text?: string; fixture?: string },
  sizeBytes: number,
): Buffer {
  if (content.fixture !== undefined)
    return readFileSync(join(import.meta.dirname, '..', 'fixtures', content.fixture))
  if (content.text !== undefined) return Buffer.from(content.text)
  const blocks = Array.from({ length: Math.ceil(sizeBytes / 16_384) }, (_, i) =>
    Buffer.alloc(16_384, createHash('sha256').update(`${content.counter}:${i}`).digest()),
  )
  return Buffer.concat(blocks).subarray(0, sizeBytes)
}

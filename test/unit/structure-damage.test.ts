/**
 * Damage is found by the form of a file wherever its format has a check, and never placed behind where it is, except that it
 * may look as if the file ended too early. What no check
 * covers is named here byte by byte; there, only digests tell.
 */
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decompressBzip2 } from '../../node/structure/bzip2.ts'
import { findingOf, fixture, flipped } from '../support/structure.ts'

const MIB = 1024 * 1024
/** Every stream of the large multistream dump, not only some: minutes. */
const THOROUGH = process.env.WIKISEED_THOROUGH === '1'
const NAME = 'article-pyrus.xml'
const article = gunzipSync(fixture(`structure/${NAME}.gz`))
const zstd = zstdCompressSync(article, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
const gz = fixture(`structure/${NAME}.gz`)
const bz2 = fixture(`structure/${NAME}.bz2`)
const xz = fixture(`structure/${NAME}.xz`)
const sevenZip = fixture(`structure/${NAME}.7z`)

/** `unchecked`: a change there is seen by nobody but digests. */
const FORMATS: readonly {
  ext: string
  bytes: Buffer
  unchecked: (at: number, changed: Uint8Array) => boolean
}[] = [
  {
    ext: 'gz',
    bytes: gz,
    // The header has no CRC (RFC 1952, 2.3): flags, time, compressor, system; then the name, to its zero.
    unchecked: (at, changed) => at < gz.indexOf(0, 10) + 1 || gunzipSync(changed).equals(article),
  },
  // A larger level only allows more. Codes of symbols that do not occur, and bits after the end, mean nothing.
  {
    ext: 'bz2',
    bytes: bz2,
    unchecked: (at, changed) => at === 3 || article.equals(decompressBzip2(changed, MIB)),
  },
  { ext: 'xz', bytes: xz, unchecked: () => false },
  // The version in the first header.
  { ext: '7z', bytes: sevenZip, unchecked: (at) => at === 6 || at === 7 },
  // The checksum is over the content.
  { ext: 'zst', bytes: zstd, unchecked: (_at, changed) => zstdDecompressSync(changed).equals(article) },
]

describe.each(FORMATS)('a .$ext', ({ ext, bytes, unchecked }) => {
  const name = `${NAME}.${ext}`

  it('is whole as it is', async () => {
    expect(await findingOf(name, bytes)).toMatchObject({
      state: 'ok',
      content: 'xml',
      contentBytes: article.length,
    })
  })

  it('is found broken with a bit turned over in any byte that a check covers, and not behind that byte', async () => {
    const unseen: number[] = []
    const misplaced: [number, unknown][] = []
    for (let at = 0; at < bytes.length; at++) {
      const finding = await findingOf(name, flipped(bytes, at))
      if (finding.state === 'ok') unseen.push(at)
      else if (finding.state === 'bad' && finding.offsetBytes > at && finding.offsetBytes < bytes.length)
        misplaced.push([at, finding])
    }
    expect(unseen.filter((at) => !unchecked(at, flipped(bytes, at)))).toEqual([])
    expect(misplaced).toEqual([])
  })

  it('is found broken at its end when it is cut anywhere', async () => {
    const wrong: [number, unknown][] = []
    for (let length = 0; length < bytes.length; length += 7) {
      const finding = await findingOf(name, bytes.subarray(0, length))
      if (finding.state !== 'bad' || finding.offsetBytes !== length) wrong.push([length, finding])
    }
    expect(wrong).toEqual([])
  })

  it('is found broken where bytes follow that are none of it', async () => {
    const more = Buffer.concat([bytes, Buffer.from('Ã')])
    expect(await findingOf(name, more)).toMatchObject({ state: 'bad', offsetBytes: bytes.length })
  })

  it('is judged alike in whatever pieces it comes', async () => {
    const cuts = fc.array(fc.nat(bytes.length), { maxLength: 200 }).map((all) => all.sort((a, b) => a - b))
    const damage = fc.option(fc.nat(bytes.length - 1))
    await fc.assert(
      fc.asyncProperty(cuts, damage, async (ends, at) => {
        const file = at === null ? bytes : flipped(bytes, at)
        expect(await findingOf(name, file, ends)).toEqual(await findingOf(name, file))
      }),
      { seed: 21, numRuns: 60 },
    )
  })
})

describe('several in one file', () => {
  const two = (one: Uint8Array, other: Uint8Array = one) => Buffer.concat([one, other])
  const text = Buffer.from('<mediawiki>\n<page/>\n')
  const close = Buffer.from('</mediawiki>\n')

  it.each([
    ['gz', two(gzipSync(text), gzipSync(close)), 2],
    ['zst', two(zstdCompressSync(text), zstdCompressSync(close)), 2],
    ['bz2', two(bz2), 2],
    ['xz', two(xz), 2],
    ['xz', Buffer.concat([xz, Buffer.alloc(8), xz]), 2],
  ])('.%s are read to the last', async (ext, bytes, streams) => {
    expect(await findingOf(`${NAME}.${ext}`, bytes)).toMatchObject({ state: 'ok', streams })
  })

  it.each([
    ['gz', gz],
    ['zst', zstd],
    ['bz2', bz2],
    ['xz', xz],
  ])('.%s: damage in the second is placed in the second', async (ext, bytes) => {
    const at = bytes.length + Math.floor(bytes.length / 2)
    const finding = await findingOf(`${NAME}.${ext}`, flipped(two(bytes), at))
    expect(finding).toMatchObject({ state: 'bad' })
    const offsetBytes = finding.state === 'bad' ? finding.offsetBytes : 0
    expect(offsetBytes).toBeGreaterThanOrEqual(bytes.length)
    expect(offsetBytes).toBeLessThanOrEqual(at)
  })

  it('.zst: a frame to be skipped is skipped, also at the end', async () => {
    const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
    expect(await findingOf(`${NAME}.zst`, Buffer.concat([skippable, zstd, skippable]))).toMatchObject({
      state: 'ok',
      streams: 1,
    })
    const cut = Buffer.concat([zstd, skippable.subarray(0, 9)])
    expect(await findingOf(`${NAME}.zst`, cut)).toMatchObject({ state: 'bad', offsetBytes: cut.length })
  })
})

describe('real dumps', () => {
  const dumps = [
    'aawiki/20260101/aawiki-20260101-pages-meta-current.xml.bz2',
    'aawiki/20260101/aawiki-20260101-pages-meta-history.xml.7z',
    'metawiki/20240401/metawiki-20240401-sites.sql.gz',
    'wikidatawiki/20260101/wikidatawiki-20260101-pages-articles-multistream.xml.bz2',
  ].map((path) => ({ name: path.split('/').at(-1) ?? '', bytes: fixture(`dumps/${path}`) }))

  it.each(dumps)('$name is found broken, cut at every 1,000th byte', async ({ name, bytes }) => {
    const wrong: [number, unknown][] = []
    for (let length = 0; length < bytes.length; length += 1_000) {
      const finding = await findingOf(name, bytes.subarray(0, length))
      if (finding.state !== 'bad' || finding.offsetBytes !== length) wrong.push([length, finding])
    }
    expect(wrong).toEqual([])
  })

  it('fatwiki, stream by stream: each is found broken, cut at every 1,000th byte', async () => {
    const bytes = fixture('dumps/fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2')
    const starts: number[] = []
    // A level, and then the first block's magic; or the magic of the end.
    for (let at = bytes.indexOf('BZh9'); at >= 0; at = bytes.indexOf('BZh9', at + 1)) {
      if (['314159265359', '177245385090'].includes(bytes.toString('hex', at + 4, at + 10))) starts.push(at)
    }
    expect(starts.length).toBe(38)
    const wrong: [number, unknown][] = []
    for (const [i, start] of starts.entries()) {
      if (i === 0 || (!THOROUGH && i % 9 !== 1)) continue
      const stream = bytes.subarray(start, starts[i + 1])
      for (let length = 1_000 - (start % 1_000); length < stream.length; length += 1_000) {
        const finding = await findingOf('stream.bz2', stream.subarray(0, length))
        if (finding.state !== 'bad' || finding.offsetBytes !== length) wrong.push([start + length, finding])
      }
      // Between two streams the container is whole; the XML is not.
      const name = 'fatwiki-20240920-pages-articles-multistream.xml.bz2'
      expect(await findingOf(name, bytes.subarray(0, start))).toEqual({
        state: 'bad',
        offsetBytes: start,
        detail: 'its content does not end with </mediawiki>',
      })
    }
    expect(wrong).toEqual([])
  }, 600_000)

  it.each(dumps)(
    '$name is found broken with a bit turned over anywhere, but for what no check covers',
    async ({ name, bytes }) => {
      const gzHeader = name.endsWith('.gz') ? 80 : 8
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: gzHeader, max: bytes.length - 2 }), fc.nat(7), async (at, bit) => {
          const finding = await findingOf(name, flipped(bytes, at, bit))
          if (finding.state === 'ok' && isSame(name, flipped(bytes, at, bit), bytes)) return
          expect(finding.state).toBe('bad')
          const seen = finding.state === 'bad' ? finding.offsetBytes : 0
          expect(seen <= at || seen === bytes.length).toBe(true)
        }),
        { seed: 21, numRuns: 40 },
      )
    },
  )
})

/** A code for what does not occur can change without the content changing. */
function isSame(name: string, changed: Uint8Array, bytes: Uint8Array): boolean {
  if (name.endsWith('.gz')) return gunzipSync(changed).equals(gunzipSync(bytes))
  const unpack = (file: Uint8Array) => Buffer.from(decompressBzip2(file, 64 * MIB))
  return name.endsWith('.bz2') && unpack(changed).equals(unpack(bytes))
}

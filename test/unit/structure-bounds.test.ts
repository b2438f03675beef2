/** What is made to keep the reader busy, or to take its memory, is not read to its end, and said to be so. */
import { crc32, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { kindOf } from '../../node/structure/check.ts'
import { findingOf, fixture } from '../support/structure.ts'

/** 46,620,000 zeros, by bzip2 1.0.8 at level 9. */
const ZEROS = Buffer.from(
  '425a68393141592653590e09e2df015f8e4000c0000008200030804d4642a025a90a8097314159265359ce348dc70005854040c00008000008200030cc0529a64829b14829e2ee48a70a121a44e90f20',
  'hex',
)

describe('bombs', () => {
  it('a bzip2 file that unpacks to a gigabyte and more of zeros is left unread', async () => {
    const bomb = Buffer.concat(Array.from({ length: 30 }, () => ZEROS))
    expect(await findingOf('x.bz2', ZEROS)).toMatchObject({ state: 'ok', contentBytes: 46_620_000 })
    expect(await findingOf('x.bz2', bomb)).toMatchObject({ state: 'unknown' })
  })

  it('a gzip file is read, since it cannot be one: what comes out is thrown away', async () => {
    const packed = gzipSync(Buffer.alloc(256 * 1024 * 1024))
    const before = process.memoryUsage().arrayBuffers
    expect(await findingOf('x.gz', packed)).toMatchObject({ state: 'ok', contentBytes: 256 * 1024 * 1024 })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024)
  })
})

describe('memory that a file asks for', () => {
  it('xz with a dictionary of 4 GiB is left unread', async () => {
    const xz = fixture('structure/article-pyrus.xml.xz')
    // Block header: size, flags, filter 0x21, one property.
    expect(xz.subarray(12, 16)).toEqual(Buffer.from([2, 0, 0x21, 1]))
    xz[16] = 40
    xz.writeUInt32LE(crc32(xz.subarray(12, 20)), 20)
    expect(await findingOf('x.xz', xz)).toMatchObject({
      state: 'unknown',
      detail: expect.stringMatching('dictionary'),
    })
  })

  it('zstd with a window of 3.75 TiB is left unread', async () => {
    const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 1, 0, 0])
    expect(await findingOf('x.zst', frame)).toMatchObject({
      state: 'unknown',
      detail: expect.stringMatching('dictionary'),
    })
  })

  it('7z with a dictionary of 4 GiB is left unread', async () => {
    const archive = fixture('structure/article-pyrus.xml.7z')
    const headerAt = 32 + Number(archive.readBigUInt64LE(12))
    const lzma = archive.indexOf(Buffer.from('23030101055d', 'hex'), headerAt)
    expect(lzma).toBeGreaterThan(0)
    archive.writeUInt32LE(0xffffffff, lzma + 6)
    archive.writeUInt32LE(crc32(archive.subarray(headerAt)), 28)
    archive.writeUInt32LE(crc32(archive.subarray(12, 32)), 8)
    expect(await findingOf('x.7z', archive)).toMatchObject({
      state: 'unknown',
      detail: expect.stringMatching('dictionary'),
    })
  })

  it('7z with a header of a gigabyte is left unread', async () => {
    const start = Buffer.alloc(32)
    Buffer.from('377abcaf271c0004', 'hex').copy(start)
    start.writeBigUInt64LE(0n, 12)
    start.writeBigUInt64LE(2n ** 21n, 20)
    start.writeUInt32LE(crc32(start.subarray(12)), 8)
    const archive = Buffer.concat([start, Buffer.alloc(2 ** 21)])
    expect(await findingOf('x.7z', archive)).toMatchObject({
      state: 'unknown',
      detail: expect.stringMatching('header'),
    })
  })
})

describe('what a file is, by its name', () => {
  it.each([
    ['enwiki-20260901-pages-articles-multistream1.xml-p1p41242.bz2', 'bzip2', 'xml', 'enwiki'],
    ['enwiki-20260901-pages-articles-multistream-index1.txt-p1p41242.bz2', 'bzip2', null, 'enwiki'],
    ['zh_min_nanwiki-20260901-page.sql.gz', 'gzip', 'sql', 'zh_min_nanwiki'],
    ['simplewiki-2026-09-01-p1p20000.xml.bz2', 'bzip2', 'xml', 'simplewiki'],
    ['aawiki-20260101-pages-meta-history.xml.7z', '7z', 'xml', 'aawiki'],
    ['latest-all.json.zst', 'zstd', null, null],
    ['page.sql', 'plain', 'sql', null],
    ['something.xz', 'xz', 'by head', null],
  ])('%s', (name, container, content, wiki) => {
    expect(kindOf(name)).toEqual({ container, content, wiki })
  })

  it('is nothing to be checked for a text, a page or a list', () => {
    for (const name of ['README.txt', 'index.html', 'HASH.json', 'dump', 'x.tar'])
      expect(kindOf(name)).toBeNull()
  })
})

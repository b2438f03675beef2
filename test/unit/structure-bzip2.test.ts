/** bzip2 is read as bzip2 reads it, and is found broken where it is broken. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decompressBzip2 } from '../../node/structure/bzip2.ts'
import { Broken } from '../../node/structure/finding.ts'

const DUMPS = join(import.meta.dirname, '..', 'fixtures', 'dumps')
const multistream = readFileSync(
  join(DUMPS, 'urwiki/20260101/urwiki-20260101-pages-articles-multistream.xml.bz2'),
)
const article = readFileSync(join(DUMPS, 'urwiki/20260101/urwiki-20260101-pages-articles.xml.bz2'))
const index = readFileSync(
  join(DUMPS, 'urwiki/20260101/urwiki-20260101-pages-articles-multistream-index.txt.bz2'),
)
const MIB = 1024 * 1024

function text(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
}

function broken(work: () => unknown): Broken {
  try {
    work()
  } catch (error) {
    if (error instanceof Broken) return error
    throw error
  }
  throw new Error('not found broken')
}

describe('decompressBzip2', () => {
  it('unpacks the streams of a multistream dump to the same text as the dump of one stream', () => {
    expect(text(decompressBzip2(multistream, MIB))).toBe(text(decompressBzip2(article, MIB)))
  })

  it('unpacks one stream by the offsets of the index', () => {
    const offsets = [
      ...new Set(
        text(decompressBzip2(index, MIB))
          .trim()
          .split('\n')
          .map((line) => Number(line.split(':')[0])),
      ),
    ]
    for (const [i, start] of offsets.entries()) {
      const pages = text(decompressBzip2(multistream.subarray(start, offsets[i + 1]), MIB))
      expect(pages.trimStart().startsWith('<page>')).toBe(true)
    }
  })

  it('refuses more than was asked for', () => {
    expect(() => decompressBzip2(article, 1_000)).toThrow(RangeError)
  })

  it('refuses an empty input, something else, and bytes after the last stream', () => {
    expect(broken(() => decompressBzip2(new Uint8Array(), MIB)).offsetBytes).toBe(0)
    expect(broken(() => decompressBzip2(Buffer.from('<mediawiki>'), MIB)).offsetBytes).toBe(0)
    const more = Buffer.concat([article, Buffer.from('x')])
    expect(broken(() => decompressBzip2(more, MIB)).offsetBytes).toBe(article.length)
  })
})

/**
 * The multistream form of a dump (operations-dumps, recompressjobs.py): bzip2 streams one after the other, the first with the
 * siteinfo, the last with the closing tag, 100 pages in each between; beside it an index, `offset:pageid:title` in a bzip2
 * stream. Big wikis have it in parts, each with an index of its own that counts from the part's start.
 */

import { utf8FromBytes } from '../../protocol/codec/bytes.ts'
import { parseDumpFileName } from '../../protocol/dump/file-name.ts'
import { decompressBzip2 } from '../structure/bzip2.ts'
import type { ByteSource, RunFile, RunSource } from './byte-source.ts'
import { readSiteInfo, type SiteInfo } from './titles.ts'
import { xmlText } from './xml-text.ts'

export interface Multistream {
  readonly content: RunFile
  readonly index: RunFile
}

/** An index, decompressed: about 40 bytes a page. */
const INDEX_BYTES_MAX = 512 * 1024 * 1024
/** 100 pages of at most 2 MiB of wikitext (`$wgMaxArticleSize`), with room for their XML. */
const STREAM_BYTES_MAX = 256 * 1024 * 1024
const HEADER_BYTES_MAX = 4 * 1024 * 1024
/** A siteinfo, compressed; a file whose first stream is longer is no multistream dump. */
const HEADER_PACKED_BYTES_MAX = 1024 * 1024

/** What a dump holds is not what it should be; `message` is one sentence for people. */
export class DumpFormatError extends Error {
  constructor(detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'DumpFormatError'
  }
}

/** The pairs of one run in the order of pages. The parts of a big wiki, if there are any, else the one whole file. */
export function multistreamsOf(files: readonly RunFile[]): Multistream[] {
  const found: { pair: Multistream; part: number; firstPage: number }[] = []
  const byName = new Map(files.map((file) => [file.name, file]))
  for (const content of files) {
    const rest = parseDumpFileName(content.name)?.rest ?? ''
    const match = /^pages-articles-multistream(\d*)\.xml(?:-p(\d+)p\d+)?\.bz2$/.exec(rest)
    if (match === null) continue
    const indexName = content.name.replace(
      /-multistream(\d*)\.xml(-p\d+p\d+)?\.bz2$/,
      '-multistream-index$1.txt$2.bz2',
    )
    const index = byName.get(indexName)
    if (index === undefined) continue
    const part = match[1] === '' && match[2] === undefined ? 0 : Number(match[1] || 1)
    found.push({ pair: { content, index }, part, firstPage: Number(match[2] ?? 0) })
  }
  const parts = found.filter((one) => one.part > 0)
  return (parts.length > 0 ? parts : found)
    .sort((a, b) => a.part - b.part || a.firstPage - b.firstPage)
    .map((one) => one.pair)
}

export interface IndexEntry {
  readonly offset: number
  readonly pageId: number
  readonly title: string
}

export class MultistreamIndex {
  readonly #bytes: Uint8Array
  readonly #name: string
  /** Where streams of pages begin, growing. */
  readonly offsets: readonly number[]

  private constructor(name: string, bytes: Uint8Array, offsets: readonly number[]) {
    this.#name = name
    this.#bytes = bytes
    this.offsets = offsets
  }

  /** Reads a whole index. Rejects with SourceError or DumpFormatError. */
  static async read(source: ByteSource, name: string, contentBytes: number, signal?: AbortSignal) {
    const packed = await source.read(0, source.sizeBytes, signal)
    const bytes = unpack(packed, INDEX_BYTES_MAX, name)
    const offsets = new Set<number>()
    const index = new MultistreamIndex(name, bytes, [])
    for (const { offset } of index.#lines()) {
      if (offset >= contentBytes) throw new DumpFormatError(`${name} points behind the end of its dump`)
      offsets.add(offset)
    }
    return new MultistreamIndex(
      name,
      bytes,
      [...offsets].sort((a, b) => a - b),
    )
  }

  /** The first entry of one of these titles, the earlier form before the later one; null when none is there. */
  find(forms: readonly string[]): IndexEntry | null {
    const wanted = new Map(forms.map((form, rank) => [form, rank]))
    let best: { entry: IndexEntry; rank: number } | null = null
    for (const entry of this.entries()) {
      const rank = wanted.get(entry.title)
      if (rank === 0) return entry
      if (rank !== undefined && (best === null || rank < best.rank)) best = { entry, rank }
    }
    return best?.entry ?? null
  }

  *entries(): Generator<IndexEntry, void> {
    for (const { offset, pageId, title } of this.#lines()) {
      yield { offset, pageId, title: xmlText(utf8FromBytes(title) ?? '') }
    }
  }

  /** Where the stream that begins here ends: at the next one, the last at the end of the file. */
  endOf(offset: number, contentBytes: number): number {
    let low = 0
    let high = this.offsets.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.offsets[middle] ?? 0) <= offset) low = middle + 1
      else high = middle
    }
    return this.offsets[low] ?? contentBytes
  }

  /** `offset:pageid:title`; titles have colons too, so a line is split twice at most. */
  *#lines(): Generator<{ offset: number; pageId: number; title: Uint8Array }, void> {
    const bytes = this.#bytes
    for (let at = 0; at < bytes.length; ) {
      const lineFeed = bytes.indexOf(10, at)
      const end = lineFeed < 0 ? bytes.length : lineFeed
      const first = bytes.indexOf(58, at)
      const second = first < 0 ? -1 : bytes.indexOf(58, first + 1)
      if (end > at) {
        const offset = digits(bytes, at, first)
        const pageId = digits(bytes, first + 1, second)
        if (second < 0 || second > end || offset === null || pageId === null)
          throw new DumpFormatError(`${this.#name} is no index of a multistream dump`)
        yield { offset, pageId, title: bytes.subarray(second + 1, end) }
      }
      at = end + 1
    }
  }
}

function digits(bytes: Uint8Array, start: number, end: number): number | null {
  if (end <= start || end - start > 15) return null
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 48
    if (digit < 0 || digit > 9) return null
    value = value * 10 + digit
  }
  return value
}

/** The XML of one stream. The last one's range holds the closing tag too. Rejects with SourceError or DumpFormatError. */
export async function readStream(
  source: ByteSource,
  name: string,
  start: number,
  end: number,
  signal?: AbortSignal,
): Promise<string> {
  const xml = utf8FromBytes(unpack(await source.read(start, end, signal), STREAM_BYTES_MAX, name))
  if (xml === null) throw new DumpFormatError(`${name} is not UTF-8 at byte ${start}`)
  return xml
}

/** What stands before the first page, and what it says of the wiki. */
export async function readHeader(
  source: ByteSource,
  name: string,
  firstOffset: number,
  signal?: AbortSignal,
): Promise<{ xml: string; site: SiteInfo }> {
  if (firstOffset < 1 || firstOffset > HEADER_PACKED_BYTES_MAX)
    throw new DumpFormatError(`${name} has no stream with a siteinfo before its pages`)
  const xml = utf8FromBytes(unpack(await source.read(0, firstOffset, signal), HEADER_BYTES_MAX, name))
  const site = xml === null ? null : readSiteInfo(xml)
  if (xml === null || site === null) throw new DumpFormatError(`${name} does not begin as an export does`)
  return { xml, site }
}

function unpack(packed: Uint8Array, bytesMax: number, name: string): Uint8Array {
  try {
    return decompressBzip2(packed, bytesMax)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new DumpFormatError(`${name} cannot be decompressed: ${why}`, { cause: error })
  }
}

/** Opens both files of a pair, gives them to `use`, and closes them. */
export async function withPair<T>(
  run: RunSource,
  pair: Multistream,
  use: (open: { content: ByteSource; index: MultistreamIndex }) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const packed = await run.open(pair.index.name, signal)
  let index: MultistreamIndex
  try {
    index = await MultistreamIndex.read(packed, pair.index.name, pair.content.sizeBytes, signal)
  } finally {
    await packed.close()
  }
  const content = await run.open(pair.content.name, signal)
  try {
    return await use({ content, index })
  } finally {
    await content.close()
  }
}

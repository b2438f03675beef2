/**
 * Some pages of a run as an export of their own (`wikiseed extract`): the dump's own header and closing tag around the page elements as
 * they stand there. Of a multistream dump each stream that holds a wanted page is read once, in order; a Content File Export is read
 * from its beginning until all is found.
 */
import { utf8FromBytes } from '../../protocol/codec/bytes.ts'
import { decompressBzip2 } from '../structure/bzip2.ts'
import type { ByteSource, RunSource } from './byte-source.ts'
import { exportFilesOf, isRestOf, scanExport } from './export-scan.ts'
import {
  DumpFormatError,
  type IndexEntry,
  multistreamsOf,
  readHeader,
  readStream,
  withPair,
} from './multistream.ts'
import { pagesOf } from './pages.ts'
import { readSiteInfo, type SiteInfo, titleForms } from './titles.ts'

/** Which pages. Asked for every entry of every index, or for every page that is come by. */
export interface Selection {
  has(page: Pick<IndexEntry, 'pageId' | 'title'>): boolean
  /** Nothing more is wanted. */
  isDone(): boolean
}

export interface SubsetCounts {
  readonly pages: number
  /** bzip2 streams that were read; a file of an export is one. */
  readonly streams: number
}

export interface SubsetOptions {
  /** Called once, with what the first part says of the wiki. */
  readonly select: (site: SiteInfo) => Promise<Selection> | Selection
  /** Takes the XML, in order. */
  readonly write: (xml: string | Uint8Array) => Promise<void>
  readonly onStream?: (doneBytes: number, allBytes: number) => void
  readonly signal?: AbortSignal
}

/** Rejects with SourceError or DumpFormatError. What was written then is no whole export. */
export async function writeSubset(run: RunSource, options: SubsetOptions): Promise<SubsetCounts> {
  if (run.dataset !== 'dumps') return writeFromExport(run, options)
  const { signal, write } = options
  const pairs = multistreamsOf(run.files)
  if (pairs.length === 0)
    throw new DumpFormatError(
      `${run.wiki} of ${run.date} has no multistream dump with an index, so no pages can be taken from it`,
    )
  let selection: Selection | null = null
  const counts = { pages: 0, streams: 0 }
  for (const [number, pair] of pairs.entries()) {
    const { name, sizeBytes } = pair.content
    await withPair(
      run,
      pair,
      async ({ content, index }) => {
        if (selection === null) {
          const { xml, site } = await readHeader(content, name, index.offsets[0] ?? 0, signal)
          selection = await options.select(site)
          await write(xml.endsWith('\n') ? xml : `${xml}\n`)
        }
        const streams = new Map<number, Set<number>>()
        for (const entry of index.entries()) {
          if (!selection.has(entry)) continue
          const ids = streams.get(entry.offset) ?? new Set<number>()
          streams.set(entry.offset, ids.add(entry.pageId))
        }
        for (const offset of [...streams.keys()].sort((a, b) => a - b)) {
          const ids = streams.get(offset) ?? new Set<number>()
          const xml = await readStream(content, name, offset, index.endOf(offset, sizeBytes), signal)
          counts.streams++
          for (const page of pagesOf(xml)) {
            if (!ids.delete(page.id)) continue
            await write(page.xml.endsWith('\n') ? page.xml : `${page.xml}\n`)
            counts.pages++
          }
          const [lost] = ids
          if (lost !== undefined)
            throw new DumpFormatError(`${name} does not hold page ${lost} where its index says`)
          options.onStream?.(offset, sizeBytes)
        }
        if (number === pairs.length - 1) await write(await readFooter(content, name, signal))
      },
      signal,
    )
  }
  return counts
}

async function writeFromExport(run: RunSource, options: SubsetOptions): Promise<SubsetCounts> {
  const { select, write, signal, onStream } = options
  const files = exportFilesOf(run.files)
  if (files.length === 0)
    throw new DumpFormatError(`${run.wiki} of ${run.date} has no files of ${run.dataset}`)
  const taken: { selection: Selection | null; lastId: number | null } = { selection: null, lastId: null }
  const counts = { pages: 0, streams: 0 }
  const scan = scanExport(run, files, {
    wantsFile: (file) => taken.selection?.isDone() !== true || isRestOf(file, taken.lastId),
    ...(onStream === undefined ? {} : { onBytes: onStream }),
    ...(signal === undefined ? {} : { signal }),
  })
  for await (const event of scan) {
    if (event.kind === 'header') {
      counts.streams++
      if (taken.selection !== null) continue
      const site = readSiteInfo(event.xml)
      if (site === null) throw new DumpFormatError(`${event.file.name} does not begin as an export does`)
      taken.selection = await select(site)
      await write(event.xml.endsWith('\n') ? event.xml : `${event.xml}\n`)
    } else if (event.kind === 'bytes') await write(event.bytes)
    else {
      const { id, title } = event.head
      // The history of one page may fill several files, each with the page's element around its part.
      if (id !== taken.lastId) {
        if (taken.selection?.isDone() === true) break
        if (taken.selection?.has({ pageId: id, title }) !== true) continue
        counts.pages++
        taken.lastId = id
      }
      event.take()
    }
  }
  await write('</mediawiki>\n')
  return counts
}

/** The dump's last stream: `</mediawiki>`, packed in some 50 bytes. */
const FOOTER_PACKED_BYTES_MAX = 4_096
const FOOTER_BYTES_MAX = 65_536

async function readFooter(
  content: ByteSource,
  name: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const start = Math.max(0, content.sizeBytes - FOOTER_PACKED_BYTES_MAX)
  const tail = Buffer.from(await content.read(start, content.sizeBytes, signal))
  // A stream begins with `BZh`, its level, and the magic number of its first block.
  for (let at = tail.length; at > 0; ) {
    at = tail.lastIndexOf('BZh', at - 1, 'latin1')
    if (at < 0) break
    if (!tail.subarray(at + 4, at + 10).equals(BLOCK_MAGIC)) continue
    const xml = utf8FromBytes(decompressBzip2(tail.subarray(at), FOOTER_BYTES_MAX)) ?? ''
    if (/^\s*<\/mediawiki>\s*$/.test(xml)) return `${xml.trim()}\n`
    break
  }
  throw new DumpFormatError(`${name} does not end with a stream of its closing tag`)
}

const BLOCK_MAGIC = Buffer.from([0x31, 0x41, 0x59, 0x26, 0x53, 0x59])

/** Pages by title; `missing` tells afterwards which of the titles no index has. */
export class TitleSelection implements Selection {
  /** Form -> titles as they were given. */
  readonly #forms = new Map<string, string[]>()
  readonly #open: Set<string>

  constructor(titles: readonly string[], site: SiteInfo) {
    this.#open = new Set(titles)
    for (const title of titles) {
      for (const form of titleForms(title, site))
        this.#forms.set(form, [...(this.#forms.get(form) ?? []), title])
    }
  }

  has(entry: Pick<IndexEntry, 'pageId' | 'title'>): boolean {
    const titles = this.#forms.get(entry.title)
    for (const title of titles ?? []) this.#open.delete(title)
    return titles !== undefined
  }

  isDone(): boolean {
    return this.#open.size === 0
  }

  missing(): string[] {
    return [...this.#open]
  }
}

/** Pages by id; `missing` tells afterwards which of them no index has. */
export class IdSelection implements Selection {
  readonly #ids: ReadonlySet<number>
  readonly #open: Set<number>

  constructor(ids: ReadonlySet<number>) {
    this.#ids = ids
    this.#open = new Set(ids)
  }

  has(entry: Pick<IndexEntry, 'pageId' | 'title'>): boolean {
    this.#open.delete(entry.pageId)
    return this.#ids.has(entry.pageId)
  }

  isDone(): boolean {
    return this.#open.size === 0
  }

  missing(): ReadonlySet<number> {
    return this.#open
  }
}

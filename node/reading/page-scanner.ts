/**
 * An export read from its beginning, as it comes: what stands before the first page, the head of each page, and the bytes of those that
 * are taken. Memory holds one head and one piece, however long a page's history is. Cut at tags as in pages.ts.
 */
import { DumpFormatError } from './multistream.ts'
import { type PageHead, readPageHead } from './pages.ts'

export type ScanEvent =
  /** Once a file, before its first page. */
  | { readonly kind: 'header'; readonly xml: string }
  /** `take`, called before the next event, has the whole element come as bytes. */
  | { readonly kind: 'page'; readonly head: PageHead; readonly take: () => void }
  /** Of the page that was taken: from the spaces before its tag to the line feed behind it. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }

const HEADER_BYTES_MAX = 4 * 1024 * 1024
/** Title, numbers, redirect. */
const HEAD_BYTES_MAX = 1024 * 1024
const INDENT_BYTES_MAX = 64
const PAGE = Buffer.from('<page>')
const REVISION = Buffer.from('<revision>')
const PAGE_END = Buffer.from('</page>')
const LINE_FEED = 10

export class PageScanner {
  readonly #name: string
  /** Whose end is not yet known. */
  #held = Buffer.alloc(0)
  #state: 'header' | 'between' | 'head' | 'body' = 'header'
  #takes = false

  constructor(name: string) {
    this.#name = name
  }

  /** Throws DumpFormatError. */
  *push(piece: Uint8Array): Generator<ScanEvent, void> {
    const bytes = this.#held.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#held, piece])
    let at = 0
    for (;;) {
      const next: number | null = yield* this.#step(bytes, at)
      if (next === null) break
      at = next
    }
  }

  /** Throws DumpFormatError when the export is not whole. */
  *end(): Generator<ScanEvent, void> {
    const rest = this.#held.toString('utf8')
    const close = rest.lastIndexOf('</mediawiki>')
    const isEnd = close >= 0 && rest.slice(close + '</mediawiki>'.length).trim() === ''
    if (!isEnd || (this.#state !== 'between' && this.#state !== 'header'))
      throw new DumpFormatError(`${this.#name} does not end as an export does`)
    // An export without a single page.
    if (this.#state === 'header') yield { kind: 'header', xml: rest.slice(0, close) }
  }

  /** Where to go on, or null when more bytes are needed. */
  *#step(bytes: Buffer, at: number): Generator<ScanEvent, number | null> {
    if (this.#state === 'header') {
      const page = bytes.indexOf(PAGE, at)
      if (page < 0) return this.#hold(bytes, at, HEADER_BYTES_MAX)
      const start = indentStart(bytes, page, at)
      this.#state = 'head'
      yield { kind: 'header', xml: bytes.toString('utf8', at, start) }
      return start
    }
    if (this.#state === 'between') {
      const page = bytes.indexOf(PAGE, at)
      if (page < 0) return this.#hold(bytes, Math.max(at, bytes.length - INDENT_BYTES_MAX), INDENT_BYTES_MAX)
      this.#state = 'head'
      return indentStart(bytes, page, at)
    }
    if (this.#state === 'head') {
      const revision = bytes.indexOf(REVISION, at)
      const close = bytes.indexOf(PAGE_END, at)
      if (revision < 0 && close < 0) return this.#hold(bytes, at, HEAD_BYTES_MAX)
      const end = revision < 0 || (close >= 0 && close < revision) ? close : revision
      const head = readPageHead(bytes.toString('utf8', at, end))
      if (head === null) throw new DumpFormatError(`${this.#name} has a page without title or number`)
      this.#takes = false
      yield { kind: 'page', head, take: () => this.#take() }
      if (this.#takes) yield { kind: 'bytes', bytes: bytes.subarray(at, end) }
      this.#state = 'body'
      return end
    }
    const close = bytes.indexOf(PAGE_END, at)
    const end = close < 0 ? Math.max(at, bytes.length - PAGE_END.length + 1) : close + PAGE_END.length
    if (this.#takes && end > at) yield { kind: 'bytes', bytes: bytes.subarray(at, end) }
    if (close < 0) return this.#hold(bytes, end, PAGE_END.length)
    // The line feed may come with the next piece; it is all that stands between two pages besides spaces.
    if (this.#takes) yield { kind: 'bytes', bytes: LINE_END }
    this.#state = 'between'
    return end
  }

  #take(): void {
    this.#takes = true
  }

  #hold(bytes: Buffer, from: number, bytesMax: number): null {
    if (bytes.length - from > bytesMax)
      throw new DumpFormatError(`${this.#name} is no export: no page begins or ends where one should`)
    this.#held = Buffer.from(bytes.subarray(from))
    return null
  }
}

const LINE_END = Buffer.from('\n')

/** Of the spaces before a tag, back to the line's start. */
function indentStart(bytes: Buffer, tag: number, from: number): number {
  let start = tag
  while (start > from && (bytes[start - 1] === 32 || bytes[start - 1] === 9)) start--
  return start === from || bytes[start - 1] === LINE_FEED ? start : tag
}

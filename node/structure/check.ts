/**
 * The form of one file, while its bytes pass by: unpacked to the last byte and thrown away, except for how it begins and ends.
 * What it is comes from its name alone. Memory is bounded whatever the file holds (limits.ts).
 */
import { Bzip2Decoder } from './bzip2.ts'
import type { ThreadWalker } from './bzip2-thread.ts'
import { LocalWalker } from './bzip2-walker.ts'
import {
  Broken,
  type Container,
  type Content,
  type Decoder,
  type Finding,
  NotRead,
  type Sink,
} from './finding.ts'
import { GzipDecoder } from './gzip.ts'
import { holdRatio } from './limits.ts'
import { type ReadAt, SevenZipDecoder } from './seven-zip.ts'
import { judgeSql } from './sql.ts'
import { Windows } from './windows.ts'
import { type ContentJudgement, judgeXml, looksLikeDump } from './xml.ts'
import { XzDecoder } from './xz.ts'
import { ZstdDecoder } from './zstd.ts'

const CONTAINERS: Readonly<Record<string, Container>> = {
  gz: 'gzip',
  bz2: 'bzip2',
  xz: 'xz',
  zst: 'zstd',
  '7z': '7z',
}
/** `...-pages-articles1.xml-p1p41242.bz2`: what it is stands before the range of pages. */
const KIND = /\.(xml|sql|txt|json)(?=[.-]|$)/g
/** `<db>-<date>-...`; dumps, Content File Exports, and links to the latest. */
const WIKI = /^([a-z0-9_]+)-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest)-/
/** Lines of `offset:id:title`; upstream's tests also have it under the name `.xml`. */
const INDEX = /multistream-index/

/** A thread takes some 30 MiB, and some ms to start. */
const THREAD_BYTES_MIN = 1024 * 1024

export interface FileKind {
  readonly container: Container
  /** `by head`: the name does not say; an XML dump is recognised. */
  readonly content: Content | null | 'by head'
  readonly wiki: string | null
}

/** Of a file whose name says nothing that could be checked. */
export const NO_KIND: Finding = { state: 'unknown', detail: 'no kind of file that has a check of its own' }

/** What a file is by its name; null: nothing with a check of its own. */
export function kindOf(name: string): FileKind | null {
  const suffix = name.slice(name.lastIndexOf('.') + 1)
  const container = CONTAINERS[suffix] ?? 'plain'
  const word = [...name.matchAll(KIND)].at(-1)?.[1]
  const content = word === 'xml' || word === 'sql' ? word : word === undefined ? 'by head' : null
  const wiki = WIKI.exec(name)?.[1] ?? null
  if (container === 'plain')
    return content === 'xml' || content === 'sql' ? { container, content, wiki } : null
  return { container, content: INDEX.test(name) ? null : content, wiki }
}

export class StructureCheck {
  readonly #kind: FileKind | null
  #decoder: Decoder | null = null
  #finding: Finding | null = null
  readonly #windows: Windows
  #packedBytes = 0

  /**
   * `readAt` is used for the headers of a 7z only. With `thread`, which must be free, a bzip2 file that is not small is unpacked
   * by two threads, and `push` blocks this one.
   */
  constructor(
    name: string,
    readAt: ReadAt,
    fileBytes: number,
    thread: () => ThreadWalker | null = () => null,
  ) {
    this.#kind = kindOf(name)
    const isBzip2 = this.#kind?.container === 'bzip2'
    const walker = isBzip2 && fileBytes >= THREAD_BYTES_MIN ? thread() : null
    walker?.begin()
    this.#windows = walker?.windows ?? new Windows(isBzip2)
    if (this.#kind === null) {
      this.#finding = NO_KIND
      return
    }
    const { container } = this.#kind
    this.#guarded(() => {
      const give = (bytes: Uint8Array) => this.#take(bytes)
      this.#decoder = decoderFor(container, give, { readAt, fileBytes, walker })
    })
  }

  /** Nothing more can be learnt from the file. */
  get isDecided(): boolean {
    return this.#finding !== null
  }

  /** All bytes of the file, in order. */
  async push(bytes: Uint8Array): Promise<void> {
    const decoder = this.#decoder
    if (this.#finding !== null || decoder === null) return
    this.#packedBytes += bytes.length
    await this.#guardedAsync(async () => {
      await decoder.push(bytes)
      // A thread of its own takes bytes without asking.
      holdRatio(this.#packedBytes, this.#windows.contentBytes)
    })
  }

  async end(): Promise<Finding> {
    const decoder = this.#decoder
    if (this.#finding === null && decoder !== null) {
      await this.#guardedAsync(async () => {
        this.#finding = this.#judge(await decoder.end())
      })
    }
    this.close()
    return this.#finding ?? { state: 'unknown', detail: 'not read' }
  }

  close(): void {
    this.#decoder?.close()
    this.#decoder = null
  }

  #take(bytes: Uint8Array): void {
    this.#windows.add(bytes)
    holdRatio(this.#packedBytes, this.#windows.contentBytes)
  }

  #judge(streams: number): Finding {
    const kind = this.#kind
    if (kind === null) throw new Error('no kind')
    const { contentBytes } = this.#windows
    const content = streams > 1 && kind.container === '7z' ? null : this.#contentOf(kind)
    const judgement = content === null ? null : this.#judgeContent(content, kind.wiki)
    if (judgement?.ok === false) {
      const offsetBytes = judgement.where === 'start' ? 0 : this.#packedBytes
      return { state: 'bad', offsetBytes, detail: judgement.detail }
    }
    const { container } = kind
    return { state: 'ok', container, content, streams, contentBytes, wiki: judgement?.wiki ?? null }
  }

  #contentOf({ content }: FileKind): Content | null {
    if (content !== 'by head') return content
    return looksLikeDump(this.#windows.head) ? 'xml' : null
  }

  #judgeContent(content: Content, wiki: string | null): ContentJudgement {
    const { head, tail } = this.#windows
    return content === 'xml' ? judgeXml(head, tail, wiki) : judgeSql(tail)
  }

  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#fail(error)
    }
  }

  async #guardedAsync(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    this.close()
    if (error instanceof Broken) {
      this.#finding = { state: 'bad', offsetBytes: error.offsetBytes, detail: error.message }
    } else if (error instanceof NotRead) this.#finding = { state: 'unknown', detail: error.message }
    else throw error
  }
}

interface Means {
  readonly readAt: ReadAt
  readonly fileBytes: number
  readonly walker: ThreadWalker | null
}

function decoderFor(container: Container, give: Sink, { readAt, fileBytes, walker }: Means): Decoder {
  switch (container) {
    case 'gzip':
      return new GzipDecoder(give)
    case 'bzip2':
      return new Bzip2Decoder(walker ?? new LocalWalker(give))
    case 'xz':
      return new XzDecoder(give)
    case 'zstd':
      return new ZstdDecoder(give)
    case '7z':
      return new SevenZipDecoder(readAt, fileBytes, give)
    case 'plain':
      return new PlainDecoder(give)
  }
}

class PlainDecoder implements Decoder {
  readonly #give: Sink

  constructor(give: Sink) {
    this.#give = give
  }

  push(bytes: Uint8Array): void {
    this.#give(bytes)
  }

  end(): number {
    return 1
  }

  close(): void {}
}

/** How many pages and revisions a dump holds, by reading it to its end. A `<` of the text stands there as `&lt;`: tags are tags. */
import { closeSync, openSync } from 'node:fs'
import { readAt } from '../files/read-at.ts'
import type { ByteSource } from '../reading/byte-source.ts'
import { chunksOf } from '../reading/chunks.ts'
import { DumpFormatError } from '../reading/multistream.ts'
import { plainBzip2Decoder } from '../structure/bzip2.ts'
import { Broken, type Decoder, NotRead, type Sink } from '../structure/finding.ts'
import { GzipDecoder } from '../structure/gzip.ts'
import { SevenZipDecoder } from '../structure/seven-zip.ts'

export interface DumpCounts {
  readonly pages: number
  readonly revisions: number
  /** What stands before the first page, or as much of it as is looked at. */
  readonly header: string
  /** Content models of its revisions, sorted: `wikitext`, `Scribunto`. */
  readonly models: readonly string[]
  /** Slots beside the main one, sorted: `mediainfo`. */
  readonly roles: readonly string[]
}

const HEADER_BYTES_MAX = 1024 * 1024
const PAGE = Buffer.from('<page>')
const REVISION = Buffer.from('<revision>')
const MODEL = Buffer.from('<model>')
const ROLE = Buffer.from('<role>')
/** MediaWiki keeps 64 bytes of either (`content_models.model_name`, `slot_roles.role_name`). */
const NAME_BYTES_MAX = 64
const NAMES_MAX = 100

/** The different names that stand between a tag and the next `<`. */
class TagNames {
  readonly #tag: Buffer
  readonly #names = new Set<string>()
  #last = ''

  constructor(tag: Buffer) {
    this.#tag = tag
  }

  /** A name that is cut off at the end is found when it comes again, whole. */
  look(bytes: Buffer): void {
    for (let at = bytes.indexOf(this.#tag); at >= 0; at = bytes.indexOf(this.#tag, at)) {
      at += this.#tag.length
      const end = bytes.indexOf(LESS_THAN, at)
      if (end < 0 || end - at > NAME_BYTES_MAX) continue
      const name = bytes.toString('latin1', at, end)
      if (name === this.#last) continue
      this.#last = name
      if (/^[\w .-]+$/.test(name) && this.#names.size < NAMES_MAX) this.#names.add(name)
    }
  }

  sorted(): string[] {
    return [...this.#names].sort()
  }
}

const LESS_THAN = 0x3c

class TagCounter {
  pages = 0
  revisions = 0
  header = ''
  readonly models = new TagNames(MODEL)
  readonly roles = new TagNames(ROLE)
  /** The end of what came before: as much as a tag with its name takes. */
  #rest = Buffer.alloc(0)
  #isHeader = true

  push(piece: Uint8Array): void {
    const bytes = Buffer.concat([this.#rest, piece])
    if (this.#isHeader) this.#readHeader(bytes)
    this.pages += count(bytes, PAGE, this.#rest.length)
    this.revisions += count(bytes, REVISION, this.#rest.length)
    this.models.look(bytes)
    this.roles.look(bytes)
    this.#rest = bytes.subarray(Math.max(0, bytes.length - REST_BYTES))
  }

  #readHeader(bytes: Buffer): void {
    const page = bytes.indexOf(PAGE)
    this.header += bytes
      .subarray(this.#rest.length, page < 0 ? bytes.length : Math.max(page, this.#rest.length))
      .toString('latin1')
    this.#isHeader = page < 0 && this.header.length < HEADER_BYTES_MAX
  }
}

const REST_BYTES = MODEL.length + NAME_BYTES_MAX + 1

/** Tags that end behind `from`: the others were counted with the piece before. */
function count(bytes: Buffer, tag: Buffer, from: number): number {
  let found = 0
  for (let at = bytes.indexOf(tag); at >= 0; at = bytes.indexOf(tag, at + tag.length)) {
    if (at + tag.length > from) found++
  }
  return found
}

/** `path` is where the source lies on disk: a 7z is read from its end first. Rejects with SourceError or DumpFormatError. */
export async function countDump(
  name: string,
  path: string,
  source: ByteSource,
  options: { onBytes?: (count: number) => void; signal?: AbortSignal } = {},
): Promise<DumpCounts> {
  const counter = new TagCounter()
  let decoder: Decoder | null = null
  try {
    decoder = decoderOf(name, path, source.sizeBytes, (piece) => counter.push(piece))
    for await (const chunk of chunksOf(source, options.signal)) {
      await decoder.push(chunk)
      options.onBytes?.(chunk.length)
      // Unpacking is done in this thread: signals and progress come between two pieces.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await decoder.end()
  } catch (error) {
    if (!(error instanceof Broken || error instanceof NotRead)) throw error
    throw new DumpFormatError(`${name} cannot be read to its end: ${error.message}`, { cause: error })
  } finally {
    decoder?.close()
  }
  const header = Buffer.from(counter.header, 'latin1').toString('utf8')
  const { pages, revisions, models, roles } = counter
  return { pages, revisions, header, models: models.sorted(), roles: roles.sorted() }
}

function decoderOf(name: string, path: string, sizeBytes: number, give: Sink): Decoder {
  if (name.endsWith('.bz2')) return plainBzip2Decoder(give)
  if (name.endsWith('.gz')) return new GzipDecoder(give)
  if (name.endsWith('.7z'))
    return new SevenZipDecoder((at, length) => readFrom(path, at, length), sizeBytes, give)
  throw new DumpFormatError(`${name} is packed in a way that is not read here`)
}

function readFrom(path: string, offsetBytes: number, lengthBytes: number): Uint8Array {
  const file = openSync(path, 'r')
  try {
    return readAt(file, offsetBytes, lengthBytes)
  } finally {
    closeSync(file)
  }
}

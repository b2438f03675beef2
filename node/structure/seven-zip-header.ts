/**
 * The header of a 7z archive (7zFormat.txt of the LZMA SDK, public domain), as far as it says how the packed streams are to be
 * read: each folder of one coder, its sizes and CRCs. Names and times of files are passed over.
 */
import { NotRead } from './finding.ts'

export const SIGNATURE = [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]
export const SIGNATURE_HEADER_BYTES = 32

const END = 0
const HEADER = 1
const ARCHIVE_PROPERTIES = 2
const MAIN_STREAMS = 4
const FILES = 5
const PACK_INFO = 6
const UNPACK_INFO = 7
const SUBSTREAMS = 8
const SIZE = 9
const CRC = 10
const FOLDER = 11
const UNPACK_SIZE = 12
const SUBSTREAM_COUNT = 13
const ENCODED_HEADER = 23
/** Files of an archive that is read here; a dump has one. */
const COUNT_MAX = 100_000
const BYTES_MAX = Number.MAX_SAFE_INTEGER

export interface Folder {
  /** `21`, `30101`, `40202`, `0`: the coder's id in hexadecimal. */
  readonly coder: string
  readonly properties: Uint8Array
  readonly offsetBytes: number
  readonly packedBytes: number
  readonly unpackedBytes: number
  /** The files in it, one after the other; together all of the folder. */
  readonly files: readonly { readonly sizeBytes: number; readonly crc: number | null }[]
}

/** The bytes are no header: who holds their CRC to be right will say what that means. */
export class MalformedHeader extends Error {}

interface Coders {
  readonly coder: string
  readonly properties: Uint8Array
  unpackedBytes: number
  crc: number | null
}

/**
 * `encoded`: the header itself is packed, in the one folder that is given. Throws MalformedHeader, and NotRead for what needs
 * more than one coder.
 */
export function readHeader(bytes: Uint8Array): { encoded: boolean; folders: Folder[] } {
  const input = new Input(bytes)
  const kind = input.number()
  if (kind === ENCODED_HEADER) return { encoded: true, folders: readStreams(input) }
  if (kind !== HEADER) throw new MalformedHeader('a header of no known kind')
  let id = input.number()
  if (id === ARCHIVE_PROPERTIES) throw new NotRead('an archive with properties of its own')
  let folders: Folder[] = []
  if (id === MAIN_STREAMS) {
    folders = readStreams(input)
    id = input.number()
  }
  if (id !== FILES && id !== END) throw new NotRead('an archive with additional streams')
  return { encoded: false, folders }
}

function readStreams(input: Input): Folder[] {
  let at = SIGNATURE_HEADER_BYTES
  let packed: number[] = []
  let coders: Coders[] = []
  let files: { sizeBytes: number; crc: number | null }[][] | null = null
  for (;;) {
    const id = input.number()
    if (id === END) break
    if (id === PACK_INFO) {
      at += input.number()
      packed = readPackInfo(input)
    } else if (id === UNPACK_INFO) coders = readUnpackInfo(input)
    else if (id === SUBSTREAMS) files = readSubstreams(input, coders)
    else throw new MalformedHeader('streams with a part of no known kind')
  }
  if (packed.length !== coders.length)
    throw new MalformedHeader('another number of packed streams than of folders')
  return coders.map(({ coder, properties, unpackedBytes, crc }, i) => {
    const packedBytes = packed[i] ?? 0
    const folder = { coder, properties, offsetBytes: at, packedBytes, unpackedBytes }
    at += packedBytes
    return { ...folder, files: files?.[i] ?? [{ sizeBytes: unpackedBytes, crc }] }
  })
}

function readPackInfo(input: Input): number[] {
  const count = input.count()
  let sizes: number[] = []
  for (;;) {
    const id = input.number()
    if (id === END) return sizes
    if (id === SIZE) sizes = input.numbers(count)
    else if (id === CRC) input.digests(count)
    else throw new MalformedHeader('a part of no known kind')
  }
}

function readUnpackInfo(input: Input): Coders[] {
  input.expect(FOLDER)
  const count = input.count()
  if (input.byte() !== 0) throw new NotRead('folders that stand elsewhere')
  const folders = Array.from({ length: count }, (): Coders => {
    if (input.number() !== 1) throw new NotRead('more than one coder')
    const flags = input.byte()
    if ((flags & 0x10) !== 0) throw new NotRead('a coder with more than one stream')
    const coder = Buffer.from(input.bytes(flags & 15))
      .toString('hex')
      .replace(/^0+(?=.)/, '')
    const properties = (flags & 0x20) === 0 ? new Uint8Array() : input.bytes(input.count())
    return { coder, properties, unpackedBytes: 0, crc: null }
  })
  input.expect(UNPACK_SIZE)
  for (const folder of folders) folder.unpackedBytes = input.number()
  for (;;) {
    const id = input.number()
    if (id === END) return folders
    if (id !== CRC) throw new MalformedHeader('a part of no known kind')
    input.digests(count).forEach((crc, i) => {
      const folder = folders[i]
      if (folder !== undefined) folder.crc = crc
    })
  }
}

function readSubstreams(
  input: Input,
  coders: readonly Coders[],
): { sizeBytes: number; crc: number | null }[][] {
  let id = input.number()
  let counts = coders.map(() => 1)
  if (id === SUBSTREAM_COUNT) {
    counts = coders.map(() => input.count())
    if (counts.reduce((sum, count) => sum + count, 0) > COUNT_MAX)
      throw new NotRead(`more than ${COUNT_MAX} files`)
    id = input.number()
  }
  const files = coders.map(({ unpackedBytes }, i) => {
    const sizes: number[] = []
    let left = unpackedBytes
    for (let file = 1; file < (counts[i] ?? 0); file++) {
      const size = id === SIZE ? input.number() : 0
      left -= size
      if (left < 0) throw new MalformedHeader('files that are larger than their folder')
      sizes.push(size)
    }
    if ((counts[i] ?? 0) > 0) sizes.push(left)
    return sizes.map((sizeBytes): { sizeBytes: number; crc: number | null } => ({ sizeBytes, crc: null }))
  })
  if (id === SIZE) id = input.number()
  // A folder of one file whose CRC is known already is not named again.
  const unknown: { sizeBytes: number; crc: number | null }[] = []
  files.forEach((list, i) => {
    const [only] = list
    const crc = coders[i]?.crc ?? null
    if (list.length === 1 && only !== undefined && crc !== null) only.crc = crc
    else unknown.push(...list)
  })
  while (id !== END) {
    if (id !== CRC) throw new MalformedHeader('a part of no known kind')
    input.digests(unknown.length).forEach((crc, i) => {
      const file = unknown[i]
      if (file !== undefined) file.crc = crc
    })
    id = input.number()
  }
  return files
}

class Input {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw new MalformedHeader('a header that ends too early')
    return byte
  }

  bytes(length: number): Uint8Array {
    const out = this.#bytes.subarray(this.#at, this.#at + length)
    if (out.length < length) throw new MalformedHeader('a header that ends too early')
    this.#at += length
    return out
  }

  /** One to nine bytes; the high bits of the first say how many follow. */
  number(): number {
    const first = this.byte()
    let out = 0
    let mask = 0x80
    for (let i = 0; i < 8; i++, mask >>= 1) {
      if ((first & mask) === 0) return this.#bounded(out + (first & (mask - 1)) * 256 ** i)
      out += this.byte() * 256 ** i
    }
    return this.#bounded(out)
  }

  #bounded(value: number): number {
    if (value > BYTES_MAX) throw new MalformedHeader('a number beyond all measure')
    return value
  }

  count(): number {
    const count = this.number()
    if (count > COUNT_MAX) throw new NotRead(`more than ${COUNT_MAX} of something in the header`)
    return count
  }

  numbers(count: number): number[] {
    return Array.from({ length: count }, () => this.number())
  }

  expect(id: number): void {
    if (this.number() !== id) throw new MalformedHeader('a part that stands where it should not')
  }

  /** CRCs of `count` things; null for those that have none. */
  digests(count: number): (number | null)[] {
    const all = this.byte() !== 0
    const defined: boolean[] = []
    let byte = 0
    for (let i = 0; i < count; i++) {
      if (!all && i % 8 === 0) byte = this.byte()
      defined.push(all || (byte & (0x80 >> (i % 8))) !== 0)
    }
    return defined.map((is) => {
      if (!is) return null
      const [a = 0, b = 0, c = 0, d = 0] = this.bytes(4)
      return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0
    })
  }
}

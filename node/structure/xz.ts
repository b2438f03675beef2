/**
 * The .xz file format 1.2.0 (https://tukaani.org/xz/xz-file-format.txt): streams of blocks, each with a check over what it
 * holds, an index of the blocks and a footer. Whole means all of it, to the last stream and its padding.
 */
import { createHash } from 'node:crypto'
import { Broken, type Decoder, NotRead, type Sink } from './finding.ts'
import { holdDictionary, holdStreams } from './limits.ts'
import { Lzma2Stream } from './lzma-stream.ts'
import {
  addSizes,
  BlockCheck,
  holdCrc,
  IndexReader,
  lzma2Dictionary,
  Numbers,
  type Sizes,
  same,
  view,
} from './xz-parts.ts'

const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]
const FOOTER_MAGIC = [0x59, 0x5a]
const STREAM_HEADER_BYTES = 12
const CRC_BYTES = 4
const LZMA2 = 0x21
/** By check id (format, 2.1.1.2). */
const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64]

type Part = 'padding' | 'header' | 'block header' | 'block' | 'block padding' | 'check' | 'index' | 'footer'

export class XzDecoder implements Decoder {
  readonly #give: Sink
  #part: Part = 'header'
  #held: number[] = []
  #at = 0
  #streams = 0
  #streamAt = 0
  #blockAt = 0
  #flags = 0
  #check: BlockCheck | null = null
  #unpacker: Lzma2Stream | null = null
  #declared: { packed: number | null; unpacked: number | null } = { packed: null, unpacked: null }
  #headerBytes = 0
  #packedBytes = 0
  #unpackedBytes = 0
  #blocks: Sizes = { count: 0, hash: createHash('sha256') }
  #index: IndexReader | null = null
  #indexBytes = 0

  constructor(give: Sink) {
    this.#give = give
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#part === 'block') at += this.#block(bytes.subarray(at))
      else this.#byte(bytes[at++] as number)
    }
  }

  end(): number {
    const outside = this.#part === 'padding' && this.#held.length === 0
    if (outside && this.#streams > 0) return this.#streams
    if (this.#at === 0) throw new Broken(0, 'the file is empty')
    if (this.#part === 'padding') throw new Broken(this.#at, 'padding that is no multiple of four bytes')
    throw new Broken(
      this.#at,
      `it ends within the ${this.#part} of the stream that begins at byte ${this.#streamAt}`,
    )
  }

  close(): void {
    this.#unpacker = null
  }

  #block(bytes: Uint8Array): number {
    const unpacker = this.#unpacker
    if (unpacker === null) throw new Error('no block is open')
    const taken = unpacker.take(bytes)
    this.#at += taken
    this.#packedBytes += taken
    if (unpacker.isFinished) {
      const { packed, unpacked } = this.#declared
      if (
        (packed ?? this.#packedBytes) !== this.#packedBytes ||
        (unpacked ?? this.#unpackedBytes) !== this.#unpackedBytes
      ) {
        throw new Broken(this.#blockAt, 'a block of another size than its header says')
      }
      this.#unpacker = null
      this.#part = 'block padding'
      this.#paddingDone()
    }
    return taken
  }

  /** Everything but the packed data is short, and is read byte by byte. */
  #byte(byte: number): void {
    const partAt = this.#at - this.#held.length
    this.#at++
    if (this.#part === 'padding') this.#padding(byte)
    else if (this.#part === 'index') this.#indexByte(byte)
    else this.#collect(byte, partAt)
  }

  #collect(byte: number, partAt: number): void {
    this.#held.push(byte)
    const held = this.#held
    if (this.#part === 'header') {
      this.#expect(held, MAGIC, 0, partAt)
      if (held.length === STREAM_HEADER_BYTES) this.#header(held, partAt)
    } else if (this.#part === 'block header') {
      if (held.length === 1 && held[0] === 0) this.#openIndex()
      else if (held.length === ((held[0] as number) + 1) * 4) this.#blockHeader(Uint8Array.from(held), partAt)
    } else if (this.#part === 'block padding') {
      if (byte !== 0) throw new Broken(this.#blockAt, 'block padding that is not 0')
      this.#paddingDone()
    } else if (this.#part === 'check') {
      if (held.length === CHECK_BYTES[this.#flags]) this.#checkDone(Uint8Array.from(held))
    } else if (held.length === STREAM_HEADER_BYTES) this.#footer(Uint8Array.from(held), partAt)
  }

  /** Between streams: multiples of four zeros. */
  #padding(byte: number): void {
    if (byte === 0) {
      this.#held = this.#held.length === 3 ? [] : [...this.#held, 0]
      return
    }
    if (this.#held.length > 0 || byte !== MAGIC[0]) {
      throw new Broken(this.#at - 1, 'bytes after the last stream that are no stream')
    }
    this.#part = 'header'
    this.#held = [byte]
  }

  #expect(held: readonly number[], magic: readonly number[], from: number, at: number): void {
    const i = held.length - 1 - from
    if (i >= 0 && i < magic.length && held[i + from] !== magic[i]) {
      throw new Broken(
        at,
        this.#streams === 0 ? 'no xz file' : 'bytes after the last stream that are no stream',
      )
    }
  }

  #header(held: readonly number[], at: number): void {
    const header = Uint8Array.from(held)
    holdCrc(header, 6, 8, at, 'the header of a stream')
    if (header[6] !== 0 || (header[7] as number) > 15)
      throw new NotRead('stream flags of a later version of .xz')
    this.#flags = header[7] as number
    this.#streamAt = at
    this.#blocks = { count: 0, hash: createHash('sha256') }
    this.#next('block header')
  }

  #blockHeader(header: Uint8Array, at: number): void {
    this.#blockAt = at
    holdCrc(header, 0, header.length - CRC_BYTES, at, 'the header of a block')
    const flags = header[1] as number
    if ((flags & 0x3c) !== 0) throw new NotRead('block flags of a later version of .xz')
    const numbers = new Numbers(header.subarray(0, header.length - CRC_BYTES), 2, at)
    const packed = (flags & 0x40) === 0 ? null : numbers.next()
    const unpacked = (flags & 0x80) === 0 ? null : numbers.next()
    if ((flags & 3) !== 0) throw new NotRead('more than one filter')
    const filter = numbers.next()
    if (filter !== LZMA2) throw new NotRead(`the filter ${filter.toString(16)}`)
    if (numbers.next() !== 1) throw new Broken(at, 'properties of LZMA2 that are not one byte')
    const dictionaryBytes = lzma2Dictionary(header[numbers.at] as number)
    if (dictionaryBytes === null) throw new Broken(at, 'an impossible dictionary')
    holdDictionary(dictionaryBytes)
    if (header.subarray(numbers.at + 1, header.length - CRC_BYTES).some((byte) => byte !== 0)) {
      throw new NotRead('a block header of a later version of .xz')
    }
    this.#headerBytes = header.length
    this.#declared = { packed, unpacked }
    this.#packedBytes = 0
    this.#unpackedBytes = 0
    const check = new BlockCheck(this.#flags)
    this.#check = check
    this.#unpacker = new Lzma2Stream(
      dictionaryBytes,
      (bytes) => {
        this.#unpackedBytes += bytes.length
        check.update(bytes)
        this.#give(bytes)
      },
      () => this.#blockAt,
    )
    this.#next('block')
  }

  #paddingDone(): void {
    if ((this.#packedBytes + this.#held.length) % 4 !== 0) return
    this.#next('check')
    if (CHECK_BYTES[this.#flags] === 0) this.#checkDone(new Uint8Array())
  }

  #checkDone(held: Uint8Array): void {
    const digest = this.#check?.digest() ?? null
    if (digest !== null && !same(digest, held)) {
      throw new Broken(this.#blockAt, 'the check of a block is not that of its bytes')
    }
    addSizes(this.#blocks, this.#headerBytes + this.#packedBytes + held.length, this.#unpackedBytes)
    this.#next('block header')
  }

  #openIndex(): void {
    this.#index = new IndexReader(this.#at - 1)
    this.#indexBytes = 1
    this.#next('index')
  }

  #indexByte(byte: number): void {
    const index = this.#index
    if (index === null) throw new Error('no index is open')
    this.#indexBytes++
    if (!index.take(byte)) return
    if (!index.matches(this.#blocks))
      throw new Broken(index.offsetBytes, 'an index of other blocks than there are')
    this.#index = null
    this.#next('footer')
  }

  #footer(footer: Uint8Array, at: number): void {
    if (!same(footer.subarray(10), Uint8Array.from(FOOTER_MAGIC)))
      throw new Broken(at, 'a stream without a footer')
    holdCrc(footer, 4, 10, at, 'the footer of a stream', 0)
    const indexBytes = (view(footer).getUint32(4, true) + 1) * 4
    if (indexBytes !== this.#indexBytes) throw new Broken(at, 'a footer that gives another size of the index')
    if (footer[8] !== 0 || footer[9] !== this.#flags)
      throw new Broken(at, 'a footer with other flags than the header')
    this.#streams++
    holdStreams(this.#streams)
    this.#next('padding')
  }

  #next(part: Part): void {
    this.#part = part
    this.#held = []
  }
}

/**
 * Zstandard (RFC 8878): frames, each of blocks, most with a checksum at the end. The frames are followed here, because
 * node:zlib stops at the end of the first; it decompresses each and holds it to its checksum.
 */
import { constants, createZstdDecompress } from 'node:zlib'
import { Broken, type Decoder, type Sink } from './finding.ts'
import { DICTIONARY_BYTES_MAX, holdDictionary, holdStreams } from './limits.ts'
import { ZlibStream } from './zlib-stream.ts'

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd]
const SKIPPABLE_MAGIC = [0x50, 0x2a, 0x4d, 0x18]
const SKIPPABLE_HEADER_BYTES = 8
const BLOCK_HEADER_BYTES = 3
const CHECKSUM_BYTES = 4
const RLE = 1
const RESERVED = 3
const SINGLE_SEGMENT = 0x20
const DICTIONARY_ID_BYTES = [0, 1, 2, 4]
const OUTPUT_BYTES = 256 * 1024

interface Step {
  readonly taken: number
  /** The whole header of a frame that begins. */
  readonly begins?: Uint8Array
  readonly ends?: boolean
}

/** `header`: of a frame; `block`: the header of one; `skip`: bytes that need no look here (of a block, or to be skipped). */
type Part = 'header' | 'block' | 'skip' | 'checksum'

export class ZstdDecoder implements Decoder {
  readonly #give: Sink
  #stream: ZlibStream | null = null
  #part: Part = 'header'
  #after: Part = 'header'
  #skip = 0
  #held = new Uint8Array()
  #at = 0
  #frameAt = 0
  #frames = 0
  #checksum = false
  /** False within a skippable frame, which is not given to the decoder. */
  #inFrame = false

  constructor(give: Sink) {
    this.#give = give
  }

  async push(bytes: Uint8Array): Promise<void> {
    // What belongs to one frame goes to the decoder in one piece; a frame's header by itself, once it is whole.
    let from = 0
    for (let at = 0; at < bytes.length; ) {
      const step = this.#step(bytes.subarray(at))
      at += step.taken
      if (step.begins !== undefined) {
        await this.#write(step.begins)
        from = at
      } else if (step.ends === true) {
        await this.#write(bytes.subarray(from, at))
        this.#inFrame = false
      }
    }
    if (this.#inFrame) await this.#write(bytes.subarray(from))
  }

  end(): number {
    if (this.#part === 'header' && this.#held.length === 0 && this.#frames > 0) return this.#frames
    const end = this.#at + this.#held.length
    if (end === 0) throw new Broken(0, 'the file is empty')
    throw new Broken(end, `it ends within the frame that begins at byte ${this.#frameAt}`)
  }

  close(): void {
    this.#stream?.close()
    this.#stream = null
  }

  /** Takes the next part of a frame, or as much of it as there is. */
  #step(bytes: Uint8Array): Step {
    if (this.#part === 'skip') {
      const taken = Math.min(this.#skip, bytes.length)
      this.#skip -= taken
      this.#at += taken
      if (this.#skip > 0) return { taken }
      return this.#next(this.#after, taken)
    }
    const before = this.#held.length
    const held = new Uint8Array(Buffer.concat([this.#held, bytes.subarray(0, 32)]))
    const length = this.#lengthOf(held)
    if (held.length < length) {
      this.#held = held
      return { taken: held.length - before }
    }
    this.#held = new Uint8Array()
    const taken = length - before
    const at = this.#at
    this.#at += length
    if (this.#part === 'header') return this.#header(held.subarray(0, length), at, taken)
    if (this.#part === 'checksum') return this.#next('header', taken)
    const word = (held[0] ?? 0) | ((held[1] ?? 0) << 8) | ((held[2] ?? 0) << 16)
    const kind = (word >>> 1) & 3
    if (kind === RESERVED) throw new Broken(at, 'a block of a kind that RFC 8878 reserves')
    this.#skip = kind === RLE ? 1 : word >>> 3
    const last = (word & 1) !== 0
    this.#after = last ? (this.#checksum ? 'checksum' : 'header') : 'block'
    if (this.#skip === 0) return this.#next(this.#after, taken)
    this.#part = 'skip'
    return { taken }
  }

  #next(part: Part, taken: number): Step {
    this.#part = part
    if (part !== 'header') return { taken }
    if (!this.#inFrame) return { taken }
    this.#frames++
    holdStreams(this.#frames)
    return { taken, ends: true }
  }

  #lengthOf(held: Uint8Array): number {
    if (this.#part === 'block') return BLOCK_HEADER_BYTES
    if (this.#part === 'checksum') return CHECKSUM_BYTES
    const isSkippable = begins(held, SKIPPABLE_MAGIC, 0xf0)
    if (!isSkippable && !begins(held, MAGIC, 0xff)) {
      throw new Broken(
        this.#at,
        this.#frames === 0 ? 'no zstd file' : 'bytes after the last frame that are no frame',
      )
    }
    if (isSkippable && held.length >= 4) return SKIPPABLE_HEADER_BYTES
    if (held.length < 5) return 5
    const descriptor = held[4] ?? 0
    const single = (descriptor & SINGLE_SEGMENT) !== 0
    const sizeFlag = descriptor >>> 6
    const sizeBytes = sizeFlag === 0 ? (single ? 1 : 0) : 1 << sizeFlag
    return 5 + (single ? 0 : 1) + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0) + sizeBytes
  }

  #header(header: Uint8Array, at: number, taken: number): Step {
    const view = new DataView(header.buffer, header.byteOffset, header.length)
    this.#frameAt = at
    if (begins(header, SKIPPABLE_MAGIC, 0xf0)) {
      this.#skip = view.getUint32(4, true)
      this.#after = 'header'
      this.#part = this.#skip === 0 ? 'header' : 'skip'
      return { taken }
    }
    const descriptor = view.getUint8(4)
    if ((descriptor & 8) !== 0) throw new Broken(at, 'a frame header with a bit that RFC 8878 reserves')
    holdDictionary(windowOf(view))
    this.#checksum = (descriptor & 4) !== 0
    this.#part = 'block'
    this.#inFrame = true
    return { taken, begins: header }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return
    this.#stream ??= new ZlibStream(
      createZstdDecompress({
        chunkSize: OUTPUT_BYTES,
        params: { [constants.ZSTD_d_windowLogMax]: Math.log2(DICTIONARY_BYTES_MAX) },
      }),
      this.#give,
    )
    try {
      const taken = await this.#stream.write(bytes)
      if (taken < bytes.length) throw new Broken(this.#frameAt, 'a frame that ends before its last block')
    } catch (error) {
      if (!String((error as NodeJS.ErrnoException).code).startsWith('ZSTD_error')) throw error
      throw new Broken(this.#frameAt, `a frame that cannot be read: ${(error as Error).message}`)
    }
  }
}

/** As far as the bytes are there; of the first one only these bits. */
function begins(held: Uint8Array, magic: readonly number[], firstMask: number): boolean {
  return magic.every(
    (byte, i) => i >= held.length || ((held[i] ?? 0) & (i === 0 ? firstMask : 0xff)) === byte,
  )
}

/** The memory that a frame wants (RFC 8878, 3.1.1.1.2): its window, or all of its content when it is a single segment. */
function windowOf(header: DataView): number {
  const descriptor = header.getUint8(4)
  if ((descriptor & SINGLE_SEGMENT) === 0) {
    const window = header.getUint8(5)
    const base = 2 ** (10 + (window >>> 3))
    return base + (base / 8) * (window & 7)
  }
  const at = 5 + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0)
  switch (descriptor >>> 6) {
    case 0:
      return header.getUint8(at)
    case 1:
      return header.getUint16(at, true) + 256
    case 2:
      return header.getUint32(at, true)
    default:
      return Number(header.getBigUint64(at, true))
  }
}

/** gzip (RFC 1952): members one after the other, each with the CRC-32 and length of what it holds. node:zlib inflates. */
import { crc32, createInflateRaw } from 'node:zlib'
import { Broken, type Decoder, type Sink } from './finding.ts'
import { holdStreams } from './limits.ts'
import { ZlibStream } from './zlib-stream.ts'

const FIXED_BYTES = 10
const TRAILER_BYTES = 8
const FLAG_HEADER_CRC = 2
const FLAG_EXTRA = 4
const FLAG_NAME = 8
const FLAG_COMMENT = 16
const RESERVED = 0xe0
/** RFC 1952 bounds neither name nor comment. */
const HEADER_BYTES_MAX = 64 * 1024 * 2
const OUTPUT_BYTES = 256 * 1024

export class GzipDecoder implements Decoder {
  readonly #give: Sink
  #part: 'header' | 'data' | 'trailer' = 'header'
  /** Bytes of a header or trailer that has not come wholly yet. */
  #held = new Uint8Array()
  #inflate: ZlibStream | null = null
  /** Bytes of the file that were taken. */
  #at = 0
  #memberAt = 0
  #members = 0
  #crc = 0
  #lengthBytes = 0

  constructor(give: Sink) {
    this.#give = give
  }

  async push(bytes: Uint8Array): Promise<void> {
    let rest = bytes
    while (rest.length > 0) {
      if (this.#part === 'data') rest = await this.#data(rest)
      else rest = this.#fixed(rest)
    }
  }

  end(): number {
    if (this.#part === 'header' && this.#held.length === 0 && this.#members > 0) return this.#members
    const end = this.#at + this.#held.length
    if (end === 0) throw new Broken(0, 'the file is empty')
    throw new Broken(
      end,
      `it ends within the ${this.#part} of the member that begins at byte ${this.#memberAt}`,
    )
  }

  close(): void {
    this.#inflate?.close()
    this.#inflate = null
  }

  async #data(bytes: Uint8Array): Promise<Uint8Array> {
    const inflate = this.#inflate
    if (inflate === null) throw new Error('no member is open')
    let taken: number
    try {
      taken = await inflate.write(bytes)
      if (taken < bytes.length) await inflate.finished()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'Z_DATA_ERROR') throw error
      throw new Broken(this.#memberAt, `a member that cannot be inflated: ${(error as Error).message}`)
    }
    this.#at += taken
    if (taken < bytes.length) {
      this.close()
      this.#part = 'trailer'
    }
    return bytes.subarray(taken)
  }

  /** Collects a header or trailer; answers what comes after it. */
  #fixed(bytes: Uint8Array): Uint8Array {
    const before = this.#held.length
    const all = new Uint8Array(Buffer.concat([this.#held, bytes.subarray(0, HEADER_BYTES_MAX)]))
    const length = this.#part === 'header' ? this.#headerLength(all) : TRAILER_BYTES
    if (length > all.length) {
      if (all.length >= HEADER_BYTES_MAX) throw new Broken(this.#at, 'a header without end')
      this.#held = all
      return bytes.subarray(all.length - before)
    }
    if (this.#part === 'header') this.#open()
    else this.#check(new DataView(all.buffer))
    this.#held = new Uint8Array()
    this.#at += length
    return bytes.subarray(length - before)
  }

  #open(): void {
    this.#memberAt = this.#at
    this.#crc = 0
    this.#lengthBytes = 0
    holdStreams(this.#members)
    this.#inflate = new ZlibStream(createInflateRaw({ chunkSize: OUTPUT_BYTES }), (bytes) => {
      this.#crc = crc32(bytes, this.#crc)
      this.#lengthBytes += bytes.length
      this.#give(bytes)
    })
    this.#part = 'data'
  }

  #check(trailer: DataView): void {
    if (trailer.getUint32(0, true) !== this.#crc) {
      throw new Broken(this.#memberAt, 'the CRC of a member is not that of its bytes')
    }
    if (trailer.getUint32(4, true) !== this.#lengthBytes % 2 ** 32) {
      throw new Broken(this.#at + 4, 'the length of a member is not that of its bytes')
    }
    this.#members++
    this.#part = 'header'
  }

  /** Bytes of the header that `held` begins with; more than it has when it is not all there. */
  #headerLength(held: Uint8Array): number {
    for (const [i, byte] of [0x1f, 0x8b, 8].entries()) {
      if (held.length > i && held[i] !== byte) {
        throw new Broken(
          this.#at,
          this.#members === 0 ? 'no gzip file' : 'bytes after the last member that are no member',
        )
      }
    }
    if (held.length < FIXED_BYTES) return FIXED_BYTES
    const flags = held[3] ?? 0
    if ((flags & RESERVED) !== 0) throw new Broken(this.#at, 'a header with flags that RFC 1952 reserves')
    let length = FIXED_BYTES
    if ((flags & FLAG_EXTRA) !== 0) length += 2 + (held[length] ?? 0) + ((held[length + 1] ?? 0) << 8)
    for (const flag of [FLAG_NAME, FLAG_COMMENT]) {
      if ((flags & flag) === 0) continue
      const end = length < held.length ? held.indexOf(0, length) : -1
      if (end < 0) return held.length + 1
      length = end + 1
    }
    if ((flags & FLAG_HEADER_CRC) !== 0) {
      if (held.length >= length + 2) {
        const crc = (held[length] ?? 0) | ((held[length + 1] ?? 0) << 8)
        if (crc !== (crc32(held.subarray(0, length)) & 0xffff)) {
          throw new Broken(this.#at, 'the CRC of a header is not that of its bytes')
        }
      }
      length += 2
    }
    return length
  }
}

/** LZMA and LZMA2 data as containers hold them: taken as it comes, bounded in memory, up to its own end. */
import { Broken, type Sink } from './finding.ts'
import { LzmaDecoder, lzmaProperties, SYMBOL_BYTES_MAX } from './lzma.ts'

/** One packed stream within a container. */
export interface Unpacker {
  /** Takes bytes; answers how many. Less than all: it has come to its end. Throws Broken at `offsetBytes` of its making. */
  take(bytes: Uint8Array): number
  /** True once its own end was read. */
  readonly isFinished: boolean
}

const INPUT_BYTES = 64 * 1024
const RANGE_BYTES = 5

/** LZMA of 7z: `sizeBytes` come out; the five bytes of properties stand in the container. */
export class LzmaStream implements Unpacker {
  readonly #decoder: LzmaDecoder
  readonly #offsetBytes: number
  readonly #packedBytes: number
  readonly #input = new Uint8Array(INPUT_BYTES + SYMBOL_BYTES_MAX)
  #held = 0
  #taken = 0
  #left: number
  #begun = false
  isFinished = false

  /** `packedBytes` are all that it may take. */
  constructor(
    decoder: LzmaDecoder,
    options: { offsetBytes: number; packedBytes: number; sizeBytes: number },
  ) {
    this.#decoder = decoder
    this.#offsetBytes = options.offsetBytes
    this.#packedBytes = options.packedBytes
    this.#left = options.sizeBytes
  }

  take(bytes: Uint8Array): number {
    const wanted = Math.min(bytes.length, this.#packedBytes - this.#taken)
    for (let from = 0; from < wanted; ) {
      const count = Math.min(wanted - from, INPUT_BYTES - this.#held)
      this.#input.set(bytes.subarray(from, from + count), this.#held)
      this.#held += count
      this.#taken += count
      from += count
      this.#decode()
    }
    if (this.#taken === this.#packedBytes && !this.isFinished) this.#finish()
    return wanted
  }

  #decode(): void {
    const last = this.#taken === this.#packedBytes
    if (!this.#begun) {
      if (this.#held < RANGE_BYTES && !last) return
      if (this.#held < RANGE_BYTES || !this.#decoder.begin(this.#input))
        throw this.#broken('LZMA data that does not begin with 0')
      this.#begun = true
    }
    if (last) this.#input.fill(0, this.#held)
    const before = this.#decoder.totalBytes
    const stop = this.#decoder.decode(this.#input, this.#held, last, this.#left)
    if (typeof stop === 'object') throw this.#broken(`LZMA data with ${stop.wrong}`)
    this.#left -= this.#decoder.totalBytes - before
    if (this.#decoder.at > this.#held) throw this.#broken('LZMA data that ends too early')
    if (last) return
    this.#input.copyWithin(0, this.#decoder.at, this.#held)
    this.#held -= this.#decoder.at
    this.#decoder.at = 0
    if (this.#held === INPUT_BYTES) throw this.#broken('LZMA data that goes on after its end')
  }

  #finish(): void {
    this.#decoder.flush()
    const { at } = this.#decoder
    const whole = this.#left === 0 && this.#begun && this.#decoder.isFinished(this.#input)
    // An end marker may follow the last byte.
    if (!whole || (this.#decoder.at !== this.#held && !this.#isMarker(at))) {
      throw this.#broken('LZMA data that does not end where it should')
    }
    this.isFinished = true
  }

  #isMarker(at: number): boolean {
    this.#decoder.at = at
    return (
      this.#decoder.decode(this.#input, this.#held, true, 1) === 'marker' && this.#decoder.at <= this.#held
    )
  }

  #broken(detail: string): Broken {
    return new Broken(this.#offsetBytes, detail)
  }
}

const CHUNK_BYTES_MAX = 6 + 0x10000
const END = 0
const STORED_RESET = 1
const STORED = 2
const CODED = 0x80

/**
 * LZMA2 (the .xz file format 1.2.0, 5.3.1, and lzma2_decoder.c of XZ Utils): chunks of at most 64 KiB packed, each with its
 * sizes and what begins anew, and a zero byte at the end.
 */
export class Lzma2Stream implements Unpacker {
  readonly #offset: () => number
  readonly #decoder: LzmaDecoder
  readonly #input = new Uint8Array(CHUNK_BYTES_MAX + SYMBOL_BYTES_MAX)
  #held = 0
  /** What a chunk has to bring anew at least: 3 the dictionary, 2 properties, 1 the state, 0 nothing. */
  #needs = 3
  isFinished = false

  /** `offset` says where a break is reported. */
  constructor(dictionaryBytes: number, give: Sink, offset: () => number) {
    this.#decoder = new LzmaDecoder(
      { literalContextBits: 3, literalPositionBits: 0, positionBits: 2 },
      dictionaryBytes,
      give,
    )
    this.#offset = offset
  }

  take(bytes: Uint8Array): number {
    let from = 0
    while (from < bytes.length && !this.isFinished) {
      const missing = this.#chunkBytes() - this.#held
      const count = Math.min(missing, bytes.length - from)
      this.#input.set(bytes.subarray(from, from + count), this.#held)
      this.#held += count
      from += count
      // Its header may just have come, and with it its length.
      if (count === missing && this.#held === this.#chunkBytes()) this.#chunk()
    }
    return from
  }

  /** As much as is known of it: first its control byte, then its header, then all. */
  #chunkBytes(): number {
    if (this.#held === 0) return 1
    const control = this.#input[0] as number
    if (control === END) return 1
    const header = control < CODED ? 3 : control < 0xc0 ? 5 : 6
    if (this.#held < header) return header
    const at = control < CODED ? 1 : 3
    return header + (((this.#input[at] as number) << 8) | (this.#input[at + 1] as number)) + 1
  }

  #chunk(): void {
    const input = this.#input
    const size = this.#held
    const control = input[0] as number
    this.#held = 0
    if (control === END) {
      this.#decoder.flush()
      this.isFinished = true
    } else if (control < CODED) this.#stored(control, size)
    else this.#coded(control, size)
  }

  #stored(control: number, size: number): void {
    if (control !== STORED_RESET && control !== STORED)
      throw this.#broken('LZMA2 data with a chunk of no known kind')
    if (control === STORED_RESET) {
      this.#decoder.resetDictionary()
      this.#needs = 2
    } else if (this.#needs === 3) throw this.#broken('LZMA2 data without a dictionary')
    this.#decoder.store(this.#input.subarray(3, size))
  }

  #coded(control: number, size: number): void {
    const input = this.#input
    const decoder = this.#decoder
    const fresh = (control >> 5) & 3
    if (fresh < this.#needs) throw this.#broken('LZMA2 data whose first chunk begins nothing anew')
    this.#needs = 0
    if (fresh === 3) decoder.resetDictionary()
    decoder.at = 5
    if (fresh >= 2) {
      const properties = lzmaProperties(input[5] as number)
      if (properties === null || properties.literalContextBits + properties.literalPositionBits > 4) {
        throw this.#broken('LZMA2 data with impossible properties')
      }
      decoder.resetState(properties)
      decoder.at = 6
    } else if (fresh === 1) decoder.resetState(decoder.properties)
    const outputBytes = (((control & 31) << 16) | ((input[1] as number) << 8) | (input[2] as number)) + 1
    input.fill(0, size, size + SYMBOL_BYTES_MAX)
    if (size - decoder.at < RANGE_BYTES || !decoder.begin(input))
      throw this.#broken('LZMA2 data that does not begin with 0')
    const before = decoder.totalBytes
    const stop = decoder.decode(input, size, true, outputBytes)
    if (typeof stop === 'object') throw this.#broken(`LZMA2 data with ${stop.wrong}`)
    const whole = decoder.totalBytes - before === outputBytes && !decoder.isWithinMatch
    if (!whole || !decoder.isFinished(input) || decoder.at !== size) {
      throw this.#broken('LZMA2 data whose chunk does not end where it should')
    }
  }

  #broken(detail: string): Broken {
    return new Broken(this.#offset(), detail)
  }
}

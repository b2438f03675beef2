/** Parts of the .xz file format 1.2.0 that xz.ts puts together: checks, the index, numbers of several bytes. */
import { createHash, type Hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { Crc64 } from './crc64.ts'
import { Broken } from './finding.ts'

const CRC_BYTES = 4

/** An index is not kept but hashed, as are the sizes of the blocks: both hashes must be the same. */
export interface Sizes {
  count: number
  readonly hash: Hash
}

/** The check over what one block holds; a kind that is not known is not judged. */
export class BlockCheck {
  #crc = 0
  readonly #id: number
  readonly #crc64 = new Crc64()
  readonly #sha256: Hash

  constructor(id: number) {
    this.#id = id
    this.#sha256 = createHash('sha256')
  }

  update(bytes: Uint8Array): void {
    if (this.#id === 1) this.#crc = crc32(bytes, this.#crc)
    else if (this.#id === 4) this.#crc64.update(bytes)
    else if (this.#id === 10) this.#sha256.update(bytes)
  }

  digest(): Uint8Array | null {
    if (this.#id === 1) return uint32(this.#crc)
    if (this.#id === 4) return this.#crc64.digest()
    return this.#id === 10 ? new Uint8Array(this.#sha256.digest()) : null
  }
}

/** Reads an index after its first byte (format, 4), in no memory to speak of. */
export class IndexReader {
  readonly offsetBytes: number
  readonly #sizes: Sizes = { count: 0, hash: createHash('sha256') }
  #crc = crc32(Uint8Array.of(0))
  #bytes = 1
  #records = -1
  #number = 0
  #weight = 1
  #unpadded: number | null = null
  #stored: number[] = []

  constructor(offsetBytes: number) {
    this.offsetBytes = offsetBytes
  }

  /** True after its last byte. */
  take(byte: number): boolean {
    this.#bytes++
    if (this.#records === 0 && (this.#stored.length > 0 || (this.#bytes - 1) % 4 === 0)) {
      this.#stored.push(byte)
      if (this.#stored.length < CRC_BYTES) return false
      if (!same(Uint8Array.from(this.#stored), uint32(this.#crc)))
        throw this.#broken('the CRC of an index is wrong')
      return true
    }
    this.#crc = crc32(Uint8Array.of(byte), this.#crc)
    if (this.#records === 0) {
      if (byte !== 0) throw this.#broken('an index whose padding is not 0')
      return false
    }
    this.#number += (byte & 0x7f) * this.#weight
    this.#weight *= 128
    if (this.#weight > 2 ** 63) throw this.#broken('a number without end in an index')
    if ((byte & 0x80) === 0) this.#value(this.#number)
    return false
  }

  matches(blocks: Sizes): boolean {
    return blocks.count === this.#sizes.count && same(blocks.hash.digest(), this.#sizes.hash.digest())
  }

  #value(value: number): void {
    this.#number = 0
    this.#weight = 1
    if (this.#records < 0) this.#records = value
    else if (this.#unpadded === null) this.#unpadded = value
    else {
      addSizes(this.#sizes, this.#unpadded, value)
      this.#unpadded = null
      this.#records--
    }
  }

  #broken(detail: string): Broken {
    return new Broken(this.offsetBytes, detail)
  }
}

/** Numbers of one to nine bytes (format, 1.2). */
export class Numbers {
  readonly #bytes: Uint8Array
  readonly #offsetBytes: number
  at: number

  constructor(bytes: Uint8Array, at: number, offsetBytes: number) {
    this.#bytes = bytes
    this.at = at
    this.#offsetBytes = offsetBytes
  }

  next(): number {
    let out = 0
    for (let i = 0; i < 9; i++) {
      const byte = this.#bytes[this.at++]
      if (byte === undefined) break
      out += (byte & 0x7f) * 128 ** i
      if ((byte & 0x80) === 0) return out
    }
    throw new Broken(this.#offsetBytes, 'a number without end')
  }
}

/** Bytes of the dictionary by the property of LZMA2; null when there is no such property (format, 5.3.1). */
export function lzma2Dictionary(property: number): number | null {
  if (property > 40) return null
  return property === 40 ? 2 ** 32 - 1 : (2 | (property & 1)) * 2 ** ((property >> 1) + 11)
}

export function addSizes(sizes: Sizes, unpadded: number, unpacked: number): void {
  sizes.count++
  sizes.hash.update(`${unpadded} ${unpacked}\n`)
}

/** The CRC stands at `crcAt` (after the bytes when not given). */
export function holdCrc(
  bytes: Uint8Array,
  from: number,
  to: number,
  at: number,
  what: string,
  crcAt = to,
): void {
  if (crc32(bytes.subarray(from, to)) !== view(bytes).getUint32(crcAt, true)) {
    throw new Broken(at, `the CRC of ${what} is wrong`)
  }
}

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

function uint32(value: number): Uint8Array {
  const out = new Uint8Array(4)
  view(out).setUint32(0, value, true)
  return out
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** What is kept of an unpacked file: its first and its last bytes. Everything else is counted and forgotten. */
import { REVERSED } from './bzip2-tables.ts'

/** The siteinfo of a wiki with all its namespaces has some 5 KiB. */
export const HEAD_BYTES = 64 * 1024
export const TAIL_BYTES = 1_024

/** Head, then tail; how many bytes the file has so far, and how many the tail. Shared when another thread unpacks. */
export interface WindowsMemory {
  readonly bytes: ArrayBuffer | SharedArrayBuffer
  readonly numbers: ArrayBuffer | SharedArrayBuffer
}

const CONTENT = 0
const TAIL = 1

export class Windows {
  readonly #reversed: boolean
  readonly #head: Uint8Array
  readonly #tail: Uint8Array
  readonly #numbers: Float64Array

  /** `reversed`: the bytes come with their bits in reverse order, as the bzip2 decoder has them. */
  constructor(reversed: boolean, memory?: WindowsMemory) {
    this.#reversed = reversed
    const bytes = memory?.bytes ?? new ArrayBuffer(HEAD_BYTES + TAIL_BYTES)
    this.#head = new Uint8Array(bytes, 0, HEAD_BYTES)
    this.#tail = new Uint8Array(bytes, HEAD_BYTES, TAIL_BYTES)
    this.#numbers = new Float64Array(memory?.numbers ?? new ArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT))
  }

  /** To be shared. */
  static memory(): WindowsMemory {
    return {
      bytes: new SharedArrayBuffer(HEAD_BYTES + TAIL_BYTES),
      numbers: new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT),
    }
  }

  reset(): void {
    this.#numbers.fill(0)
  }

  get contentBytes(): number {
    return this.#numbers[CONTENT] ?? 0
  }

  add(bytes: Uint8Array): void {
    const { contentBytes } = this
    if (contentBytes < HEAD_BYTES) this.#head.set(bytes.subarray(0, HEAD_BYTES - contentBytes), contentBytes)
    this.#numbers[CONTENT] = contentBytes + bytes.length
    const tailBytes = this.#numbers[TAIL] ?? 0
    const kept = Math.max(0, Math.min(tailBytes, TAIL_BYTES - bytes.length))
    this.#tail.copyWithin(0, tailBytes - kept, tailBytes)
    const last = bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES))
    this.#tail.set(last, kept)
    this.#numbers[TAIL] = kept + last.length
  }

  get head(): string {
    return this.#text(this.#head.subarray(0, Math.min(this.contentBytes, HEAD_BYTES)))
  }

  get tail(): string {
    return this.#text(this.#tail.subarray(0, this.#numbers[TAIL]))
  }

  /** What is looked for is ASCII, so that a character cut in two does no harm. */
  #text(bytes: Uint8Array): string {
    const plain = this.#reversed ? bytes.map((byte) => REVERSED[byte] as number) : bytes
    return Buffer.from(plain).toString('latin1')
  }
}

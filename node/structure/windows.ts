/** What is kept of an unpacked file: its first and its last bytes. Everything else is counted and forgotten. */
import { REVERSED } from './bzip2-tables.ts'

/** The siteinfo of a wiki with all its namespaces has some 5 KiB. */
export const HEAD_BYTES = 64 * 1024
export const TAIL_BYTES = 1_024

export class Windows {
  readonly #reversed: boolean
  readonly #head = new Uint8Array(HEAD_BYTES)
  readonly #tail = new Uint8Array(TAIL_BYTES)
  #tailBytes = 0
  contentBytes = 0

  /** `reversed`: the bytes come with their bits in reverse order, as the bzip2 decoder has them. */
  constructor(reversed: boolean) {
    this.#reversed = reversed
  }

  add(bytes: Uint8Array): void {
    if (this.contentBytes < HEAD_BYTES) {
      this.#head.set(bytes.subarray(0, HEAD_BYTES - this.contentBytes), this.contentBytes)
    }
    this.contentBytes += bytes.length
    const kept = Math.max(0, Math.min(this.#tailBytes, TAIL_BYTES - bytes.length))
    this.#tail.copyWithin(0, this.#tailBytes - kept, this.#tailBytes)
    const last = bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES))
    this.#tail.set(last, kept)
    this.#tailBytes = kept + last.length
  }

  get head(): string {
    return this.#text(this.#head.subarray(0, Math.min(this.contentBytes, HEAD_BYTES)))
  }

  get tail(): string {
    return this.#text(this.#tail.subarray(0, this.#tailBytes))
  }

  /** What is looked for is ASCII, so that a character cut in two does no harm. */
  #text(bytes: Uint8Array): string {
    const plain = this.#reversed ? bytes.map((byte) => REVERSED[byte] as number) : bytes
    return Buffer.from(plain).toString('latin1')
  }
}

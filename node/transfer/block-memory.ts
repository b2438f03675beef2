/**
 * Memory that blocks are read into and sent from, of all torrents together. It is used again once what was lent of it is sent: otherwise a
 * quarter of a megabyte for each read waits for the collector.
 */

/** A block of 16 KiB and its message's head. */
const UNIT_BYTES = 16 * 1024 + 16
export const MEMORY_BYTES_MAX = 16 * UNIT_BYTES
/** Kept for the next blocks. */
const SPARE_BYTES_MAX = 8 * 1024 * 1024

interface Lent {
  readonly memory: Buffer
  unsentBytes: number
}

export class BlockMemory {
  readonly #lent = new WeakMap<ArrayBufferLike, Lent>()
  /** By size: a unit, or two, four, eight, sixteen. */
  readonly #spare = new Map<number, Buffer[]>()
  #spareBytes = 0

  /** At least `bytes`, which are at most MEMORY_BYTES_MAX. Whoever takes it lends it, or leaves it to the collector. */
  take(bytes: number): Buffer {
    let size = UNIT_BYTES
    while (size < bytes) size *= 2
    const spare = this.#spare.get(size)?.pop()
    if (spare === undefined) return Buffer.allocUnsafeSlow(size)
    this.#spareBytes -= size
    return spare
  }

  /** From now on so many bytes of it are on their way; nobody else looks at it any more. */
  lend(memory: Buffer, bytes: number): void {
    if (bytes > 0) this.#lent.set(memory.buffer, { memory, unsentBytes: bytes })
    else this.#keep(memory)
  }

  /** The system has these bytes, of a memory or of anything else. */
  sent(bytes: Uint8Array): void {
    const lent = this.#lent.get(bytes.buffer)
    if (lent === undefined) return
    lent.unsentBytes -= bytes.length
    if (lent.unsentBytes > 0) return
    this.#lent.delete(bytes.buffer)
    this.#keep(lent.memory)
  }

  #keep(memory: Buffer): void {
    if (this.#spareBytes + memory.length > SPARE_BYTES_MAX) return
    this.#spareBytes += memory.length
    const spare = this.#spare.get(memory.length)
    if (spare === undefined) this.#spare.set(memory.length, [memory])
    else spare.push(memory)
  }
}

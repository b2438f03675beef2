/** Memory for the pieces under way of all fetches of an engine together. */

/** A fetch has at least so many: one is filled while another is written. */
const PIECES_MIN = 3
const BYTES_MAX = 16 * 1024 * 1024

export class PieceMemory {
  #bytes = 0

  /** Whether a fetch that has memory for `pieces` may have some for another one. What is taken must be given back. */
  take(sizeBytes: number, pieces: number): boolean {
    if (pieces >= PIECES_MIN && this.#bytes + sizeBytes > BYTES_MAX) return false
    this.#bytes += sizeBytes
    return true
  }

  give(sizeBytes: number): void {
    this.#bytes -= sizeBytes
  }
}

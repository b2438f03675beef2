/**
 * Memory that the threads of one hashing team share: each piece of a file is read into it once, and every thread ("lane") sees
 * all pieces in order. The reader waits for the slowest lane, so that memory is bounded whatever the file's size.
 */

export const CHUNK_BYTES = 256 * 1024
const SLOTS = 16
/** Reader's cell, then one for each lane. */
const LANES_MAX = 3
/** Set in every cell on stop, so that nobody begins to wait for a cell that will not change any more. */
const STOP = 1 << 30
/** Pieces of a torrent that may be open at once, one after the other; a ring holds fewer of the smallest (16 KiB). */
const PIECES_OPEN = 4_096
const PIECE_BYTES_MIN = 16 * 1024
const END_OF_FILE = 1

/** What the threads are given of it. */
export interface RingMemory {
  readonly bytes: SharedArrayBuffer
  /** Cells, then length and flags of each slot, then who hashes which piece. */
  readonly words: SharedArrayBuffer
}

export interface Chunk {
  /** Shared; valid until `done`. */
  readonly bytes: Uint8Array
  readonly isEndOfFile: boolean
}

export class Stopped extends Error {}

const SLOT_WORDS = 1 + LANES_MAX
const OWNER_WORDS = SLOT_WORDS + 2 * SLOTS

export class HashRing {
  readonly memory: RingMemory
  readonly #bytes: Uint8Array
  readonly #words: Int32Array<SharedArrayBuffer>

  constructor(memory?: RingMemory) {
    const { BYTES_PER_ELEMENT } = Int32Array
    this.memory = memory ?? {
      bytes: new SharedArrayBuffer(SLOTS * CHUNK_BYTES),
      words: new SharedArrayBuffer((OWNER_WORDS + PIECES_OPEN) * BYTES_PER_ELEMENT),
    }
    this.#bytes = new Uint8Array(this.memory.bytes)
    this.#words = new Int32Array(this.memory.words)
  }

  /** For the next job; nobody may use the ring. */
  reset(): void {
    this.#words.fill(0)
  }

  /** Ends all waiting, for good: `reset` makes it usable again. */
  stop(): void {
    for (let cell = 0; cell <= LANES_MAX; cell++) {
      Atomics.or(this.#words, cell, STOP)
      Atomics.notify(this.#words, cell)
    }
  }

  /** Where the reader may put the next chunk; null while some of the first `lanes` has not done with what lies there. */
  free(lanes: number): Uint8Array | null {
    const read = this.#cell(0)
    for (let lane = 0; lane < lanes; lane++) if (read - this.#cell(1 + lane) >= SLOTS) return null
    const at = (read % SLOTS) * CHUNK_BYTES
    return this.#bytes.subarray(at, at + CHUNK_BYTES)
  }

  /** The reader gives what it read into `free`. */
  publish(lengthBytes: number, isEndOfFile: boolean): void {
    const slot = this.#cell(0) % SLOTS
    this.#words[SLOT_WORDS + 2 * slot] = lengthBytes
    this.#words[SLOT_WORDS + 2 * slot + 1] = isEndOfFile ? END_OF_FILE : 0
    Atomics.add(this.#words, 0, 1)
    Atomics.notify(this.#words, 0)
  }

  /** Blocks the reader until one of the other lanes may have made room. */
  waitForRoom(lanes: number): void {
    let slowest = 0
    for (let lane = 1; lane < lanes; lane++)
      if (this.#cell(1 + lane) < this.#cell(1 + slowest)) slowest = lane
    const done = this.#cell(1 + slowest)
    if (this.#cell(0) - done >= SLOTS) Atomics.wait(this.#words, 1 + slowest, done)
  }

  /** True when this lane has a chunk to look at. */
  has(lane: number): boolean {
    return this.#cell(1 + lane) < this.#cell(0)
  }

  /** Blocks the lane until `has`. */
  waitForChunk(lane: number): void {
    const done = this.#cell(1 + lane)
    for (let read = this.#cell(0); read <= done; read = this.#cell(0)) Atomics.wait(this.#words, 0, read)
  }

  /** The lane's next chunk, which `has` said is there. */
  chunk(lane: number): Chunk {
    const slot = this.#cell(1 + lane) % SLOTS
    const lengthBytes = this.#words[SLOT_WORDS + 2 * slot] ?? 0
    const flags = this.#words[SLOT_WORDS + 2 * slot + 1] ?? 0
    const at = slot * CHUNK_BYTES
    return { bytes: this.#bytes.subarray(at, at + lengthBytes), isEndOfFile: flags === END_OF_FILE }
  }

  /** The lane has done with its chunk. */
  done(lane: number): void {
    Atomics.add(this.#words, 1 + lane, 1)
    Atomics.notify(this.#words, 1 + lane)
  }

  /**
   * Who comes first to a piece hashes it: so whichever of two lanes is faster takes more of them. The answer is the same for
   * both.
   */
  claims(lane: number, piece: number, pieceLengthBytes: number): boolean {
    // More of such small ones than are counted here could be open at once.
    if (pieceLengthBytes < PIECE_BYTES_MIN) return piece % 2 === lane
    const word = OWNER_WORDS + (piece % PIECES_OPEN)
    const round = Math.floor(piece / PIECES_OPEN) + 1
    const before = Atomics.load(this.#words, word)
    if (before >> 1 === round) return (before & 1) === lane
    const mine = (round << 1) | lane
    const found = Atomics.compareExchange(this.#words, word, before, mine)
    return found === before || found === mine
  }

  #cell(index: number): number {
    const value = Atomics.load(this.#words, index)
    if ((value & STOP) !== 0) throw new Stopped('stopped')
    return value
  }
}

/** The second half of a bzip2 block's way: its transform and runs undone, its CRC taken. Here in the same thread. */
import { crc32 } from 'node:zlib'
import { type Block, BlockRoom, unrun, walkBlocks } from './bzip2-block.ts'
import { REVERSED } from './bzip2-tables.ts'
import type { Sink } from './finding.ts'

/** Blocks that are walked together. */
export const TOGETHER = 3
export const PIECE_BYTES = 64 * 1024

export interface Walk {
  readonly room: BlockRoom
  readonly block: Block
}

export interface Walked {
  /** False: the block ends within a run. */
  readonly isWhole: boolean
  /** As the block's header has it. */
  readonly crc: number
}

/** Takes up to TOGETHER blocks at once; while they are on their way, the next may be gathered. */
export interface Walker {
  /** Where block `index` of the batch that is gathered is to be read to. */
  room(index: number, level: number): BlockRoom
  /** The batch before is finished. */
  start(batch: readonly Walk[]): void
  /** Waits for what was started. */
  finished(): readonly Walked[]
}

export class LocalWalker implements Walker {
  readonly #give: Sink
  readonly #rooms: BlockRoom[] = []
  readonly #piece = new Uint8Array(PIECE_BYTES)
  #walked: Walked[] = []

  constructor(give: Sink) {
    this.#give = give
  }

  room(index: number, level: number): BlockRoom {
    const before = this.#rooms[index]
    const room = before?.fits(level) === true ? before : BlockRoom.ofLevel(level)
    room.begin(level)
    this.#rooms[index] = room
    return room
  }

  start(batch: readonly Walk[]): void {
    this.#walked = finishBlocks(batch, this.#piece, this.#give)
  }

  finished(): readonly Walked[] {
    return this.#walked
  }
}

/** `give` gets what the blocks hold, in order, the bits of each byte reversed. */
export function finishBlocks(batch: readonly Walk[], piece: Uint8Array, give: Sink): Walked[] {
  walkBlocks(batch)
  return batch.map(({ room, block }) => {
    let crc = 0
    const isWhole = unrun(room.bytes.subarray(0, block.lengthBytes), piece, (bytes) => {
      crc = crc32(bytes, crc)
      give(bytes)
    })
    return { isWhole, crc: turned(crc) }
  })
}

/** Turns the bits of every byte round. */
export function turn(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = REVERSED[bytes[i] as number] as number
}

/** 32 bits in reverse order. */
function turned(word: number): number {
  const at = (shift: number) => REVERSED[(word >>> shift) & 0xff] as number
  return ((at(0) << 24) | (at(8) << 16) | (at(16) << 8) | at(24)) >>> 0
}

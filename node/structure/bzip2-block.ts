/**
 * One block of bzip2 (there is no standard; the format is that of bzip2 1.0.8, decompress.c): Huffman codes, move to front,
 * and the Burrows-Wheeler transform undone. Pure; the CRC is the caller's, over what comes out after `unrun`.
 *
 * Two things make it as fast as the C program. The walk that undoes the transform waits for memory at every byte, so several
 * blocks are walked at once and wait together. And bytes are kept with their bits reversed, so that the CRC of bzip2, which
 * takes the highest bit first, becomes the CRC-32 that zlib has in native code.
 */
import {
  Bits,
  bases,
  CODE_BITS_MAX,
  FAST_BITS,
  fast,
  GROUP_SYMBOLS,
  limits,
  perms,
  REVERSED,
  readTables,
  SYMBOLS_MAX,
  selectors,
  symbols,
} from './bzip2-tables.ts'

const RUN_A = 0
const RUN_B = 1
/** As in bzip2: no run is longer than two blocks of the largest size. */
const RUN_MAX = 2 * 1024 * 1024

/** Bytes of a block before the last step, for each level. */
export const LEVEL_BYTES = 100_000
/**
 * No block is longer than this in the file: each of at most 900,001 symbols takes at most 20 bits, and the tables before them
 * less than 32 KiB (selectors, in unary, at most 6 bits each).
 */
export const PACKED_BYTES_MAX = 2_400_000
/** Readable bytes that must lie after the end of the input, so that the inner loop needs no check. */
export const MARGIN_BYTES = 256

/** What a block says of itself; its bytes are in `walk` of the room. */
export interface Block {
  /** Bytes before the last step. */
  readonly lengthBytes: number
  /** Where the walk begins. */
  readonly origin: number
  /** The first bit after the block. */
  readonly endBit: number
}

/** Memory for one block, used again and again. */
export class BlockRoom {
  /** Low 8 bits: a byte (bits reversed); above them: where the next one is. */
  readonly walk: Int32Array
  readonly bytes: Uint8Array
  /** Bytes that a block of the level in force may have. */
  bytesMax = 0

  constructor(walk: Int32Array, bytes: Uint8Array) {
    this.walk = walk
    this.bytes = bytes
  }

  /** `level` 1..9, as in the stream's header. */
  static ofLevel(level: number): BlockRoom {
    return new BlockRoom(new Int32Array(level * LEVEL_BYTES), new Uint8Array(level * LEVEL_BYTES))
  }

  fits(level: number): boolean {
    return this.walk.length >= level * LEVEL_BYTES
  }

  begin(level: number): void {
    this.bytesMax = level * LEVEL_BYTES
  }
}

/** How often each byte is in the block; then where the next one of it goes. */
const counts = new Int32Array(256)

/**
 * Reads the block whose first bit after magic and CRC is `atBit` of `bytes`, of which `lengthBytes` count; MARGIN_BYTES more
 * must be readable. Answers what is wrong, or `short` when the input ends within the block. Bit offsets stay below 2^31, so `bytes` is shorter than 256 MiB.
 */
export function readBlock(
  bytes: Uint8Array,
  lengthBytes: number,
  atBit: number,
  room: BlockRoom,
): Block | string {
  const bits = new Bits(bytes, atBit)
  const endBits = lengthBytes * 8
  const tables = readTables(bits, endBits)
  if (bits.at > endBits) return 'short'
  if (typeof tables === 'string') return tables
  const { groups, selectorCount, symbolsUsed, origin } = tables
  const walk = room.walk
  const sizeMax = room.bytesMax
  const endOfBlock = symbolsUsed + 1
  counts.fill(0)

  let at = bits.at >>> 3
  // What is read after the end is not the file's: whatever seems wrong there, the file is too short.
  const wrong = (detail: string, readTo: number) => (readTo > lengthBytes ? 'short' : detail)
  let buffer = 0
  let have = 0
  if ((bits.at & 7) !== 0) {
    have = 8 - (bits.at & 7)
    buffer = (bytes[at++] as number) & ((1 << have) - 1)
  }
  let size = 0
  let runLength = 0
  let runWeight = 1
  for (let selector = 0; ; selector++) {
    if (at - 4 > lengthBytes) return 'short'
    if (selector >= selectorCount) return wrong('more symbols than its selectors provide for', at)
    const table = selectors[selector] as number
    if (table >= groups) return wrong('a selector of a code that is not there', at)
    const fastBase = table << FAST_BITS
    for (let left = GROUP_SYMBOLS; left > 0; left--) {
      if (have < 16) {
        buffer = (buffer << 16) | ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
        at += 2
        have += 16
      }
      const found = fast[fastBase + ((buffer >>> (have - FAST_BITS)) & ((1 << FAST_BITS) - 1))] as number
      let symbol: number
      if (found !== 0) {
        have -= found & 31
        symbol = found >>> 5
      } else {
        if (have < CODE_BITS_MAX) {
          buffer = (buffer << 8) | (bytes[at++] as number)
          have += 8
        }
        const row = table * (CODE_BITS_MAX + 2)
        let length = FAST_BITS + 1
        let code = (buffer >>> (have - length)) & ((1 << length) - 1)
        while (length <= CODE_BITS_MAX && code > (limits[row + length] as number)) {
          length++
          code = (buffer >>> (have - length)) & ((1 << length) - 1)
        }
        if (length > CODE_BITS_MAX) return wrong('a code that stands for nothing', at)
        const index = code - (bases[row + length] as number)
        if (index < 0 || index >= SYMBOLS_MAX) return wrong('a code that stands for nothing', at)
        have -= length
        symbol = perms[table * SYMBOLS_MAX + index] as number
      }
      if (symbol <= RUN_B) {
        if (runWeight >= RUN_MAX) return wrong('a run without end', at)
        runLength += symbol === RUN_A ? runWeight : runWeight * 2
        runWeight *= 2
        continue
      }
      if (runLength > 0) {
        const byte = symbols[0] as number
        if (size + runLength > sizeMax) return wrong('more bytes than its level allows', at)
        walk.fill(byte, size, size + runLength)
        size += runLength
        counts[byte] = (counts[byte] as number) + runLength
        runLength = 0
        runWeight = 1
      }
      if (symbol === endOfBlock) {
        const endBit = at * 8 - have
        if (endBit > endBits) return 'short'
        if (origin >= size) return wrong('a first byte that lies outside of it', at)
        link(walk, size)
        return { lengthBytes: size, origin, endBit }
      }
      if (size >= sizeMax) return wrong('more bytes than its level allows', at)
      // Move to front.
      const place = symbol - 1
      const byte = symbols[place] as number
      if (place < 24) for (let i = place; i > 0; i--) symbols[i] = symbols[i - 1] as number
      else symbols.copyWithin(1, 0, place)
      symbols[0] = byte
      counts[byte] = (counts[byte] as number) + 1
      walk[size++] = byte
    }
  }
}

/** Each place learns where the byte after it is, in the order of the sorted rotations. */
function link(walk: Int32Array, size: number): void {
  let sum = 0
  for (let byte = 0; byte < 256; byte++) {
    const reversed = REVERSED[byte] as number
    const count = counts[reversed] as number
    counts[reversed] = sum
    sum += count
  }
  for (let i = 0; i < size; i++) {
    const byte = (walk[i] as number) & 0xff
    const to = counts[byte] as number
    counts[byte] = to + 1
    walk[to] = (walk[to] as number) | (i << 8)
  }
}

/** Walks blocks three at a time; each room's `bytes` then hold the block's bytes, bits reversed. */
export function walkBlocks(blocks: readonly { readonly room: BlockRoom; readonly block: Block }[]): void {
  let next = 0
  for (; blocks.length - next >= 3; next += 3) walkThree(blocks.slice(next, next + 3))
  for (const one of blocks.slice(next)) walkOne(one.room, one.block, firstOf(one), 0)
}

type Walk = { readonly room: BlockRoom; readonly block: Block }

function firstOf({ room, block }: Walk): number {
  return (room.walk[block.origin] as number) >>> 8
}

function walkOne(room: BlockRoom, block: Block, from: number, done: number): void {
  const { walk, bytes } = room
  let place = from
  for (let i = done; i < block.lengthBytes; i++) {
    const entry = walk[place] as number
    bytes[i] = entry & 0xff
    place = entry >>> 8
  }
}

function walkThree(three: readonly Walk[]): void {
  const [a, b, c] = three as [Walk, Walk, Walk]
  const shortest = Math.min(...three.map(({ block }) => block.lengthBytes))
  const [walkA, walkB, walkC] = [a.room.walk, b.room.walk, c.room.walk]
  const [bytesA, bytesB, bytesC] = [a.room.bytes, b.room.bytes, c.room.bytes]
  let atA = firstOf(a)
  let atB = firstOf(b)
  let atC = firstOf(c)
  for (let i = 0; i < shortest; i++) {
    const entryA = walkA[atA] as number
    const entryB = walkB[atB] as number
    const entryC = walkC[atC] as number
    bytesA[i] = entryA & 0xff
    bytesB[i] = entryB & 0xff
    bytesC[i] = entryC & 0xff
    atA = entryA >>> 8
    atB = entryB >>> 8
    atC = entryC >>> 8
  }
  walkOne(a.room, a.block, atA, shortest)
  walkOne(b.room, b.block, atB, shortest)
  walkOne(c.room, c.block, atC, shortest)
}

/**
 * Undoes the first step of bzip2, runs of 4 to 259 equal bytes, from `block` into pieces for `give`, which must not keep them.
 * False when the block ends within a run.
 */
export function unrun(block: Uint8Array, piece: Uint8Array, give: (bytes: Uint8Array) => void): boolean {
  const size = block.length
  const pieceMax = piece.length - 256
  let out = 0
  let last = -1
  let run = 0
  for (let i = 0; i < size; i++) {
    const byte = block[i] as number
    piece[out++] = byte
    if (byte !== last) {
      last = byte
      run = 1
    } else if (++run === 4) {
      if (++i >= size) return false
      const more = REVERSED[block[i] as number] as number
      piece.fill(byte, out, out + more)
      out += more
      last = -1
      run = 0
    }
    if (out >= pieceMax) {
      give(piece.subarray(0, out))
      out = 0
    }
  }
  if (out > 0) give(piece.subarray(0, out))
  return true
}

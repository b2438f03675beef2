/**
 * bzip2: streams one after the other, each of blocks with a CRC, and a CRC over those (the format of bzip2 1.0.8). Whole means:
 * every block's CRC, every stream's CRC, and nothing after the last stream.
 */
import { crc32 } from 'node:zlib'
import {
  type Block,
  BlockRoom,
  LEVEL_BYTES,
  MARGIN_BYTES,
  PACKED_BYTES_MAX,
  readBlock,
  unrun,
  walkBlocks,
} from './bzip2-block.ts'
import { Bits, RANDOMISED, REVERSED } from './bzip2-tables.ts'
import { Broken, type Decoder, NotRead, type Sink } from './finding.ts'

/** Blocks that are walked together. */
const TOGETHER = 4
/** Input that is held: a whole block always fits, and a few usual ones. */
const INPUT_BYTES = 2 * PACKED_BYTES_MAX
const INPUT_BYTES_MIN = 64 * 1024
const PIECE_BYTES = 64 * 1024
const BLOCK_MAGIC = [0x314159, 0x265359] as const
const END_MAGIC = [0x177245, 0x385090] as const
const MAGIC_BITS = 48
const CRC_BITS = 32

interface Waiting {
  readonly room: BlockRoom
  readonly block: Block
  readonly crc: number
  /** Of its first bit's byte, in the file. */
  readonly offsetBytes: number
}

export class Bzip2Decoder implements Decoder {
  readonly #give: Sink
  readonly #reversed: boolean
  /** Grows to INPUT_BYTES, so that a small file takes little memory. */
  #input = new Uint8Array(INPUT_BYTES_MIN + MARGIN_BYTES)
  #held = 0
  /** Bytes of the file before `#input`. */
  #before = 0
  #atBit = 0
  #level = 0
  #streams = 0
  #streamOffset = 0
  #streamCrc = 0
  readonly #rooms: BlockRoom[] = []
  #waiting: Waiting[] = []
  readonly #piece = new Uint8Array(PIECE_BYTES + 256)

  /** `give` gets the bytes with their bits reversed when `reversed` is set: turning them round is the sink's work, if it looks at them. */
  constructor(give: Sink, options: { reversed?: boolean } = {}) {
    this.#give = give
    this.#reversed = options.reversed ?? false
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const take = Math.min(bytes.length - at, INPUT_BYTES - this.#held)
      this.#grow(this.#held + take)
      this.#input.set(bytes.subarray(at, at + take), this.#held)
      this.#held += take
      at += take
      if (this.#held === INPUT_BYTES) this.#advance(false)
    }
  }

  #grow(wantedBytes: number): void {
    if (wantedBytes + MARGIN_BYTES <= this.#input.length) return
    const grown = new Uint8Array(
      Math.min(Math.max(2 * wantedBytes, INPUT_BYTES_MIN), INPUT_BYTES) + MARGIN_BYTES,
    )
    grown.set(this.#input.subarray(0, this.#held))
    this.#input = grown
  }

  end(): number {
    this.#advance(true)
    return this.#streams
  }

  close(): void {
    this.#rooms.length = 0
    this.#waiting = []
  }

  /** Reads as many blocks as surely lie in the input; at the end all of it. */
  #advance(last: boolean): void {
    if (last) this.#input.fill(0, this.#held, this.#held + MARGIN_BYTES)
    while (last || this.#held - (this.#atBit >>> 3) >= PACKED_BYTES_MAX) {
      if (!this.#part()) break
    }
    this.#finish()
    const used = this.#atBit >>> 3
    this.#input.copyWithin(0, used, this.#held)
    this.#held -= used
    this.#before += used
    this.#atBit &= 7
  }

  /** One stream header, block or stream end. False when the input is used up. */
  #part(): boolean {
    if (this.#level === 0) return this.#header()
    const bits = new Bits(this.#input, this.#atBit)
    const offsetBytes = this.#offset(this.#atBit)
    const magic = [bits.read(24), bits.read(24)]
    const crc = ((bits.read(16) << 16) | bits.read(16)) >>> 0
    if (bits.at > this.#held * 8) throw this.#short('within a stream')
    if (magic[0] === BLOCK_MAGIC[0] && magic[1] === BLOCK_MAGIC[1]) {
      const room = this.#room(this.#waiting.length)
      const block = readBlock(this.#input, this.#held, bits.at, room)
      if (typeof block === 'string') {
        this.#finish()
        if (block === RANDOMISED) throw new NotRead('a randomised block, as bzip2 wrote them before 1999')
        if (block === 'short') throw this.#short('within a block')
        throw new Broken(offsetBytes, `a block with ${block}`)
      }
      this.#waiting.push({ room, block, crc, offsetBytes })
      this.#atBit = block.endBit
      if (this.#waiting.length === TOGETHER) this.#finish()
      return true
    }
    this.#finish()
    if (magic[0] !== END_MAGIC[0] || magic[1] !== END_MAGIC[1]) {
      throw new Broken(offsetBytes, 'neither a block nor the end of a stream')
    }
    if (crc !== this.#streamCrc)
      throw new Broken(offsetBytes, 'the CRC of a stream is not that of its blocks')
    this.#atBit = (this.#atBit + MAGIC_BITS + CRC_BITS + 7) & ~7
    this.#level = 0
    this.#streams++
    return true
  }

  #header(): boolean {
    const at = this.#atBit >>> 3
    if (at >= this.#held) {
      if (this.#streams === 0 && this.#before === 0) throw new Broken(0, 'the file is empty')
      return false
    }
    const [b, z, h, level = 0] = this.#input.subarray(at, at + 4)
    const begins = [b, z, h].every((byte, i) => at + i >= this.#held || byte === 'BZh'.charCodeAt(i))
    const isLevel = at + 3 >= this.#held || (level >= 0x31 && level <= 0x39)
    if (!begins || !isLevel) {
      const what = this.#streams === 0 ? 'no bzip2 file' : 'bytes after the last stream that are no stream'
      throw new Broken(this.#offset(this.#atBit), what)
    }
    if (at + 4 > this.#held) throw this.#short('within the header of a stream')
    this.#level = level - 0x30
    this.#streamOffset = this.#offset(this.#atBit)
    this.#streamCrc = 0
    this.#atBit += 32
    return true
  }

  /** Undoes the rest of the blocks that were read, in order, and checks them. */
  #finish(): void {
    const waiting = this.#waiting
    if (waiting.length === 0) return
    this.#waiting = []
    walkBlocks(waiting)
    for (const { room, block, crc, offsetBytes } of waiting) {
      let found = 0
      const whole = unrun(room.bytes.subarray(0, block.lengthBytes), this.#piece, (piece) => {
        found = crc32(piece, found)
        if (!this.#reversed) turn(piece)
        this.#give(piece)
      })
      if (!whole) throw new Broken(offsetBytes, 'a block that ends within a run')
      if (turned(found) !== crc) throw new Broken(offsetBytes, 'the CRC of a block is not that of its bytes')
      this.#streamCrc = (((this.#streamCrc << 1) | (this.#streamCrc >>> 31)) ^ crc) >>> 0
    }
  }

  #room(index: number): BlockRoom {
    const before = this.#rooms[index]
    const room = before?.fits(this.#level) === true ? before : new BlockRoom(this.#level)
    room.bytesMax = this.#level * LEVEL_BYTES
    this.#rooms[index] = room
    return room
  }

  #offset(bit: number): number {
    return this.#before + (bit >>> 3)
  }

  #short(where: string): Broken {
    this.#finish()
    const end = this.#before + this.#held
    return new Broken(end, `it ends ${where} of the stream that begins at byte ${this.#streamOffset}`)
  }
}

/**
 * Unpacks whole bzip2 streams, one or more, as a multistream dump's index names them. Throws RangeError when they hold more
 * than `outputBytesMax`, Broken (with the offset within `bytes`) when they are not whole, and NotRead.
 */
export function decompressBzip2(bytes: Uint8Array, outputBytesMax: number): Uint8Array {
  const pieces: Uint8Array[] = []
  let sizeBytes = 0
  const decoder = new Bzip2Decoder((piece) => {
    sizeBytes += piece.length
    if (sizeBytes > outputBytesMax) throw new RangeError(`more than ${outputBytesMax} bytes when unpacked`)
    pieces.push(piece.slice())
  })
  try {
    decoder.push(bytes)
    decoder.end()
  } finally {
    decoder.close()
  }
  const out = new Uint8Array(sizeBytes)
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}

function turn(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = REVERSED[bytes[i] as number] as number
}

/** 32 bits in reverse order. */
function turned(word: number): number {
  const at = (shift: number) => REVERSED[(word >>> shift) & 0xff] as number
  return ((at(0) << 24) | (at(8) << 16) | (at(16) << 8) | at(24)) >>> 0
}

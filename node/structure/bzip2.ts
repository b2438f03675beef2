/**
 * bzip2: streams one after the other, each of blocks with a CRC, and a CRC over those (the format of bzip2 1.0.8). Whole means:
 * every block's CRC, every stream's CRC, and nothing after the last stream. Blocks are gathered, and walked some at a time
 * (bzip2-walker.ts), so what is wrong with one may be noticed when later ones are read already; it is still told first.
 */
import { type Block, MARGIN_BYTES, PACKED_BYTES_MAX, readBlock } from './bzip2-block.ts'
import { Bits, RANDOMISED } from './bzip2-tables.ts'
import { LocalWalker, TOGETHER, turn, type Walker } from './bzip2-walker.ts'
import { Broken, type Decoder, NotRead, type Sink } from './finding.ts'

/** Input that is held: a whole block always fits, and a few usual ones. */
const INPUT_BYTES = 2 * PACKED_BYTES_MAX
const INPUT_BYTES_MIN = 64 * 1024
const BLOCK_MAGIC = [0x314159, 0x265359] as const
const END_MAGIC = [0x177245, 0x385090] as const
const MAGIC_BITS = 48
const CRC_BITS = 32

/** What was read of the file and is to be checked, in its order: a block's CRC, or at the end of a stream that of its blocks. */
interface Part {
  readonly block: Block | null
  readonly crc: number
  /** Of its first bit's byte, in the file. */
  readonly offsetBytes: number
}

/** A batch of blocks, with the ends of streams between them. */
interface Batch {
  readonly parts: Part[]
  readonly walks: { readonly room: ReturnType<Walker['room']>; readonly block: Block }[]
}

export class Bzip2Decoder implements Decoder {
  readonly #walker: Walker
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
  #gathered: Batch = { parts: [], walks: [] }
  #started: Batch | null = null

  /** The walker gives the output, the bits of each byte reversed. */
  constructor(walker: Walker) {
    this.#walker = walker
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
    this.#settle()
    return this.#streams
  }

  close(): void {}

  /** Reads as many blocks as surely lie in the input; at the end all of it. */
  #advance(last: boolean): void {
    if (last) this.#input.fill(0, this.#held, this.#held + MARGIN_BYTES)
    while (last || this.#held - (this.#atBit >>> 3) >= PACKED_BYTES_MAX) {
      if (!this.#part()) break
    }
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
      const room = this.#walker.room(this.#gathered.walks.length, this.#level)
      const block = readBlock(this.#input, this.#held, bits.at, room)
      if (typeof block === 'string') throw this.#unreadable(block, offsetBytes)
      this.#gathered.walks.push({ room, block })
      this.#gathered.parts.push({ block, crc, offsetBytes })
      this.#atBit = block.endBit
      if (this.#gathered.walks.length === TOGETHER) this.#start()
      return true
    }
    if (magic[0] !== END_MAGIC[0] || magic[1] !== END_MAGIC[1]) {
      this.#settle()
      throw new Broken(offsetBytes, 'neither a block nor the end of a stream')
    }
    this.#gathered.parts.push({ block: null, crc, offsetBytes })
    this.#atBit = (this.#atBit + MAGIC_BITS + CRC_BITS + 7) & ~7
    this.#level = 0
    this.#streams++
    return true
  }

  #unreadable(reason: string, offsetBytes: number): Error {
    this.#settle()
    if (reason === RANDOMISED) return new NotRead('a randomised block, as bzip2 wrote them before 1999')
    if (reason === 'short') return this.#short('within a block')
    return new Broken(offsetBytes, `a block with ${reason}`)
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
      this.#settle()
      throw new Broken(this.#offset(this.#atBit), what)
    }
    if (at + 4 > this.#held) throw this.#short('within the header of a stream')
    this.#level = level - 0x30
    this.#streamOffset = this.#offset(this.#atBit)
    this.#atBit += 32
    return true
  }

  /** Hands over what was gathered, after the batch before was checked. */
  #start(): void {
    this.#check()
    this.#walker.start(this.#gathered.walks)
    this.#started = this.#gathered
    this.#gathered = { parts: [], walks: [] }
  }

  /** Checks everything that was read so far. */
  #settle(): void {
    this.#start()
    this.#check()
  }

  /** Waits for the batch that was started. Throws for the first of its parts that is wrong. */
  #check(): void {
    if (this.#started === null) return
    const { parts } = this.#started
    this.#started = null
    const walked = this.#walker.finished()
    let next = 0
    for (const { block, crc, offsetBytes } of parts) {
      if (block === null) {
        if (crc !== this.#streamCrc)
          throw new Broken(offsetBytes, 'the CRC of a stream is not that of its blocks')
        this.#streamCrc = 0
        continue
      }
      const found = walked[next++]
      if (found?.isWhole !== true) throw new Broken(offsetBytes, 'a block that ends within a run')
      if (found.crc !== crc) throw new Broken(offsetBytes, 'the CRC of a block is not that of its bytes')
      this.#streamCrc = (((this.#streamCrc << 1) | (this.#streamCrc >>> 31)) ^ crc) >>> 0
    }
  }

  #offset(bit: number): number {
    return this.#before + (bit >>> 3)
  }

  #short(where: string): Broken {
    this.#settle()
    const end = this.#before + this.#held
    return new Broken(end, `it ends ${where} of the stream that begins at byte ${this.#streamOffset}`)
  }
}

/** A decoder in this thread that gives the output as plain bytes. */
export function plainBzip2Decoder(give: Sink): Bzip2Decoder {
  const walker = new LocalWalker((piece) => {
    turn(piece)
    give(piece)
  })
  return new Bzip2Decoder(walker)
}

/**
 * Unpacks whole bzip2 streams, one or more, as a multistream dump's index names them. Throws RangeError when they hold more
 * than `outputBytesMax`, Broken (with the offset within `bytes`) when they are not whole, and NotRead.
 */
export function decompressBzip2(bytes: Uint8Array, outputBytesMax: number): Uint8Array {
  const pieces: Uint8Array[] = []
  let sizeBytes = 0
  const decoder = plainBzip2Decoder((piece) => {
    sizeBytes += piece.length
    if (sizeBytes > outputBytesMax) throw new RangeError(`more than ${outputBytesMax} bytes when unpacked`)
    pieces.push(piece.slice())
  })
  decoder.push(bytes)
  decoder.end()
  const out = new Uint8Array(sizeBytes)
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}

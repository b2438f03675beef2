/**
 * The LZMA decoder (LZMA specification in the LZMA SDK, lzma-specification.txt, public domain), as 7z and xz use it: bytes in
 * as they come, output through a window of the dictionary's size. Pure.
 *
 * Longer than 300 lines: one loop, whose variables must stay in registers to be fast.
 */
import type { Sink } from './finding.ts'

/** No symbol takes more input than this: at most 22 coded and 26 direct bits, none of which takes more than 11 bits (SDK: 20 bytes). */
export const SYMBOL_BYTES_MAX = 32

const STATES = 12
const POSITIONS = 16
const IS_MATCH = 0
const IS_REP = IS_MATCH + STATES * POSITIONS
const IS_REP0 = IS_REP + STATES
const IS_REP1 = IS_REP0 + STATES
const IS_REP2 = IS_REP1 + STATES
const IS_REP0_LONG = IS_REP2 + STATES
const SLOTS = IS_REP0_LONG + STATES * POSITIONS
const SPECIAL = SLOTS + 4 * 64
const ALIGN = SPECIAL + 115
const LENGTHS = ALIGN + 16
const LENGTH_LOW = 2
const LENGTH_MIDDLE = LENGTH_LOW + POSITIONS * 8
const LENGTH_HIGH = LENGTH_MIDDLE + POSITIONS * 8
const LENGTH_SIZE = LENGTH_HIGH + 256
const REP_LENGTHS = LENGTHS + LENGTH_SIZE
const LITERALS = REP_LENGTHS + LENGTH_SIZE
const LITERAL_SIZE = 0x300
const HALF = 1024
const LENGTH_MIN = 2
const DICTIONARY_BYTES_MIN = 4_096

/** lc, lp, pb of the specification; `lc + lp <= 12`. */
export interface LzmaProperties {
  readonly literalContextBits: number
  readonly literalPositionBits: number
  readonly positionBits: number
}

/** From the byte that holds all three; null when there is no such byte. */
export function lzmaProperties(byte: number): LzmaProperties | null {
  if (byte >= 9 * 5 * 5) return null
  return {
    literalContextBits: byte % 9,
    literalPositionBits: Math.floor(byte / 9) % 5,
    positionBits: Math.floor(byte / 45),
  }
}

/** Why `decode` came back. `input`: it wants more. */
export type LzmaStop = 'input' | 'output' | 'marker'

export class LzmaDecoder {
  readonly #give: Sink
  readonly #window: Uint8Array
  readonly #dictionaryBytes: number
  readonly #probs: Uint16Array
  #properties: LzmaProperties
  #windowAt = 0
  /** Bytes of the window that are given already. */
  #given = 0
  /** Bytes since the dictionary was emptied. */
  #total = 0
  #state = 0
  #rep0 = 0
  #rep1 = 0
  #rep2 = 0
  #rep3 = 0
  #range = -1
  #code = 0
  /** What is left of a match when the output was full. */
  #copyLeft = 0
  /** Next byte of the input. */
  at = 0

  constructor(properties: LzmaProperties, dictionaryBytes: number, give: Sink) {
    this.#give = give
    this.#dictionaryBytes = Math.max(dictionaryBytes, DICTIONARY_BYTES_MIN)
    this.#window = new Uint8Array(this.#dictionaryBytes)
    this.#properties = properties
    const contextBits = properties.literalContextBits + properties.literalPositionBits
    // LZMA2 may change both later, but not their sum beyond 4.
    this.#probs = new Uint16Array(LITERALS + (LITERAL_SIZE << Math.max(contextBits, 4)))
    this.resetState(properties)
  }

  /** Bytes that came out, or were stored, since the dictionary was emptied. */
  get totalBytes(): number {
    return this.#total
  }

  get properties(): LzmaProperties {
    return this.#properties
  }

  /** The last match was longer than the output that was asked for. */
  get isWithinMatch(): boolean {
    return this.#copyLeft > 0
  }

  /** Everything but the dictionary begins anew; for LZMA2 `lc + lp <= 4`. */
  resetState(properties: LzmaProperties): void {
    this.#properties = properties
    this.#probs.fill(HALF)
    this.#state = 0
    this.#rep0 = 0
    this.#rep1 = 0
    this.#rep2 = 0
    this.#rep3 = 0
  }

  resetDictionary(): void {
    this.#total = 0
  }

  /** Reads the five bytes that a coded part begins with. False: the first one is not 0. */
  begin(input: Uint8Array): boolean {
    const first = input[this.at] as number
    this.#range = -1
    this.#code = 0
    for (let i = 1; i < 5; i++) this.#code = (this.#code << 8) | (input[this.at + i] as number)
    this.at += 5
    return first === 0
  }

  /** After the last symbol: the code is used up, as every encoder leaves it. */
  isFinished(input: Uint8Array): boolean {
    if ((this.#range & 0xff000000) === 0) {
      this.#range <<= 8
      this.#code = (this.#code << 8) | (input[this.at++] as number)
    }
    return this.#code === 0
  }

  /** Bytes that are stored as they are (LZMA2). */
  store(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const take = Math.min(bytes.length - from, this.#window.length - this.#windowAt)
      this.#window.set(bytes.subarray(from, from + take), this.#windowAt)
      this.#windowAt += take
      this.#total += take
      from += take
      if (this.#windowAt === this.#window.length) this.flush()
    }
  }

  /** Gives what is in the window and not given yet. */
  flush(): void {
    if (this.#windowAt > this.#given) this.#give(this.#window.subarray(this.#given, this.#windowAt))
    if (this.#windowAt === this.#window.length) this.#windowAt = 0
    this.#given = this.#windowAt
  }

  /**
   * Decodes from `input` at `at` while at least SYMBOL_BYTES_MAX bytes lie before `end`, or all that is there when `last`; in
   * that case SYMBOL_BYTES_MAX bytes after `end` must be readable, and `at` may come to lie behind it: the input was too short.
   * At most `outputMax` bytes come out.
   */
  decode(input: Uint8Array, end: number, last: boolean, outputMax: number): LzmaStop | { wrong: string } {
    const probs = this.#probs
    const window = this.#window
    const windowBytes = window.length
    const { literalContextBits, literalPositionBits, positionBits } = this.#properties
    const positionMask = (1 << positionBits) - 1
    const literalMask = (1 << literalPositionBits) - 1
    const stopAt = last ? end : end - SYMBOL_BYTES_MAX
    let left = outputMax
    if (this.#copyLeft > 0) left = this.#copy(Math.min(this.#copyLeft, left), left)
    let at = this.at
    let range = this.#range
    let code = this.#code
    let state = this.#state
    let total = this.#total
    let windowAt = this.#windowAt
    let stop: LzmaStop | { wrong: string } = 'output'
    while (left > 0) {
      if (at > stopAt) {
        stop = 'input'
        break
      }
      const position = total & positionMask
      let p = IS_MATCH + state * POSITIONS + position
      let prob = probs[p] as number
      if ((range & 0xff000000) === 0) {
        range <<= 8
        code = (code << 8) | (input[at++] as number)
      }
      let bound = Math.imul(range >>> 11, prob)
      if (code >>> 0 < bound >>> 0) {
        // A literal.
        range = bound
        probs[p] = prob + ((2048 - prob) >> 5)
        const previous = total === 0 ? 0 : (window[windowAt === 0 ? windowBytes - 1 : windowAt - 1] as number)
        const base =
          LITERALS +
          LITERAL_SIZE *
            (((total & literalMask) << literalContextBits) + (previous >> (8 - literalContextBits)))
        let symbol = 1
        if (state >= 7) {
          let from = windowAt - this.#rep0 - 1
          if (from < 0) from += windowBytes
          let match = (window[from] as number) | 0
          do {
            match <<= 1
            const bit = match & 0x100
            p = base + 0x100 + bit + symbol
            prob = probs[p] as number
            if ((range & 0xff000000) === 0) {
              range <<= 8
              code = (code << 8) | (input[at++] as number)
            }
            bound = Math.imul(range >>> 11, prob)
            if (code >>> 0 < bound >>> 0) {
              range = bound
              probs[p] = prob + ((2048 - prob) >> 5)
              symbol <<= 1
              if (bit !== 0) break
            } else {
              range = (range - bound) | 0
              code = (code - bound) | 0
              probs[p] = prob - (prob >> 5)
              symbol = (symbol << 1) | 1
              if (bit === 0) break
            }
          } while (symbol < 0x100)
        }
        while (symbol < 0x100) {
          p = base + symbol
          prob = probs[p] as number
          if ((range & 0xff000000) === 0) {
            range <<= 8
            code = (code << 8) | (input[at++] as number)
          }
          bound = Math.imul(range >>> 11, prob)
          if (code >>> 0 < bound >>> 0) {
            range = bound
            probs[p] = prob + ((2048 - prob) >> 5)
            symbol <<= 1
          } else {
            range = (range - bound) | 0
            code = (code - bound) | 0
            probs[p] = prob - (prob >> 5)
            symbol = (symbol << 1) | 1
          }
        }
        window[windowAt++] = symbol
        total++
        left--
        state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6
        if (windowAt === windowBytes) {
          this.#windowAt = windowAt
          this.flush()
          windowAt = 0
        }
        continue
      }
      range = (range - bound) | 0
      code = (code - bound) | 0
      probs[p] = prob - (prob >> 5)
      // A match: rarer, so the rest of its symbol is read by calls.
      this.at = at
      this.#range = range
      this.#code = code
      this.#state = state
      this.#total = total
      this.#windowAt = windowAt
      const length = this.#match(input, position)
      at = this.at
      range = this.#range
      code = this.#code
      state = this.#state
      if (length === 0) {
        stop = 'marker'
        break
      }
      const known = Math.min(total, this.#dictionaryBytes)
      if (this.#rep0 >>> 0 >= known) {
        stop = { wrong: 'a match before the first byte' }
        break
      }
      left = this.#copy(length, left)
      total = this.#total
      windowAt = this.#windowAt
    }
    this.at = at
    this.#range = range
    this.#code = code
    this.#state = state
    this.#total = total
    this.#windowAt = windowAt
    return stop
  }

  /** Copies `length` bytes, or as many as `left` allows; answers what is left of it. */
  #copy(length: number, left: number): number {
    const window = this.#window
    const take = Math.min(length, left)
    this.#copyLeft = length - take
    const distance = this.#rep0 + 1
    for (let todo = take; todo > 0; ) {
      let from = this.#windowAt - distance
      if (from < 0) from += window.length
      const to = this.#windowAt
      const count = Math.min(todo, window.length - to, window.length - from)
      if (count > 16 && distance >= count) window.copyWithin(to, from, from + count)
      else for (let i = 0; i < count; i++) window[to + i] = window[from + i] as number
      this.#windowAt += count
      this.#total += count
      todo -= count
      if (this.#windowAt === window.length) this.flush()
    }
    return left - take
  }

  /** Length of the match whose first bit was read, its distance in `#rep0`; 0 for the marker of the end. */
  #match(input: Uint8Array, position: number): number {
    const state = this.#state
    if (this.#bit(input, IS_REP + state) === 0) {
      this.#rep3 = this.#rep2
      this.#rep2 = this.#rep1
      this.#rep1 = this.#rep0
      const length = this.#length(input, LENGTHS, position)
      this.#state = state < 7 ? 7 : 10
      this.#rep0 = this.#distance(input, length)
      return this.#rep0 === -1 ? 0 : length + LENGTH_MIN
    }
    if (this.#bit(input, IS_REP0 + state) === 0) {
      if (this.#bit(input, IS_REP0_LONG + state * POSITIONS + position) === 0) {
        this.#state = state < 7 ? 9 : 11
        return 1
      }
    } else {
      let distance = this.#rep1
      if (this.#bit(input, IS_REP1 + state) !== 0) {
        distance = this.#rep2
        if (this.#bit(input, IS_REP2 + state) !== 0) {
          distance = this.#rep3
          this.#rep3 = this.#rep2
        }
        this.#rep2 = this.#rep1
      }
      this.#rep1 = this.#rep0
      this.#rep0 = distance
    }
    this.#state = state < 7 ? 8 : 11
    return this.#length(input, REP_LENGTHS, position) + LENGTH_MIN
  }

  #length(input: Uint8Array, base: number, position: number): number {
    if (this.#bit(input, base) === 0) return this.#tree(input, base + LENGTH_LOW + position * 8, 3)
    if (this.#bit(input, base + 1) === 0) return 8 + this.#tree(input, base + LENGTH_MIDDLE + position * 8, 3)
    return 16 + this.#tree(input, base + LENGTH_HIGH, 8)
  }

  #distance(input: Uint8Array, length: number): number {
    const slot = this.#tree(input, SLOTS + Math.min(length, 3) * 64, 6)
    if (slot < 4) return slot
    const bits = (slot >> 1) - 1
    const distance = (2 | (slot & 1)) << bits
    if (slot < 14) return distance + this.#reverseTree(input, SPECIAL + distance - slot, bits)
    return (distance + (this.#direct(input, bits - 4) << 4) + this.#reverseTree(input, ALIGN, 4)) | 0
  }

  #tree(input: Uint8Array, base: number, bits: number): number {
    let symbol = 1
    for (let i = 0; i < bits; i++) symbol = (symbol << 1) | this.#bit(input, base + symbol)
    return symbol - (1 << bits)
  }

  #reverseTree(input: Uint8Array, base: number, bits: number): number {
    let node = 1
    let symbol = 0
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(input, base + node)
      node = (node << 1) | bit
      symbol |= bit << i
    }
    return symbol
  }

  #direct(input: Uint8Array, count: number): number {
    let out = 0
    let range = this.#range
    let code = this.#code
    for (let i = 0; i < count; i++) {
      if ((range & 0xff000000) === 0) {
        range <<= 8
        code = (code << 8) | (input[this.at++] as number)
      }
      range >>>= 1
      const bit = code >>> 0 >= range >>> 0 ? 1 : 0
      if (bit !== 0) code = (code - range) | 0
      out = (out << 1) | bit
    }
    this.#range = range
    this.#code = code
    return out
  }

  #bit(input: Uint8Array, p: number): number {
    const probs = this.#probs
    const prob = probs[p] as number
    if ((this.#range & 0xff000000) === 0) {
      this.#range <<= 8
      this.#code = (this.#code << 8) | (input[this.at++] as number)
    }
    const bound = Math.imul(this.#range >>> 11, prob)
    if (this.#code >>> 0 < bound >>> 0) {
      this.#range = bound
      probs[p] = prob + ((2048 - prob) >> 5)
      return 0
    }
    this.#range = (this.#range - bound) | 0
    this.#code = (this.#code - bound) | 0
    probs[p] = prob - (prob >> 5)
    return 1
  }
}

/**
 * What stands before the symbols of a bzip2 block: which bytes there are, which code is used when, and the codes. Read into
 * memory of this module, which the one reader of blocks in this thread uses at once (bzip2-block.ts).
 */

/** Each group of so many symbols says which code it uses. */
export const GROUP_SYMBOLS = 50
const GROUPS_MAX = 6
const SELECTORS_MAX = 32_768
/** 256 bytes, less one that is never at another place than the first, two for runs, one for the end. */
export const SYMBOLS_MAX = 258
export const CODE_BITS_MAX = 20
/** Codes up to this length are found by one look into a table. */
export const FAST_BITS = 10

/** Each byte with its bits in reverse order. */
export const REVERSED = Uint8Array.from({ length: 256 }, (_, byte) => {
  let out = 0
  for (let bit = 0; bit < 8; bit++) if (((byte >> bit) & 1) !== 0) out |= 0x80 >> bit
  return out
})

/** Which code each group of symbols uses. */
export const selectors = new Uint8Array(SELECTORS_MAX)
/** The bytes that occur (bits reversed), the most recent one first. */
export const symbols = new Uint8Array(256)
/** symbol << 5 | length; 0: the code is longer, or there is none. */
export const fast = new Uint16Array(GROUPS_MAX << FAST_BITS)
/** A row of 22 for each code, by length: the largest code, and what to take off for the index into `perms`. */
export const limits = new Int32Array(GROUPS_MAX * (CODE_BITS_MAX + 2))
export const bases = new Int32Array(GROUPS_MAX * (CODE_BITS_MAX + 2))
/** Symbols in order of their codes. */
export const perms = new Uint16Array(GROUPS_MAX * SYMBOLS_MAX)
const lengths = new Uint8Array(SYMBOLS_MAX)

/** Reads bits, highest first; after the end, zeros. Small and slow: for what comes before the symbols. */
export class Bits {
  readonly #bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, atBit: number) {
    this.#bytes = bytes
    this.at = atBit
  }

  /** At most 24 bits. */
  read(count: number): number {
    let out = 0
    for (let i = 0; i < count; i++, this.at++) {
      const byte = this.#bytes[this.at >>> 3] ?? 0
      out = (out << 1) | ((byte >>> (7 - (this.at & 7))) & 1)
    }
    return out
  }
}

/** A form that bzip2 stopped writing in 1999. */
export const RANDOMISED = 'randomised'

export interface Tables {
  readonly groups: number
  readonly selectorCount: number
  readonly symbolsUsed: number
  readonly origin: number
}

/** Answers what is wrong instead. */
export function readTables(bits: Bits, endBits: number): Tables | string {
  if (bits.read(1) !== 0) return RANDOMISED
  const origin = bits.read(24)
  const used = bits.read(16)
  let symbolsUsed = 0
  for (let row = 0; row < 16; row++) {
    if ((used & (0x8000 >> row)) === 0) continue
    const columns = bits.read(16)
    for (let column = 0; column < 16; column++) {
      if ((columns & (0x8000 >> column)) !== 0) symbols[symbolsUsed++] = REVERSED[row * 16 + column] as number
    }
  }
  if (symbolsUsed === 0) return 'a block without a byte'
  const groups = bits.read(3)
  if (groups < 2 || groups > GROUPS_MAX) return `${groups} codes, where 2 to 6 are allowed`
  const selectorCount = bits.read(15)
  if (selectorCount < 1) return 'no selectors'
  const order = Uint8Array.from({ length: groups }, (_, group) => group)
  for (let i = 0; i < selectorCount; i++) {
    let place = 0
    while (bits.read(1) !== 0) if (++place >= groups) return 'a selector of a code that is not there'
    const group = order[place] as number
    order.copyWithin(1, 0, place)
    order[0] = group
    selectors[i] = group
    if (bits.at > endBits) return 'short'
  }
  for (let group = 0; group < groups; group++) {
    let length = bits.read(5)
    for (let symbol = 0; symbol < symbolsUsed + 2; symbol++) {
      for (;;) {
        if (length < 1 || length > CODE_BITS_MAX) return 'a code of no possible length'
        if (bits.read(1) === 0) break
        length += bits.read(1) === 0 ? 1 : -1
        if (bits.at > endBits) return 'short'
      }
      lengths[symbol] = length
    }
    makeCode(group, symbolsUsed + 2)
  }
  return { groups, selectorCount, symbolsUsed, origin }
}

/** Canonical codes from their lengths: `limits`, `bases` and `perms` as in bzip2's huffman.c, and the table of short ones. */
function makeCode(group: number, symbolCount: number): void {
  const row = group * (CODE_BITS_MAX + 2)
  const start = group * SYMBOLS_MAX
  fast.fill(0, group << FAST_BITS, (group + 1) << FAST_BITS)
  perms.fill(0, start, start + SYMBOLS_MAX)
  let code = 0
  let index = 0
  for (let length = 1; length <= CODE_BITS_MAX; length++) {
    bases[row + length] = code - index
    for (let symbol = 0; symbol < symbolCount; symbol++) {
      if (lengths[symbol] !== length) continue
      perms[start + index] = symbol
      if (length <= FAST_BITS && code < 1 << length) {
        const first = (group << FAST_BITS) + (code << (FAST_BITS - length))
        fast.fill((symbol << 5) | length, first, first + (1 << (FAST_BITS - length)))
      }
      index++
      code++
    }
    limits[row + length] = code - 1
    code *= 2
  }
}

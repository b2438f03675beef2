/**
 * Chance from one seed: xoshiro128** (Blackman and Vigna, https://prng.di.unimi.it/), 32-bit integers only, so that every
 * machine draws the same numbers. Chances are ratios of whole numbers, never floats.
 */

export interface Ratio {
  readonly of: number
  readonly in: number
}

export class Prng {
  #a: number
  #b: number
  #c: number
  #d: number

  constructor(seed: number) {
    // SplitMix32 spreads a small seed over the state; an all-zero state cannot come out of four steps.
    let mixed = seed | 0
    const draw = (): number => {
      mixed = (mixed + 0x9e3779b9) | 0
      return finish(mixed)
    }
    this.#a = draw()
    this.#b = draw()
    this.#c = draw()
    this.#d = draw()
  }

  /** A whole number in 0..2^32 - 1. */
  next(): number {
    const b = this.#b
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9)
    this.#c ^= this.#a
    this.#d ^= b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= b << 9
    this.#d = rotate(this.#d, 11)
    return result >>> 0
  }

  /** A whole number in 0..bound - 1, each equally likely; bound is 1..2^32. */
  below(bound: number): number {
    // Numbers above the last full multiple of the bound would favour the small ones: they are drawn again.
    const fair = 0x1_0000_0000 - (0x1_0000_0000 % bound)
    for (;;) {
      const drawn = this.next()
      if (drawn < fair) return drawn % bound
    }
  }

  /** A whole number in first..last, both included; they may be up to 2^32 - 1 apart. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1)
  }

  chance(ratio: Ratio): boolean {
    return this.below(ratio.in) < ratio.of
  }

  /** One of them; throws RangeError when there is none. */
  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError('nothing to pick from')
    return choices[this.below(choices.length)] as T
  }

  /** In place (Fisher and Yates). */
  shuffle<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const moved = list[i] as T
      list[i] = list[j] as T
      list[j] = moved
    }
    return list
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length)
    for (let i = 0; i < length; i++) out[i] = this.next() >>> 24
    return out
  }

  /** A stream of its own: what is drawn from it does not move this one's later draws. */
  fork(label: string): Prng {
    return new Prng(hashText(this.next(), label))
  }
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits))
}

/** The finisher of MurmurHash3: each bit of the input moves half of the output's. */
function finish(x: number): number {
  let h = x
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) | 0
}

/** A stateless draw, 0..2^32 - 1: the same for the same three numbers, whenever it is asked. */
export function hash3(a: number, b: number, c: number): number {
  return finish(Math.imul(finish(Math.imul(a, 0x9e3779b1) ^ b), 0x85ebca77) ^ c) >>> 0
}

export function hashText(seed: number, text: string): number {
  let h = seed | 0
  for (let i = 0; i < text.length; i++) h = finish(Math.imul(h, 31) ^ text.charCodeAt(i))
  return h
}

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hash3, Prng } from '../sim/prng.ts'

describe('the generator of chance', () => {
  it('draws the same numbers for the same seed, on every machine', () => {
    const rng = new Prng(1)
    // Pinned: another build that draws other numbers could not replay a failing seed.
    expect([rng.next(), rng.next(), rng.next()]).toEqual([PINNED[0], PINNED[1], PINNED[2]])
    expect(hash3(1, 2, 3)).toBe(PINNED[3])
  })

  it('keeps below its bound, and reaches every number below it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer(), (bound, seed) => {
        const rng = new Prng(seed)
        const seen = new Set<number>()
        for (let i = 0; i < bound * 40; i++) seen.add(rng.below(bound))
        expect([...seen].every((value) => Number.isInteger(value) && value >= 0 && value < bound)).toBe(true)
        expect(seen.size).toBeGreaterThan(bound * 0.9)
      }),
      { numRuns: 50 },
    )
  })

  it('shuffles without losing or doubling', () => {
    const list = Array.from({ length: 100 }, (_, index) => index)
    const shuffled = new Prng(3).shuffle([...list])
    expect(shuffled).not.toEqual(list)
    expect([...shuffled].sort((a, b) => a - b)).toEqual(list)
  })

  it('forks streams that do not move each other', () => {
    const one = new Prng(9)
    const other = new Prng(9)
    const fork = one.fork('a')
    other.fork('a')
    for (let i = 0; i < 10; i++) fork.next()
    expect(one.next()).toBe(other.next())
    expect(new Prng(9).fork('a').next()).not.toBe(new Prng(9).fork('b').next())
  })

  it('meets a chance about as often as its ratio says', () => {
    const rng = new Prng(4)
    let met = 0
    for (let i = 0; i < 30_000; i++) if (rng.chance({ of: 1, in: 30 })) met++
    expect(met).toBeGreaterThan(900)
    expect(met).toBeLessThan(1_100)
  })
})

const PINNED: readonly number[] = [2442144158, 3238099751, 3819917871, 1716714578]

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RarestFirst } from '../../node/transfer/rarest-first.ts'

const PIECES = 12
const step = fc.record({
  what: fc.constantFrom('add', 'remove', 'more', 'less'),
  piece: fc.integer({ min: 0, max: PIECES - 1 }),
} as const)

describe('rarest first', () => {
  it('gives a wanted piece that the fewest have, whatever came and went before', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 200 }),
        fc.uint8Array({ maxLength: PIECES }),
        (steps, lacks) => {
          const rarest = new RarestFirst(PIECES)
          const wanted = new Set<number>()
          const counts = new Array<number>(PIECES).fill(0)
          const has = (piece: number) => !lacks.includes(piece)
          for (const { what, piece } of steps) {
            rarest[what](piece)
            if (what === 'add') wanted.add(piece)
            else if (what === 'remove') wanted.delete(piece)
            else counts[piece] = Math.max(0, (counts[piece] ?? 0) + (what === 'more' ? 1 : -1))
            const here = [...wanted].filter(has)
            const fewest = Math.min(...here.map((one) => counts[one] ?? 0))
            const got = rarest.first(has)
            if (here.length === 0) expect(got).toBe(-1)
            else
              expect({ wanted: here.includes(got), count: counts[got] }).toEqual({
                wanted: true,
                count: fewest,
              })
          }
        },
      ),
    )
  })

  it('gives every wanted piece once when each is taken', () => {
    const rarest = new RarestFirst(PIECES)
    for (let piece = 0; piece < PIECES; piece++) {
      for (let i = 0; i < piece % 3; i++) rarest.more(piece)
      rarest.add(piece)
    }
    const got: number[] = []
    for (let piece = rarest.first(() => true); piece !== -1; piece = rarest.first(() => true)) {
      got.push(piece)
      rarest.remove(piece)
    }
    expect(got.map((piece) => piece % 3)).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    expect(new Set(got).size).toBe(PIECES)
  })
})

/** What of a torrent's bytes is missing, as ranges to ask for. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { missingRanges } from '../../protocol/torrent/spans.ts'

const range = fc
  .tuple(fc.nat(500), fc.nat(500))
  .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }))

describe('missing ranges', () => {
  it('are those bytes of the range that lie in pieces which are not right, each once and in order', () => {
    fc.assert(
      fc.property(
        range,
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.boolean()),
        fc.nat(200),
        (whole, length, right, max) => {
          const isRight = (piece: number) => right[piece] === true
          const ranges = missingRanges(whole, length, isRight, max)
          const bytes = ranges.flatMap(({ start, end }) =>
            Array.from({ length: end - start }, (_, at) => start + at),
          )
          const expected = Array.from({ length: whole.end - whole.start }, (_, at) => whole.start + at)
          expect(bytes).toEqual(expected.filter((at) => !isRight(Math.floor(at / length))))
          for (const { start, end } of ranges) {
            expect(end).toBeGreaterThan(start)
            expect(end - start).toBeLessThanOrEqual(Math.max(max, length))
            for (const edge of [start, end])
              expect(edge % length === 0 || edge === whole.start || edge === whole.end).toBe(true)
          }
        },
      ),
    )
  })

  it('are as few as their greatest length allows', () => {
    expect(missingRanges({ start: 5, end: 95 }, 10, (piece) => piece === 4, 30)).toEqual([
      { start: 5, end: 30 },
      { start: 30, end: 40 },
      { start: 50, end: 80 },
      { start: 80, end: 95 },
    ])
  })
})

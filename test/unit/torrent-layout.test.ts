import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pieceCount, pieceLengthFor } from '../../protocol/torrent/piece-length.ts'
import { layoutOf, pieceSpans, piecesOfFile, spansOf } from '../../protocol/torrent/spans.ts'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

describe('piece length (PROTOCOL 2)', () => {
  it.each([
    [1, 16 * KiB],
    [32 * MiB, 16 * KiB],
    [32 * MiB + 1, 32 * KiB],
    [1 * GiB, 512 * KiB],
    [32 * GiB, 16 * MiB],
    [32 * GiB + 1, 16 * MiB],
    [2_000 * GiB, 16 * MiB],
  ])('of %i bytes is %i', (totalBytes, expected) => {
    expect(pieceLengthFor(totalBytes)).toBe(expected)
  })

  it('gives at most 2,048 pieces up to 32 GiB, and a shorter one would not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 * GiB }), (totalBytes) => {
        const length = pieceLengthFor(totalBytes)
        expect(pieceCount(totalBytes, length)).toBeLessThanOrEqual(2_048)
        if (length > 16 * KiB) expect(pieceCount(totalBytes, length / 2)).toBeGreaterThan(2_048)
      }),
    )
  })
})

describe('spans', () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 12 })

  it('of all pieces cover every byte of every file once and in order', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 40 }), (lengths, pieceLength) => {
        const layout = layoutOf(lengths.map((sizeBytes) => ({ sizeBytes })))
        const covered: string[] = []
        for (let piece = 0; piece < pieceCount(layout.totalBytes, pieceLength); piece++) {
          const spans = pieceSpans(layout, pieceLength, piece)
          expect(spans.every((span) => span.length > 0)).toBe(true)
          for (const span of spans) {
            for (let i = 0; i < span.length; i++) covered.push(`${span.file}:${span.offset + i}`)
          }
        }
        expect(covered).toEqual(
          lengths.flatMap((length, file) => Array.from({ length }, (_, i) => `${file}:${i}`)),
        )
      }),
    )
  })

  it('of a file are in the pieces that piecesOfFile names', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 40 }), (lengths, pieceLength) => {
        const layout = layoutOf(lengths.map((sizeBytes) => ({ sizeBytes })))
        const count = pieceCount(layout.totalBytes, pieceLength)
        lengths.forEach((_, file) => {
          const holding = Array.from({ length: count }, (_, piece) => piece).filter((piece) =>
            pieceSpans(layout, pieceLength, piece).some((span) => span.file === file),
          )
          const range = piecesOfFile(layout, pieceLength, file)
          expect(range === null ? [] : [range.first, range.last]).toEqual(
            holding.length === 0 ? [] : [holding[0], holding[holding.length - 1]],
          )
        })
      }),
    )
  })

  it('outside the torrent are refused', () => {
    const layout = layoutOf([{ sizeBytes: 10 }])
    expect(() => spansOf(layout, 5, 11)).toThrow(RangeError)
    expect(() => pieceSpans(layout, 4, 3)).toThrow(RangeError)
    expect(() => piecesOfFile(layout, 4, 1)).toThrow(RangeError)
  })
})

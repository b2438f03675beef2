/** Missing pieces from places that lack files, give no ranges, break, or lie: whatever they do, what counts as there is right. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OriginError } from '../../node/ports.ts'
import type { Place } from '../../node/sources/places.ts'
import { fetchPieces } from '../../node/sources/web-pieces.ts'
import { PieceFiles } from '../../node/transfer/piece-files.ts'
import type { Info } from '../../protocol/torrent/info.ts'
import { seededBytes } from '../support/shards.ts'

const PIECE = 64

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wikiseed-web-pieces-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** What a place does when it is asked for a file. `breaks`: half of the range, then an error of the network. */
type Manner = 'right' | 'lacks' | 'no-ranges' | 'wrong' | 'breaks' | 'too-long'
const manner = fc.constantFrom<Manner>('right', 'lacks', 'no-ranges', 'wrong', 'breaks', 'too-long')

function torrentOf(sizes: readonly number[]) {
  const contents = sizes.map((size, file) => Buffer.from(seededBytes(`file ${file}`, size)))
  const bytes = Buffer.concat(contents)
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += PIECE)
    pieces.push(
      createHash('sha1')
        .update(bytes.subarray(at, at + PIECE))
        .digest(),
    )
  const files = sizes.map((sizeBytes, file) => ({ path: `${file}`, sizeBytes }))
  const info: Info = { name: 'x', files, pieceLengthBytes: PIECE, pieces: Buffer.concat(pieces) }
  return { contents, info, totalBytes: bytes.length }
}

const scene = fc.record({
  sizes: fc
    .array(fc.nat(300), { minLength: 1, maxLength: 5 })
    .filter((sizes) => sizes.some((size) => size > 0)),
  /** Who has which bytes at the beginning, by file. */
  beginnings: fc.array(fc.nat(300), { minLength: 5, maxLength: 5 }),
  /** By place and file; the last place is the origin. */
  manners: fc.array(fc.array(manner, { minLength: 5, maxLength: 5 }), { minLength: 1, maxLength: 4 }),
  chunkBytes: fc.integer({ min: 1, max: 200 }),
})

describe('missing pieces over HTTP', () => {
  it('are brought right or told to be missing, in a bounded number of requests, whatever the places do', async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(scene, async ({ sizes, beginnings, manners, chunkBytes }) => {
        run++
        const { contents, info, totalBytes } = torrentOf(sizes)
        const paths = sizes.map((_, file) => join(folder, `${run}-${file}`))
        for (const [file, path] of paths.entries())
          writeFileSync(path, (contents[file] as Buffer).subarray(0, beginnings[file]))
        const places = manners.map((_, index): Place => {
          const isOrigin = index === manners.length - 1
          const label = `place ${index}`
          return { from: isOrigin ? null : { baseUrl: 'http://127.0.0.1/', label }, label, path: '' }
        })
        let requests = 0
        const named: string[] = []
        const files = new PieceFiles(info, paths)
        const { ranges } = await files.missing(
          { start: 0, end: totalBytes },
          { doubt: false, signal: undefined },
        )
        const mannerOf = (place: Place, file: number) => manners[places.indexOf(place)]?.[file] as Manner
        const result = await fetchPieces(ranges, {
          files,
          placesOf: () => places,
          async range(place, file, { start, end }, use) {
            requests++
            const how = mannerOf(place, file)
            if (how === 'lacks') throw new OriginError('not-found', 'none')
            if (how === 'no-ranges') throw new OriginError('no-ranges', 'none')
            // Each liar its own lie.
            const lie = how === 'wrong' ? 1 + places.indexOf(place) : 0
            const body = Buffer.from((contents[file] as Buffer).subarray(start, end)).map(
              (byte) => byte ^ lie,
            )
            const until = how === 'breaks' ? Math.floor(body.length / 2) : body.length
            for (let at = 0; at < until; at += chunkBytes)
              await use(body.subarray(at, Math.min(at + chunkBytes, until)))
            if (how === 'breaks') throw new OriginError('network', 'broke')
            if (how === 'too-long') throw new OriginError('no-ranges', 'more bytes')
          },
          onRefused: () => {},
          onWrong: (label, file) => void named.push(`${label} ${file}`),
        }).catch((error: unknown) => error)
        await files.close()
        // Every request that is refused takes a place from a file; every other one ends a range of it.
        expect(requests).toBeLessThanOrEqual(
          (ranges.length + places.length) * sizes.length + places.length * 5,
        )
        if (result instanceof OriginError) {
          expect(result.code).toBe('network')
          return
        }
        if (result instanceof Error) throw result
        const { lacking, wholeOnly, unproven, isDoubtful } = result as Awaited<ReturnType<typeof fetchPieces>>
        for (const file of wholeOnly) expect(lacking.has(file)).toBe(true)
        // Somebody else gave the right piece: who is named lied, about one of its files.
        for (const one of named)
          expect(manners[Number(one.split(' ')[1])]?.slice(0, sizes.length)).toContain('wrong')
        if (isDoubtful) return
        for (const [file, path] of paths.entries()) {
          if (lacking.has(file) || unproven.has(file)) continue
          expect(readFileSync(path).equals(contents[file] as Buffer)).toBe(true)
        }
        // Nothing is unproven but beside what is lacking.
        if (unproven.size > 0) expect(lacking.size).toBeGreaterThan(0)
        // Who had a right place for every file got everything.
        const isEasy = sizes.every((_, file) =>
          manners.every((of) => of[file] === 'right' || of[file] === 'lacks'),
        )
        const isThere = sizes.every((_, file) => manners.some((of) => of[file] === 'right'))
        if (isEasy && isThere) expect(lacking.size).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  it('name nobody when two gave parts of a wrong piece, and who gave it alone', async () => {
    const { info, contents, totalBytes } = torrentOf([PIECE])
    const named: string[] = []
    const place = (label: string): Place => ({
      from: { baseUrl: 'http://127.0.0.1/', label },
      label,
      path: '',
    })
    const files = new PieceFiles(info, [join(folder, 'file')])
    await fetchPieces([{ start: 0, end: totalBytes }], {
      files,
      placesOf: () => ['breaks', 'lies', 'lies alone', 'right'].map(place),
      range: async ({ label }, _, { start, end }, use) => {
        const right = (contents[0] as Buffer).subarray(start, end)
        if (label === 'breaks') {
          await use(right.subarray(0, 10))
          throw new OriginError('network', 'broke')
        }
        const lie = label === 'lies' ? 1 : label === 'lies alone' ? 2 : 0
        await use(right.map((byte) => byte ^ lie))
      },
      onRefused: () => {},
      onWrong: (label) => void named.push(label),
    })
    await files.close()
    expect(named).toEqual(['lies alone'])
    expect(readFileSync(join(folder, 'file')).equals(contents[0] as Buffer)).toBe(true)
  })

  it('that two places give alike, and not as the hash says, make the hash doubtful', async () => {
    const { info, contents, totalBytes } = torrentOf([200])
    const bent = { ...info, pieces: info.pieces.map((byte) => byte ^ 1) }
    const files = new PieceFiles(bent, [join(folder, 'file')])
    const place = (label: string): Place => ({
      from: { baseUrl: 'http://127.0.0.1/', label },
      label,
      path: '',
    })
    const asked: string[] = []
    const result = await fetchPieces([{ start: 0, end: totalBytes }], {
      files,
      placesOf: () => ['a', 'b', 'c'].map(place),
      range: async ({ label }, _, { start, end }, use) => {
        asked.push(label)
        await use((contents[0] as Buffer).subarray(start, end))
      },
      onRefused: () => {},
      onWrong: () => {},
    })
    await files.close()
    expect([result.isDoubtful, asked]).toEqual([true, ['a', 'b']])
  })
})

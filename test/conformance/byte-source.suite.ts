/** What every ByteSource must do. An adapter runs it by passing how a file with these bytes is opened. */
import { afterEach, describe, expect, it } from 'vitest'
import type { ByteSource } from '../../node/reading/byte-source.ts'
import { seededBytes } from '../support/shards.ts'

/** What a test opens, and what is closed after it. */
export type SourceFactory = (bytes: Uint8Array) => Promise<{ source: ByteSource; close: () => Promise<void> }>

export function byteSourceSuite(name: string, make: SourceFactory): void {
  describe(`byte source: ${name}`, () => {
    const bytes = new Uint8Array(seededBytes('source', 100_000))
    const open: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const close of open.splice(0)) await close()
    })
    const source = async (of = bytes): Promise<ByteSource> => {
      const made = await make(of)
      open.push(made.close)
      return made.source
    }

    it('tells its size and gives any range of its bytes', async () => {
      const file = await source()
      expect(file.sizeBytes).toBe(bytes.length)
      for (const [start, end] of [
        [0, bytes.length],
        [0, 1],
        [16_383, 16_385],
        [99_999, 100_000],
        [40_000, 40_000],
      ] as const) {
        expect(new Uint8Array(await file.read(start, end))).toEqual(bytes.slice(start, end))
      }
    })

    it('gives several ranges at once, and the same one again', async () => {
      const file = await source()
      const starts = [0, 7, 16_384, 50_000, 99_000, 7]
      const got = await Promise.all(starts.map((start) => file.read(start, start + 1_000)))
      got.forEach((one, index) => {
        const start = starts[index] ?? 0
        expect(new Uint8Array(one)).toEqual(bytes.slice(start, start + 1_000))
      })
    })

    it('refuses ranges that the file does not have', async () => {
      const file = await source()
      for (const [start, end] of [
        [0, bytes.length + 1],
        [-1, 1],
        [2, 1],
        [0.5, 1],
        [Number.NaN, 1],
      ] as const) {
        await expect(file.read(start, end)).rejects.toThrow(RangeError)
      }
    })

    it('does not read when the signal has aborted', async () => {
      const file = await source()
      const reading = file.read(0, bytes.length, AbortSignal.abort())
      await expect(reading).rejects.toMatchObject({ name: 'SourceError', code: 'aborted' })
    })
  })
}

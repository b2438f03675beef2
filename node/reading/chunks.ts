/** Whole files piece by piece: as they lie there, or unpacked. */
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { plainBzip2Decoder } from '../structure/bzip2.ts'
import { Broken, NotRead } from '../structure/finding.ts'
import type { ByteSource } from './byte-source.ts'
import { DumpFormatError } from './multistream.ts'

const CHUNK_BYTES = 1024 * 1024
/** What the decoder may give at once, out of about 2 MB: zeros pack to less than a thousandth. */
const BURST_BYTES_MAX = 256 * 1024 * 1024

/** Rejects with SourceError. */
export async function* chunksOf(source: ByteSource, signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < source.sizeBytes; at += CHUNK_BYTES)
    yield await source.read(at, Math.min(at + CHUNK_BYTES, source.sizeBytes), signal)
}

/** The next item is asked for while the one before is used. */
export async function* ahead<T>(items: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  let next = items.next()
  try {
    for (;;) {
      const { done, value } = await next
      if (done === true) return
      next = items.next()
      // An error is told when it is its turn.
      next.catch(() => {})
      yield value
    }
  } finally {
    await items.return()
  }
}

/** By the ending of the name: `.gz`, `.bz2`, or as it is. Rejects with what the chunks reject with, or DumpFormatError. */
export async function* unpacked(
  name: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  if (name.endsWith('.gz')) yield* gunzipped(name, chunks)
  else if (name.endsWith('.bz2')) yield* bunzipped(name, chunks)
  else yield* chunks
}

async function* gunzipped(name: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const gunzip = createGunzip()
  const input = Readable.from(chunks)
  input.on('error', (error) => gunzip.destroy(error))
  try {
    for await (const chunk of input.pipe(gunzip)) yield chunk as Uint8Array
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))
      throw new DumpFormatError(`${name} cannot be decompressed: ${error.message}`, { cause: error })
    throw error
  } finally {
    input.destroy()
    gunzip.destroy()
  }
}

async function* bunzipped(name: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let pieces: Uint8Array[] = []
  let piecesBytes = 0
  const decoder = plainBzip2Decoder((piece) => {
    piecesBytes += piece.length
    if (piecesBytes > BURST_BYTES_MAX)
      throw new DumpFormatError(`${name} unpacks to much more than any dump does`)
    pieces.push(piece.slice())
  })
  const taken = () => {
    const whole = pieces
    pieces = []
    piecesBytes = 0
    return whole
  }
  try {
    for await (const chunk of chunks) {
      decoder.push(chunk)
      yield* taken()
    }
    decoder.end()
    yield* taken()
  } catch (error) {
    if (error instanceof Broken || error instanceof NotRead)
      throw new DumpFormatError(`${name} cannot be decompressed: ${error.message}`, { cause: error })
    throw error
  } finally {
    decoder.close()
  }
}

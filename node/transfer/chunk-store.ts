/**
 * Pieces of one torrent on disk, by way of the shared pool of open files. The engine's default store caches twenty whole
 * pieces a torrent and never closes a file: this one is what makes hundreds of torrents in a process possible.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Info } from '../../protocol/torrent/info.ts'
import { type Layout, layoutOf, type Span, spansOf } from '../../protocol/torrent/spans.ts'
import { type FileTime, fileTime } from '../files/file-time.ts'
import { TorrentError } from '../ports.ts'
import type { FilePool } from './file-pool.ts'
import { diskError } from './torrent-errors.ts'

/** A peer asks for a piece's blocks of 16 KiB one after the other: so much is read at once. */
const WINDOW_BYTES = 256 * 1024

export class ChunkStore {
  readonly #pool: FilePool
  readonly #paths: readonly string[]
  readonly #sizes: readonly number[]
  readonly #times: readonly FileTime[]
  readonly #layout: Layout
  readonly #pieceLengthBytes: number
  readonly #underWay = new Set<Promise<unknown>>()
  #closed = false

  /**
   * `root` holds the torrent's name folder. Of files whose `times` are given nothing is read once they are not as these say; in the
   * torrent's order.
   */
  constructor(pool: FilePool, root: string, info: Info, times: readonly FileTime[] = []) {
    this.#pool = pool
    this.#paths = info.files.map((file) => join(root, info.name, file.path))
    this.#sizes = info.files.map((file) => file.sizeBytes)
    this.#times = times
    this.#layout = layoutOf(info.files)
    this.#pieceLengthBytes = info.pieceLengthBytes
  }

  get totalBytes(): number {
    return this.#layout.totalBytes
  }

  /** Bytes of a piece, or of a block of it. Rejects with RangeError when the torrent has no such bytes. */
  async get(piece: number, offset = 0, length?: number): Promise<Buffer> {
    const pieceStart = piece * this.#pieceLengthBytes
    const pieceEnd = Math.min(pieceStart + this.#pieceLengthBytes, this.#layout.totalBytes)
    const start = pieceStart + offset
    const end = length === undefined ? pieceEnd : start + length
    if (!(offset >= 0 && start <= end && end <= pieceEnd)) {
      throw new RangeError(`no such block: piece ${piece}, ${length} bytes at ${offset}`)
    }
    const block = length === undefined ? null : this.#block(pieceStart, pieceEnd, start, end)
    if (block !== null) return block
    const buffer = Buffer.allocUnsafeSlow(end - start)
    await this.#each(start, end, (path, span, at) =>
      this.#pool.read(path, buffer.subarray(at, at + span.length), span.offset, this.#times[span.file]),
    )
    return buffer
  }

  /** The block by way of its window; null when one of them lies in several files. */
  #block(pieceStart: number, pieceEnd: number, start: number, end: number): Promise<Buffer> | null {
    if (this.#closed) return null
    const windowStart = start - ((start - pieceStart) % WINDOW_BYTES)
    const windowEnd = Math.min(windowStart + WINDOW_BYTES, pieceEnd)
    if (end > windowEnd || end === start) return null
    const [span, ...more] = spansOf(this.#layout, windowStart, windowEnd)
    if (span === undefined || more.length > 0) return null
    const window = { start: span.offset, length: span.length }
    const position = span.offset + start - windowStart
    return this.#track(() =>
      this.#pool.readBlock(
        this.#paths[span.file] ?? '',
        window,
        position,
        end - start,
        this.#times[span.file],
      ),
    )
  }

  /** Bytes of a block that are on their way by way of the system: their memory may be used again. */
  sent(bytes: Uint8Array): void {
    this.#pool.sent(bytes)
  }

  async put(piece: number, bytes: Uint8Array): Promise<void> {
    const start = piece * this.#pieceLengthBytes
    await this.#each(start, start + bytes.length, (path, span, at) =>
      this.#pool.write(path, bytes.subarray(at, at + span.length), span.offset),
    )
  }

  /** After the last piece: every file has its exact size and is on disk. */
  async seal(): Promise<void> {
    // One after the other: each is an fsync, and a disk does them no faster in parallel.
    for (const [i, path] of this.#paths.entries()) await this.#pool.seal(path, this.#sizes[i] ?? 0)
  }

  /** Waits for what is under way and closes the torrent's files; then they may be moved. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#underWay)
    await this.#pool.release(this.#paths)
  }

  #each(
    start: number,
    end: number,
    operation: (path: string, span: Span, at: number) => Promise<void>,
  ): Promise<void> {
    return this.#track(async () => {
      let at = 0
      for (const span of spansOf(this.#layout, start, end)) {
        await operation(this.#paths[span.file] ?? '', span, at)
        at += span.length
      }
    })
  }

  /** `close` waits for what is under way. */
  #track<T>(run: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new Error('the torrent is closed'))
    const running = run().finally(() => this.#underWay.delete(running))
    this.#underWay.add(running)
    return running
  }
}

/** Seeding claims every piece unseen, so at least every file must be there with its size. Times in the torrent's order. */
export async function checkSizes(root: string, info: Info): Promise<FileTime[]> {
  const times: FileTime[] = []
  for (const file of info.files) {
    const path = join(root, info.name, file.path)
    const time = fileTime(
      await stat(path).catch((error: Error) => {
        throw diskError(error)
      }),
    )
    if (time.sizeBytes !== file.sizeBytes) {
      throw new TorrentError('disk', `${path} has ${time.sizeBytes} bytes instead of ${file.sizeBytes}`)
    }
    times.push(time)
  }
  return times
}

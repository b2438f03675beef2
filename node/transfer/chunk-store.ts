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
import type { BlockSource } from './block-answers.ts'
import { BlockMemory } from './block-memory.ts'
import type { FilePool } from './file-pool.ts'
import { diskError } from './torrent-errors.ts'

export class ChunkStore implements BlockSource {
  readonly memory: BlockMemory
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
  constructor(
    pool: FilePool,
    root: string,
    info: Info,
    times: readonly FileTime[] = [],
    memory = new BlockMemory(),
  ) {
    this.memory = memory
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
    const start = piece * this.#pieceLengthBytes
    const wholeBytes = Math.min(this.#pieceLengthBytes, this.#layout.totalBytes - start)
    const spans = this.spans(piece, offset, length ?? wholeBytes - offset)
    if (spans === null) throw new RangeError(`no such block: piece ${piece}, ${length} bytes at ${offset}`)
    const buffer = Buffer.allocUnsafeSlow(spans.reduce((sum, span) => sum + span.length, 0))
    await this.#each(spans, (path, span, at) =>
      this.#pool.read(path, buffer.subarray(at, at + span.length), span.offset, this.#times[span.file]),
    )
    return buffer
  }

  spans(piece: number, offset: number, length: number): Span[] | null {
    const pieceStart = piece * this.#pieceLengthBytes
    const pieceEnd = Math.min(pieceStart + this.#pieceLengthBytes, this.#layout.totalBytes)
    const start = pieceStart + offset
    if (!(pieceStart >= 0 && offset >= 0 && length > 0 && start + length <= pieceEnd)) return null
    return spansOf(this.#layout, start, start + length)
  }

  read(file: number, buffers: readonly Uint8Array[], position: number): Promise<void> {
    return this.#track(() =>
      this.#pool.readEach(this.#paths[file] ?? '', buffers, position, this.#times[file]),
    )
  }

  async put(piece: number, bytes: Uint8Array): Promise<void> {
    const start = piece * this.#pieceLengthBytes
    await this.#each(spansOf(this.#layout, start, start + bytes.length), (path, span, at) =>
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
    spans: readonly Span[],
    operation: (path: string, span: Span, at: number) => Promise<void>,
  ): Promise<void> {
    return this.#track(async () => {
      let at = 0
      for (const span of spans) {
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

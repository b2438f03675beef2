/**
 * Pieces of one torrent on disk, by way of the shared pool of open files. The engine's default store caches twenty whole
 * pieces a torrent and never closes a file: this one is what makes hundreds of torrents in a process possible.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Info } from '../../protocol/torrent/info.ts'
import { type Layout, layoutOf, type Span, spansOf } from '../../protocol/torrent/spans.ts'
import { TorrentError } from '../ports.ts'
import type { FilePool } from './file-pool.ts'
import { diskError } from './torrent-errors.ts'

export class ChunkStore {
  readonly #pool: FilePool
  readonly #paths: readonly string[]
  readonly #sizes: readonly number[]
  readonly #layout: Layout
  readonly #pieceLengthBytes: number
  readonly #underWay = new Set<Promise<void>>()
  #closed = false

  /** `root` holds the torrent's name folder. */
  constructor(pool: FilePool, root: string, info: Info) {
    this.#pool = pool
    this.#paths = info.files.map((file) => join(root, info.name, file.path))
    this.#sizes = info.files.map((file) => file.sizeBytes)
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
    const buffer = Buffer.allocUnsafeSlow(end - start)
    await this.#each(start, end, (path, span, at) =>
      this.#pool.read(path, buffer.subarray(at, at + span.length), span.offset),
    )
    return buffer
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
    if (this.#closed) return Promise.reject(new Error('the torrent is closed'))
    const run = async () => {
      let at = 0
      for (const span of spansOf(this.#layout, start, end)) {
        await operation(this.#paths[span.file] ?? '', span, at)
        at += span.length
      }
    }
    const running = run().finally(() => this.#underWay.delete(running))
    this.#underWay.add(running)
    return running
  }
}

/** Seeding claims every piece unseen, so at least every file must be there with its size. */
export async function checkSizes(root: string, info: Info): Promise<void> {
  for (const file of info.files) {
    const path = join(root, info.name, file.path)
    const { size } = await stat(path).catch((error: Error) => {
      throw diskError(error)
    })
    if (size !== file.sizeBytes) {
      throw new TorrentError('disk', `${path} has ${size} bytes instead of ${file.sizeBytes}`)
    }
  }
}

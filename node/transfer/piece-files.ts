/**
 * A torrent's files on disk, or some of them, piece by piece: what is there is held against the pieces' hashes, what is missing is
 * written to its place. Whoever brings bytes, peers or servers, goes on from the same files.
 */
import { equalBytes } from '../../protocol/codec/bytes.ts'
import { type Info, PIECE_HASH_BYTES } from '../../protocol/torrent/info.ts'
import {
  type ByteRange,
  type Layout,
  layoutOf,
  missingRanges,
  pieceSpans,
  spansOf,
} from '../../protocol/torrent/spans.ts'
import { sizeOf } from '../files/disk.ts'
import { FilePool } from './file-pool.ts'
import { isMissing } from './torrent-errors.ts'

/** Asked for at once of one place, unless a single piece is longer. */
const RANGE_BYTES_MAX = 32 * 1024 * 1024
const OPEN_FILES_MAX = 8

export class PieceFiles {
  readonly info: Info
  readonly layout: Layout
  readonly #paths: readonly (string | null)[]
  readonly #pool = new FilePool(OPEN_FILES_MAX)

  /** `paths`: where each file of the torrent lies; null: it is not here. */
  constructor(info: Info, paths: readonly (string | null)[]) {
    this.info = info
    this.layout = layoutOf(info.files)
    this.#paths = paths
  }

  /** Bytes of one file. Throws RangeError when there is no such file. */
  rangeOf(file: number): ByteRange {
    const { [file]: start, [file + 1]: end } = this.layout.starts
    if (start === undefined || end === undefined) throw new RangeError(`file ${file}`)
    return { start, end }
  }

  /** SHA-1 of a piece as it lies on disk; null when not all of it is there. Rejects with the file system's error. */
  async sha1(piece: number): Promise<Uint8Array | null> {
    const spans = pieceSpans(this.layout, this.info.pieceLengthBytes, piece)
    const bytes = new Uint8Array(spans.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const { file, offset, length } of spans) {
      const path = this.#paths[file] ?? null
      if (path === null) return null
      try {
        await this.#pool.read(path, bytes.subarray(at, at + length), offset)
      } catch (error) {
        if (error instanceof Error && isMissing(error)) return null
        throw error
      }
      at += length
    }
    // In a thread of the system's pool: a piece may have 16 MiB.
    return new Uint8Array(await crypto.subtle.digest('SHA-1', bytes))
  }

  isHash(piece: number, sha1: Uint8Array | null): boolean {
    const at = piece * PIECE_HASH_BYTES
    return sha1 !== null && equalBytes(sha1, this.info.pieces.subarray(at, at + PIECE_HASH_BYTES))
  }

  /**
   * What is missing of a range, as ranges of pieces to ask for. A piece that lies in files which are not here cannot be proven: what is
   * here of it is believed when its neighbour is right, unless `doubt`. Rejects with the file system's error, or the signal's reason.
   */
  async missing(
    range: ByteRange,
    { doubt, signal }: { doubt: boolean; signal: AbortSignal | undefined },
  ): Promise<{ readonly ranges: readonly ByteRange[]; readonly rightBytes: number }> {
    const length = this.info.pieceLengthBytes
    const first = Math.floor(range.start / length)
    const last = Math.ceil(range.end / length) - 1
    const right = new Set<number>()
    for (let piece = first; piece <= last; piece++) {
      signal?.throwIfAborted()
      if (this.isHash(piece, await this.sha1(piece))) right.add(piece)
    }
    const rightBytes = range.end - range.start - sum(this.#ranges(range, right))
    if (!doubt) {
      if (right.has(first + 1) && !this.#isHere(first)) right.add(first)
      if (right.has(last - 1) && !this.#isHere(last) && (await this.#isLong(range.end))) right.add(last)
    }
    return { ranges: this.#ranges(range, right), rightBytes }
  }

  /** Writes bytes of the concatenation, which must lie in files that are here. Rejects with the file system's error. */
  async write(start: number, bytes: Uint8Array): Promise<void> {
    let at = 0
    for (const { file, offset, length } of spansOf(this.layout, start, start + bytes.length)) {
      const path = this.#paths[file] ?? null
      if (path === null) throw new RangeError(`file ${file} is not here`)
      await this.#pool.write(path, bytes.subarray(at, at + length), offset)
      at += length
    }
  }

  /** Brings a file of which every byte is here to its exact size, durably. Rejects with the file system's error. */
  async seal(file: number): Promise<void> {
    const { start, end } = this.rangeOf(file)
    const path = this.#paths[file] ?? null
    if (path === null) throw new RangeError(`file ${file} is not here`)
    await this.#pool.seal(path, end - start)
  }

  close(): Promise<void> {
    return this.#pool.close()
  }

  #ranges(range: ByteRange, right: ReadonlySet<number>): ByteRange[] {
    return missingRanges(range, this.info.pieceLengthBytes, (piece) => right.has(piece), RANGE_BYTES_MAX)
  }

  /** Whether every file of a piece is. */
  #isHere(piece: number): boolean {
    const spans = pieceSpans(this.layout, this.info.pieceLengthBytes, piece)
    return spans.every(({ file }) => (this.#paths[file] ?? null) !== null)
  }

  /** Whether the file that holds the bytes before `end` reaches up to there. */
  async #isLong(end: number): Promise<boolean> {
    const [span] = spansOf(this.layout, end - 1, end)
    const path = span === undefined ? null : (this.#paths[span.file] ?? null)
    return path !== null && span !== undefined && (await sizeOf(path)) > span.offset
  }
}

const sum = (ranges: readonly ByteRange[]): number =>
  ranges.reduce((bytes, { start, end }) => bytes + end - start, 0)

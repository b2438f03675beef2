/**
 * The dump files of a shard over HTTP: each from the first place that has it with the right size, going on elsewhere in the middle of
 * a file when a place fails. A place whose bytes had the wrong digest is dropped for that file and named.
 */
import type { ShardKey } from '../../protocol/ids.ts'
import type { Shard, ShardFile } from '../../protocol/shard/shard.ts'
import type { ByteRange } from '../../protocol/torrent/spans.ts'
import { sizeOf } from '../files/disk.ts'
import { type Clock, type Log, type Origin, OriginError, type OriginErrorCode } from '../ports.ts'
import type { PieceFiles } from '../transfer/piece-files.ts'
import { type KnownSources, type Place, placesOf } from './places.ts'
import { fetchPieces, TROUBLE, type WebPiecesResult } from './web-pieces.ts'

export interface WebFilesParts {
  readonly origin: Origin
  readonly sources: KnownSources
  readonly isArchived: (shard: ShardKey) => boolean
  readonly clock: Clock
  readonly log: Log
}

/** A place that gave bytes which are not upstream's. */
export interface BadSource {
  readonly source: string
  readonly shard: ShardKey
  readonly path: string
  readonly atMs: number
}

/** By file path: who gave bytes of it; none when it was whole before. */
export type Givers = ReadonlyMap<string, readonly string[]>

export interface WebOptions {
  /** Increments of what comes, and whether it is from the origin. */
  readonly onBytes: (count: number, isFromOrigin: boolean) => void
  /** Bytes of a file that were there before. */
  readonly onFound: (count: number) => void
  /** Paths of files that are not taken for what is there, though they have their size: they came in pieces, not whole. */
  readonly anew?: ReadonlySet<string>
  readonly signal: AbortSignal
}

/** Files of one shard under download at once; the host limiter bounds the node as a whole. */
const FILES_AT_ONCE = 2
/** A host that did not answer is asked last for so long. */
const REST_MS = 300_000
const BAD_MAX = 1_000

export class WebFiles {
  readonly #parts: WebFilesParts
  readonly #restUntilMs = new Map<string, number>()
  readonly #bad: BadSource[] = []

  constructor(parts: WebFilesParts) {
    this.#parts = parts
  }

  /** Oldest first. */
  get bad(): readonly BadSource[] {
    return this.#bad
  }

  /**
   * Brings every file to its whole size below `pathOf`. Rejects with the origin's OriginError when no place has a file, or with the
   * file system's error; what came stays.
   */
  async fetch(shard: Shard, pathOf: (path: string) => string, options: WebOptions): Promise<Givers> {
    const givers = new Map<string, readonly string[]>()
    const waiting = [...shard.files]
    const work = async () => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
        const path = pathOf(file.path)
        const before = await sizeOf(path)
        const isAnew = options.anew?.has(file.path) === true
        if (!isAnew) options.onFound(Math.min(before, file.sizeBytes))
        // Whole, perhaps not synced: digests judge it, and installing syncs it.
        const isWhole = before === file.sizeBytes && file.sizeBytes > 0 && !isAnew
        const from = isWhole ? [] : await this.#one(shard, file, path, options)
        givers.set(file.path, from)
      }
    }
    const ended = await Promise.allSettled(Array.from({ length: FILES_AT_ONCE }, work))
    const failed = ended.find((one) => one.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return givers
  }

  /**
   * Brings ranges of the shard's torrent from the same places; `files` are where they come to lie. Rejects as `fetch` does when all
   * places of a file are in trouble.
   */
  fetchPieces(
    shard: Shard,
    files: PieceFiles,
    ranges: readonly ByteRange[],
    { onBytes, signal }: WebOptions,
  ): Promise<WebPiecesResult> {
    const { origin } = this.#parts
    const fileAt = (index: number): ShardFile => {
      const file = shard.files[index]
      if (file === undefined) throw new RangeError(`file ${index}`)
      return file
    }
    return fetchPieces(ranges, {
      files,
      placesOf: (index) => this.#left(shard, fileAt(index).path),
      range: ({ from, path }, index, range, use) =>
        origin.range({ path, sizeBytes: fileAt(index).sizeBytes }, range, use, {
          onBytes: (count) => onBytes(count, from === null),
          signal,
          ...(from === null ? {} : { from }),
        }),
      onRefused: (place, index, code) => this.#refused(place, fileAt(index).path, code),
      onWrong: (label, index) => this.#name(shard, fileAt(index).path, label),
    })
  }

  /**
   * The bytes of these givers were wrong. True: there is somebody else to ask for the file, the origin at least; or nobody was asked
   * yet, and it was there before.
   */
  blame(shard: Shard, path: string, givers: readonly string[]): boolean {
    const strangers = givers.filter((label) => label !== this.#parts.sources.originLabel)
    // Of several nobody can tell who it was; the origin is asked again when it was not alone.
    for (const source of strangers.length > 0 ? strangers : givers) this.#name(shard, path, source)
    return strangers.length > 0 || givers.length === 0
  }

  #name(shard: Shard, path: string, source: string): void {
    const { clock, log } = this.#parts
    log.warn({ source, shard: shard.key, file: path }, 'a source gave wrong bytes')
    this.#bad.push({ source, shard: shard.key, path, atMs: clock.wallMs() })
    if (this.#bad.length > BAD_MAX) this.#bad.shift()
  }

  async #one(
    shard: Shard,
    file: ShardFile,
    toPath: string,
    { onBytes, anew, signal }: WebOptions,
  ): Promise<readonly string[]> {
    const { origin } = this.#parts
    const isAnew = anew?.has(file.path) === true
    let last: unknown = null
    for (const place of this.#left(shard, file.path)) {
      const count = (received: number) => onBytes(received, place.from === null)
      const options = {
        anew: isAnew,
        onBytes: count,
        signal,
        ...(place.from === null ? {} : { from: place.from }),
      }
      try {
        return await origin.download({ path: place.path, sizeBytes: file.sizeBytes }, toPath, options)
      } catch (error) {
        if (!(error instanceof OriginError) || error.code === 'aborted') throw error
        // The origin's word is the one that counts, wherever it stands in the order.
        if (last === null || place.from === null) last = error
        this.#refused(place, file.path, error.code)
      }
    }
    throw last
  }

  /** Places that may still be asked for a file; those in trouble last. */
  #left(shard: Shard, path: string): Place[] {
    const { sources, isArchived, clock } = this.#parts
    const bad = new Set(
      this.#bad.filter((one) => one.shard === shard.key && one.path === path).map((one) => one.source),
    )
    const nowMs = clock.monotonicMs()
    const rests = (place: Place) => Number((this.#restUntilMs.get(hostOf(place)) ?? 0) > nowMs)
    return placesOf(sources, shard, path, isArchived(shard.key))
      .filter((place) => place.from === null || !bad.has(place.label))
      .sort((a, b) => rests(a) - rests(b))
  }

  #refused(place: Place, path: string, code: OriginErrorCode): void {
    const { clock, log } = this.#parts
    if (TROUBLE.includes(code)) this.#restUntilMs.set(hostOf(place), clock.monotonicMs() + REST_MS)
    log.debug({ source: place.label, file: path, code }, 'a source does not have a file')
  }
}

/** Two items of the Archive are one host. */
const hostOf = ({ label }: Place): string => label.split('/')[0] ?? label

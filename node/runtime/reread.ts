/**
 * Reads everything that is held again once in 30 days, within a bandwidth that leaves the disks to others: bits rot where nobody
 * looks, and what nobody asks for nobody would notice. One shard after the other, the longest unread first; where it was is kept.
 */
import { createHash } from 'node:crypto'
import type { Infohash } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import type { Info } from '../../protocol/torrent/info.ts'
import { layoutOf, spansOf } from '../../protocol/torrent/spans.ts'
import type { Sleep } from '../origin/pace.ts'
import type { Pace } from '../pace/pacer.ts'
import type { Clock, Log } from '../ports.ts'
import type { HeldFiles, HeldRecord } from '../store/held-files.ts'
import { ChunkStore } from '../transfer/chunk-store.ts'
import { FilePool } from '../transfer/file-pool.ts'
import { HeldTorrent } from '../transfer/held-torrent.ts'
import { readTorrent } from '../transfer/seed-source.ts'
import type { ShardFiles } from '../transfer/shard-files.ts'

export interface RereadParts {
  readonly files: ShardFiles
  readonly held: HeldFiles
  /** What is held now. */
  readonly list: () => Iterable<{ readonly shard: Shard; readonly infohash: Infohash }>
  /** Reads a doubted copy again, names what is damaged and has it repaired. */
  readonly check: (shard: Shard) => Promise<readonly string[]>
  /** Resolves when so many bytes may have been read. */
  readonly pace: Pace
  readonly sleep: Sleep
  readonly clock: Clock
  readonly log: Log
}

export const REREAD_EVERY_MS = 30 * 24 * 3_600_000
/** What may have become due meanwhile is looked for this often. */
const LOOK_EVERY_MS = 10 * 60_000
const BLOCK_BYTES = 256 * 1024
/** So much is read twice at most when the process ends in between. */
const SAVE_EVERY_BYTES = 256 * 1024 * 1024
const OPEN_FILES_MAX = 2

export class Reread {
  readonly #parts: RereadParts
  readonly #abort = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(parts: RereadParts) {
    this.#parts = parts
  }

  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#abort.signal.aborted)
        this.#parts.log.error({ error: String(error) }, 'held shards are no longer read again')
    })
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      const due = this.#due()
      if (due === null) await this.#parts.sleep(LOOK_EVERY_MS, signal)
      else await this.#read(due.shard, due.infohash)
    }
  }

  /** The longest unread of those whose time has come. Without a record it was not looked at yet, and has no time. */
  #due(): { shard: Shard; infohash: Infohash } | null {
    const { list, held, clock } = this.#parts
    let oldestMs = clock.wallMs() - REREAD_EVERY_MS
    let due: { shard: Shard; infohash: Infohash } | null = null
    for (const one of list()) {
      const verifiedAtMs = held.verifiedAtMs(one.infohash)
      if (verifiedAtMs === null || verifiedAtMs > oldestMs) continue
      oldestMs = verifiedAtMs
      due = one
    }
    return due
  }

  async #read(shard: Shard, infohash: Infohash): Promise<void> {
    const { files, held, check, clock, log } = this.#parts
    const { signal } = this.#abort
    const record = await held.get(infohash)
    if (record === null) return
    const wrong = await this.#wrong(shard, infohash, record).catch((error: Error) => [error.message])
    signal.throwIfAborted()
    if (!this.#isHeld(infohash)) return
    if (wrong.length > 0) {
      log.warn({ shard: shard.key, wrong }, 'a held shard is not what it was when it was verified')
      // Reads it whole, and says to the core which files are damaged; it is fetched again from the swarm.
      const damaged = await check(shard)
      if (damaged.length > 0) return
    }
    log.info({ shard: shard.key, mirror: files.mirror }, 'a held shard was read again')
    // Also of one that could not be read this time and then was whole: else it would be its turn for ever.
    const now = (await held.get(infohash)) ?? record
    await held.put(infohash, { ...now, verifiedAtMs: clock.wallMs(), rereadPieces: 0 })
  }

  /** Reads on from the last kept piece to the first wrong one; the files that it belongs to. */
  async #wrong(shard: Shard, infohash: Infohash, record: HeldRecord): Promise<string[]> {
    const { files, held } = this.#parts
    const { info } = readTorrent(await new HeldTorrent(shard, infohash, files, held).torrent(), infohash)
    const pool = new FilePool(OPEN_FILES_MAX)
    const store = new ChunkStore(pool, files.mirror, info)
    const count = info.pieces.length / 20
    let unsavedBytes = 0
    try {
      for (let piece = Math.min(record.rereadPieces, count); piece < count; piece++) {
        const sha1 = await this.#hash(store, info, piece)
        if (!sha1.equals(info.pieces.subarray(piece * 20, piece * 20 + 20))) return filesOf(info, piece)
        unsavedBytes += info.pieceLengthBytes
        if (unsavedBytes < SAVE_EVERY_BYTES || !this.#isHeld(infohash)) continue
        unsavedBytes = 0
        await held.put(infohash, { ...record, rereadPieces: piece + 1 })
      }
      return []
    } finally {
      await store.close()
      await pool.close()
    }
  }

  async #hash(store: ChunkStore, info: Info, piece: number): Promise<Buffer> {
    const sha1 = createHash('sha1')
    const start = piece * info.pieceLengthBytes
    const length = Math.min(info.pieceLengthBytes, store.totalBytes - start)
    for (let at = 0; at < length; at += BLOCK_BYTES) {
      const bytes = await store.get(piece, at, Math.min(BLOCK_BYTES, length - at))
      sha1.update(bytes)
      await this.#parts.pace(bytes.length, this.#abort.signal)
    }
    return sha1.digest()
  }

  #isHeld(infohash: Infohash): boolean {
    for (const one of this.#parts.list()) if (one.infohash === infohash) return true
    return false
  }
}

/** Files that have a part in a piece. */
function filesOf(info: Info, piece: number): string[] {
  const layout = layoutOf(info.files)
  const start = piece * info.pieceLengthBytes
  const end = Math.min(start + info.pieceLengthBytes, layout.totalBytes)
  return spansOf(layout, start, end).map(({ file }) => `${info.files[file]?.path}: piece ${piece} is wrong`)
}

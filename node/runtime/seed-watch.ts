/**
 * Held shards whose seed failed: an engine stopped when a file was gone, another program lost or refused a torrent. Their copy is
 * looked at, or read when its bytes are in doubt; what is damaged is repaired, what is whole is seeded again.
 *
 * Another program may lose files without a word (Transmission 3.00 does, also when it is asked for them). So with one the sizes of
 * all held files are looked at in turn, some with each look.
 */
import type { CoreState } from '../../protocol/core/state.ts'
import type { Infohash } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import type { Clock, Log, TorrentEngine, TorrentStats } from '../ports.ts'
import type { OwnCopies } from './own-copies.ts'

export interface SeedWatchParts {
  readonly state: Pick<CoreState, 'own'>
  readonly engine: Pick<TorrentEngine, 'stats'>
  readonly copies: Pick<OwnCopies, 'seedAgain' | 'looksWhole'>
  /** The engine may not notice that files are gone. */
  readonly looksAtFiles: boolean
  readonly clock: Clock
  readonly log: Log
  /** Between two looks at the engine's own word, which costs nothing. @default 15 s */
  readonly everyMs?: number
}

/** What fails again and again is tried less and less: each time may read the whole shard. */
const WAIT_MS = 60_000
const WAIT_MS_MAX = 3_600_000
/** 5,000 in about an hour. */
const SHARDS_PER_LOOK = 20

export class SeedWatch {
  readonly #parts: SeedWatchParts
  readonly #tried = new Map<Infohash, { readonly waitMs: number; readonly dueMs: number }>()
  #timer: NodeJS.Timeout | null = null
  #isLooking = false
  /** Of the shard whose files are looked at next. */
  #next = 0

  constructor(parts: SeedWatchParts) {
    this.#parts = parts
  }

  start(): void {
    const { everyMs = 15_000 } = this.#parts
    this.#timer = setInterval(() => void this.#lookOnce(), everyMs)
    void this.#lookOnce()
  }

  /** Does not wait for a copy that is being read: that may take long, and its end is no news any more. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  async #lookOnce(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      await this.#look()
      if (this.#parts.looksAtFiles) await this.#lookAtFiles()
    } finally {
      this.#isLooking = false
    }
  }

  async #look(): Promise<void> {
    const { state, engine, clock } = this.#parts
    const failed = (await engine.stats()).filter((one) => one.state === 'failed')
    const names = new Set(failed.map((one) => one.infohash))
    for (const infohash of this.#tried.keys()) if (!names.has(infohash)) this.#tried.delete(infohash)
    if (failed.length === 0) return
    const held = new Map([...state.own.values()].map((own) => [own.infohash, own]))
    for (const seed of failed) {
      const own = held.get(seed.infohash)
      const before = this.#tried.get(seed.infohash)
      if (this.#timer === null) return
      if (own?.state !== 'held' || (before !== undefined && clock.monotonicMs() < before.dueMs)) continue
      await this.#mend(own.shard, seed)
      const waitMs = before === undefined ? WAIT_MS : Math.min(2 * before.waitMs, WAIT_MS_MAX)
      this.#tried.set(seed.infohash, { waitMs, dueMs: clock.monotonicMs() + waitMs })
    }
  }

  async #lookAtFiles(): Promise<void> {
    const { state, copies } = this.#parts
    const all = [...state.own.values()]
    if (this.#next >= all.length) this.#next = 0
    const some = all.slice(this.#next, this.#next + SHARDS_PER_LOOK)
    this.#next += SHARDS_PER_LOOK
    for (const { state: stands, shard, infohash } of some) {
      if (this.#timer === null) return
      if (stands !== 'held' || infohash === null || (await copies.looksWhole(shard))) continue
      await this.#mend(shard, { infohash, failure: { code: 'engine', detail: 'files are gone or cut' } })
    }
  }

  async #mend(
    shard: Shard,
    { infohash, failure }: Pick<TorrentStats, 'infohash' | 'failure'>,
  ): Promise<void> {
    const { copies, log } = this.#parts
    log.warn({ shard: shard.key, infohash, ...failure }, 'a held shard is not seeded')
    try {
      const isWhole = await copies.seedAgain(shard, { isDoubted: failure?.code !== 'engine' })
      if (isWhole) log.info({ shard: shard.key, infohash }, 'it is whole, and seeded again')
    } catch (error) {
      log.warn({ shard: shard.key, infohash, error: String(error) }, 'it could not be seeded again')
    }
  }
}

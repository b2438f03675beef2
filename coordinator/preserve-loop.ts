/**
 * Keeps every merged shard at the Internet Archive, a few at a time, and looks again before a verification grows old
 * (PROTOCOL 9.3). Restartable at any point: what the item shows already is not sent again.
 */
import type { Clock, Log } from '../node/ports.ts'
import type { ShardKey } from '../protocol/ids.ts'
import { itemPath } from '../protocol/shard/archive-item.ts'
import type { LocalShard } from './merge.ts'
import { ArchiveError } from './preserve/archive-error.ts'
import type { InternetArchive } from './preserve/internet-archive.ts'
import type { Archived, Records } from './records.ts'

export interface PreserveProblem {
  readonly code: string
  readonly detail: string
  readonly atMs: number
  readonly attempts: number
  readonly retryAtMs: number
}

/** Items under way at once: each waits for the metadata of its own to catch up (facts: 2 to 3 at most). */
const AT_ONCE = 3
const RETRY_FIRST_MS = 5_000
const RETRY_DOUBLINGS_MAX = 8

export class PreserveLoop {
  readonly #archive: InternetArchive
  readonly #records: Records<Archived>
  readonly #clock: Clock
  readonly #log: Log
  /** Verifications older than this are made again. */
  readonly #verifyEveryMs: () => number
  readonly problems = new Map<ShardKey, PreserveProblem>()

  constructor(options: {
    archive: InternetArchive
    records: Records<Archived>
    clock: Clock
    log: Log
    verifyEveryMs: () => number
  }) {
    this.#archive = options.archive
    this.#records = options.records
    this.#clock = options.clock
    this.#log = options.log
    this.#verifyEveryMs = options.verifyEveryMs
  }

  /** One round over these shards; problems are remembered and tried again in a later round. */
  async round(shards: readonly LocalShard[], signal: AbortSignal): Promise<void> {
    const waiting = shards.filter(({ shard: { key } }) => {
      if ((this.problems.get(key)?.retryAtMs ?? 0) > this.#clock.monotonicMs()) return false
      const last = this.#records.get(key)
      // A row without it is of an earlier build.
      if (last?.storage === undefined) return true
      return this.#clock.wallMs() - last.verifiedAtMs >= this.#verifyEveryMs()
    })
    const work = async () => {
      for (let local = waiting.shift(); local !== undefined && !signal.aborted; local = waiting.shift()) {
        await this.#preserve(local, signal)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
  }

  async #preserve(local: LocalShard, signal: AbortSignal): Promise<void> {
    const { shard, infohash, files } = local
    try {
      // An upload of what is there already sends nothing and verifies everything: also how an old verification is renewed.
      const { item, storage, verifiedAtMs } = await this.#archive.preserve(
        {
          id: shard.id,
          digest: shard.digest,
          infohash,
          name: shard.name,
          files: files.map((file) => ({ ...file, path: itemPath(shard, file.path) })),
        },
        { signal },
      )
      await this.#records.set(shard.key, { item, storage, verifiedAtMs })
      this.problems.delete(shard.key)
      this.#log.info({ shard: shard.key, item }, 'verified at the Internet Archive')
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof ArchiveError)) throw error
      this.#remember(shard.key, error)
    }
  }

  #remember(key: ShardKey, error: ArchiveError): void {
    const attempts = (this.problems.get(key)?.attempts ?? 0) + 1
    const waitMs = RETRY_FIRST_MS * 2 ** Math.min(attempts - 1, RETRY_DOUBLINGS_MAX)
    this.problems.set(key, {
      code: error.code,
      detail: error.message,
      atMs: this.#clock.wallMs(),
      attempts,
      retryAtMs: this.#clock.monotonicMs() + waitMs,
    })
    this.#log.warn(
      { shard: key, code: error.code, detail: error.message },
      'could not keep a shard at the Internet Archive',
    )
  }
}

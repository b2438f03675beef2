/** Looks for more peers while something is waited for and nothing comes. */
import type { Infohash } from '../../protocol/ids.ts'
import type { TorrentPeer } from '../ports.ts'

/** Calls `onPeers` with whoever may have the torrent; ends by itself. */
export type FindPeers = (
  infohash: Infohash,
  onPeers: (peers: readonly TorrentPeer[]) => void,
  signal: AbortSignal,
) => Promise<unknown>

export interface MorePeersOptions {
  readonly search: (signal: AbortSignal) => Promise<unknown>
  /** Grows as long as something comes. */
  readonly cameBytes: () => number
  /** The first search, and those after it, when nothing came for so long. */
  readonly firstAfterMs: number
  readonly afterMs: number
}

/** From one search to the next. */
const AGAIN_MS = 60_000

export class MorePeers {
  readonly #options: MorePeersOptions
  readonly #stopping = new AbortController()
  #waiting = 0
  #timer: NodeJS.Timeout | undefined
  #searching: Promise<unknown> | null = null
  #searchedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: MorePeersOptions) {
    this.#options = options
  }

  /** Around whatever is waited for. */
  async during<T>(work: Promise<T>): Promise<T> {
    const { firstAfterMs, afterMs } = this.#options
    if (this.#waiting++ === 0) this.#lookAfter(this.#searchedAtMs < 0 ? firstAfterMs : afterMs)
    try {
      return await work
    } finally {
      if (--this.#waiting === 0) clearTimeout(this.#timer)
    }
  }

  /** Resolves when no search is under way. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#stopping.abort()
    await this.#searching
  }

  #lookAfter(ms: number): void {
    const before = this.#options.cameBytes()
    this.#timer = setTimeout(() => {
      if (this.#stopping.signal.aborted) return
      if (this.#options.cameBytes() === before) this.#search()
      this.#lookAfter(this.#options.afterMs)
    }, ms)
  }

  #search(): void {
    const nowMs = performance.now()
    if (this.#searching !== null || nowMs - this.#searchedAtMs < AGAIN_MS) return
    this.#searchedAtMs = nowMs
    this.#searching = this.#options
      .search(this.#stopping.signal)
      .catch(() => {}) // stopped meanwhile; whoever did not answer is told of by the search itself
      .finally(() => (this.#searching = null))
  }
}

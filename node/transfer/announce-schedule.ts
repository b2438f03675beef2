/**
 * Which torrent is announced next at one place (a tracker): each once an interval, spread evenly over it, so that thousands of
 * them are a trickle and not a flood. What is fetched goes first, then what fewest others seed. Pure: time is an argument.
 */
import type { Infohash } from '../../protocol/ids.ts'

interface Entry {
  readonly isFetch: boolean
  dueMs: number
  /** As the place said last; -1 = not asked yet, which counts as rarest. */
  seeds: number
}

export const DEFAULT_INTERVAL_MS = 30 * 60_000
const INTERVAL_MS_MIN = 60_000
const INTERVAL_MS_MAX = 6 * 3_600_000
/** Between two announces: of a few torrents, and at most. */
const GAP_MS_MAX = 1_000
const GAP_MS_MIN = 20

export class AnnounceSchedule {
  readonly #entries = new Map<Infohash, Entry>()
  #intervalMs: number
  #slotMs = Number.NEGATIVE_INFINITY
  #pausedUntilMs = Number.NEGATIVE_INFINITY
  #failures = 0

  constructor(intervalMs = DEFAULT_INTERVAL_MS) {
    this.#intervalMs = intervalMs
  }

  get size(): number {
    return this.#entries.size
  }

  /** Time between two announces, so that all fit evenly into the interval. */
  get gapMs(): number {
    return Math.min(Math.max(this.#intervalMs / Math.max(1, this.#entries.size), GAP_MS_MIN), GAP_MS_MAX)
  }

  add(infohash: Infohash, options: { isFetch: boolean; nowMs: number }): void {
    const known = this.#entries.get(infohash)
    if (known?.isFetch === options.isFetch) return
    this.#entries.set(infohash, {
      isFetch: options.isFetch,
      dueMs: options.nowMs,
      seeds: known?.seeds ?? -1,
    })
  }

  delete(infohash: Infohash): void {
    this.#entries.delete(infohash)
  }

  /** The one whose turn it is, which has its next turn an interval later; null when it is nobody's. */
  next(nowMs: number): { infohash: Infohash; isFetch: boolean; isFirst: boolean } | null {
    if (nowMs < this.#pausedUntilMs || nowMs < this.#slotMs) return null
    let best: { infohash: Infohash; entry: Entry } | null = null
    for (const [infohash, entry] of this.#entries) {
      if (entry.dueMs <= nowMs && (best === null || goesBefore(entry, best.entry))) best = { infohash, entry }
    }
    if (best === null) return null
    const { infohash, entry } = best
    entry.dueMs = nowMs + this.#intervalMs
    this.#slotMs = nowMs + this.gapMs
    return { infohash, isFetch: entry.isFetch, isFirst: entry.seeds < 0 }
  }

  /** `intervalMs` is what the place asks for, for all alike. */
  answered(infohash: Infohash, answer: { seeds: number; intervalMs: number }, nowMs: number): void {
    this.#failures = 0
    this.#intervalMs = Math.min(Math.max(answer.intervalMs, INTERVAL_MS_MIN), INTERVAL_MS_MAX)
    const entry = this.#entries.get(infohash)
    if (entry === undefined) return
    entry.seeds = answer.seeds
    entry.dueMs = nowMs + this.#intervalMs
  }

  /** A place that does not answer is left alone for ever longer. What it refused waits an interval: others must not wait for it. */
  failed(infohash: Infohash, nowMs: number): void {
    const pauseMs = Math.min(30_000 * 2 ** Math.min(this.#failures++, 10), DEFAULT_INTERVAL_MS)
    this.#pausedUntilMs = nowMs + pauseMs
    const entry = this.#entries.get(infohash)
    if (entry !== undefined) entry.dueMs = nowMs + (entry.isFetch ? pauseMs : this.#intervalMs)
  }
}

function goesBefore(one: Entry, other: Entry): boolean {
  if (one.isFetch !== other.isFetch) return one.isFetch
  if (one.seeds !== other.seeds) return one.seeds < other.seeds
  return one.dueMs < other.dueMs
}

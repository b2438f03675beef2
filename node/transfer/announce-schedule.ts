/**
 * Which torrents are announced next at one place (a tracker, the DHT, the local network): each once an interval, spread evenly over
 * it, so that thousands of them are a trickle and not a flood. What is fetched goes first, then what somebody spoke of, then what
 * fewest others seed. Pure: time is an argument.
 */
import type { Infohash } from '../../protocol/ids.ts'

export interface ScheduleOptions {
  /** Between two announces of one torrent, until the place asks for another. @default 30 min */
  readonly intervalMs?: number
  /** Between two announces of whichever torrents, at least; where not all fit into the interval, each waits longer. @default 20 ms */
  readonly gapMsMin?: number
  /** The same, of a few torrents. @default 1 s */
  readonly gapMsMax?: number
  /** Torrents in one announce. @default 1 */
  readonly batchMax?: number
  /**
   * What need not wait for the others: fetches that were not announced here yet, and what somebody spoke of and was not announced for
   * a gap. So long after the last announce, as often as was saved: one a gap, and `savedMax` at the beginning. @default all wait
   */
  readonly early?: { readonly gapMs: number; readonly savedMax: number }
}

export interface Turn {
  readonly infohash: Infohash
  readonly isFetch: boolean
  /** It was not answered at this place before. */
  readonly isFirst: boolean
}

interface Entry {
  readonly isFetch: boolean
  dueMs: number
  /** Somebody spoke of it since its last turn. */
  isWanted: boolean
  /** When that happened last. */
  wantedMs: number
  /** When it had its last turn. */
  turnMs: number
  /** As the place said last; -1 = not asked yet, which counts as rarest. */
  seeds: number
  /** Poor answers in a row. */
  misses: number
}

export const DEFAULT_INTERVAL_MS = 30 * 60_000
const INTERVAL_MS_MIN = 60_000
const INTERVAL_MS_MAX = 6 * 3_600_000
/** After the first poor answer of a torrent; then twice as long each time. */
const MISS_MS = 60_000

export class AnnounceSchedule {
  readonly #entries = new Map<Infohash, Entry>()
  readonly #gapMsMin: number
  readonly #gapMsMax: number
  readonly #batchMax: number
  readonly #early: { readonly gapMs: number; readonly savedMax: number }
  #saved: number
  #savedAtMs = 0
  #earlySlotMs = Number.NEGATIVE_INFINITY
  #intervalMs: number
  #slotMs = Number.NEGATIVE_INFINITY
  #pausedUntilMs = Number.NEGATIVE_INFINITY
  #failures = 0

  constructor(options: ScheduleOptions = {}) {
    this.#intervalMs = options.intervalMs ?? DEFAULT_INTERVAL_MS
    this.#gapMsMin = options.gapMsMin ?? 20
    this.#gapMsMax = options.gapMsMax ?? 1_000
    this.#batchMax = options.batchMax ?? 1
    this.#early = options.early ?? { gapMs: 0, savedMax: 0 }
    this.#saved = this.#early.savedMax
  }

  get size(): number {
    return this.#entries.size
  }

  /** Time between two announces, so that all fit evenly into the interval. */
  get gapMs(): number {
    const evenMs = this.#intervalMs / Math.max(1, this.#announces)
    return Math.min(Math.max(evenMs, this.#gapMsMin), this.#gapMsMax)
  }

  add(infohash: Infohash, options: { isFetch: boolean; nowMs: number }): void {
    const known = this.#entries.get(infohash)
    if (known?.isFetch === options.isFetch) return
    this.#entries.set(infohash, {
      isFetch: options.isFetch,
      dueMs: options.nowMs,
      isWanted: known?.isWanted ?? false,
      wantedMs: known?.wantedMs ?? Number.NEGATIVE_INFINITY,
      turnMs: known?.turnMs ?? Number.NEGATIVE_INFINITY,
      seeds: known?.seeds ?? -1,
      misses: 0,
    })
  }

  /** What was told is not true any more: everything has its turn anew. */
  again(nowMs: number): void {
    for (const entry of this.#entries.values()) entry.dueMs = nowMs
  }

  delete(infohash: Infohash): void {
    this.#entries.delete(infohash)
  }

  /** Those whose turn it is, at most a batch, which have their next turn an interval later; empty when it is nobody's. */
  next(nowMs: number): Turn[] {
    if (nowMs < this.#pausedUntilMs) return []
    const isEarly = nowMs < this.#slotMs
    if (isEarly && !this.#mayBeEarly(nowMs)) return []
    const turns: Turn[] = []
    while (turns.length < this.#batchMax) {
      const best = this.#best(nowMs, isEarly)
      if (best === null) break
      const { infohash, entry } = best
      entry.dueMs = nowMs + this.#roundMs
      entry.isWanted = false
      entry.turnMs = nowMs
      turns.push({ infohash, isFetch: entry.isFetch, isFirst: entry.seeds < 0 })
    }
    if (turns.length === 0) return turns
    if (isEarly) this.#saved--
    else this.#slotMs = nowMs + this.gapMs
    this.#earlySlotMs = nowMs + this.#early.gapMs
    return turns
  }

  /**
   * Somebody at this place speaks of the torrent: it goes first. Once an interval only: two who seed the same would answer each
   * other for ever.
   */
  wanted(infohash: Infohash, nowMs: number): void {
    const entry = this.#entries.get(infohash)
    if (entry === undefined || nowMs - entry.wantedMs < this.#intervalMs) return
    entry.isWanted = true
    entry.wantedMs = nowMs
    entry.dueMs = nowMs
  }

  /** `intervalMs` is what the place asks for, for all alike. */
  answered(infohash: Infohash, answer: { seeds: number; intervalMs: number }, nowMs: number): void {
    this.#failures = 0
    this.#intervalMs = Math.min(Math.max(answer.intervalMs, INTERVAL_MS_MIN), INTERVAL_MS_MAX)
    const entry = this.#entries.get(infohash)
    if (entry === undefined) return
    entry.seeds = answer.seeds
    entry.misses = 0
    entry.dueMs = nowMs + this.#roundMs
  }

  /** The place answers, but nothing came of it for this torrent: it has another turn soon, then ever later. */
  missed(infohash: Infohash, nowMs: number): void {
    this.#failures = 0
    const entry = this.#entries.get(infohash)
    if (entry === undefined) return
    entry.seeds = 0
    entry.dueMs = nowMs + Math.min(MISS_MS * 2 ** Math.min(entry.misses++, 10), this.#roundMs)
  }

  /** A place that does not answer is left alone for ever longer. What it refused waits an interval: others must not wait for it. */
  failed(infohashes: readonly Infohash[], nowMs: number): void {
    const pauseMs = Math.min(30_000 * 2 ** Math.min(this.#failures++, 10), DEFAULT_INTERVAL_MS)
    this.#pausedUntilMs = nowMs + pauseMs
    for (const infohash of infohashes) {
      const entry = this.#entries.get(infohash)
      if (entry !== undefined) entry.dueMs = nowMs + (entry.isFetch ? pauseMs : this.#intervalMs)
    }
  }

  get #announces(): number {
    return Math.ceil(this.#entries.size / this.#batchMax)
  }

  /** From one turn of a torrent to its next: without this, of too many for the interval the rarest would take every turn. */
  get #roundMs(): number {
    return Math.max(this.#intervalMs, this.#announces * this.#gapMsMin)
  }

  #mayBeEarly(nowMs: number): boolean {
    this.#saved = Math.min(this.#saved + (nowMs - this.#savedAtMs) / this.gapMs, this.#early.savedMax)
    this.#savedAtMs = nowMs
    return this.#saved >= 1 && nowMs >= this.#earlySlotMs
  }

  #isUrgent({ isWanted, turnMs, isFetch, seeds }: Entry, nowMs: number): boolean {
    return isWanted ? nowMs - turnMs >= this.gapMs : isFetch && seeds < 0
  }

  #best(nowMs: number, isEarly: boolean): { infohash: Infohash; entry: Entry } | null {
    let best: { infohash: Infohash; entry: Entry } | null = null
    for (const [infohash, entry] of this.#entries) {
      if (isEarly && !this.#isUrgent(entry, nowMs)) continue
      if (entry.dueMs <= nowMs && (best === null || goesBefore(entry, best.entry))) best = { infohash, entry }
    }
    return best
  }
}

function goesBefore(one: Entry, other: Entry): boolean {
  if (one.isFetch !== other.isFetch) return one.isFetch
  if (one.isWanted !== other.isWanted) return one.isWanted
  if (one.seeds !== other.seeds) return one.seeds < other.seeds
  return one.dueMs < other.dueMs
}

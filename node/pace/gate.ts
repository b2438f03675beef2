/**
 * Whether a fetch may go on now: quiet hours, the month's budget, room on the disk. A fetch that has bytes already is paused and goes on
 * by itself, with all that came. One that has none does not begin: its claim ends, and others may take it.
 */
import type { Sleep } from '../origin/pace.ts'
import type { Clock, Log } from '../ports.ts'
import type { Budget } from './budget.ts'
import { type QuietWindow, quietAt } from './quiet-hours.ts'

export type PauseReason = 'quiet-hours' | 'budget-used' | 'disk-full'

export interface GateParts {
  readonly clock: Clock
  readonly sleep: Sleep
  readonly log: Log
  /** What may still be written to the data folder's disk. */
  readonly freeBytes: () => Promise<number>
  readonly quiet: readonly QuietWindow[]
  readonly budget: Budget
}

/** A fetch that is under way. */
export interface Pass {
  /** Aborted when it must pause. */
  readonly closing: AbortSignal
  /** Bytes that still have to be written. */
  shrink(leftBytes: number): void
  end(): void
}

export class GateClosed extends Error {
  readonly reason: PauseReason
  constructor(reason: PauseReason, detail: string) {
    super(detail)
    this.name = 'GateClosed'
    this.reason = reason
  }
}

/** Beside what is fetched: the store, torrents and logs live on the same disk. */
const SPARE_BYTES = 64 * 1024 * 1024
/** How often a closed gate is looked at, and the longest sleep of a timer. */
const LOOK_EVERY_MS = 30_000

export class FetchGate {
  readonly #parts: GateParts
  readonly #reserved = new Map<object, number>()
  readonly #open = new Set<AbortController>()
  readonly #waiting = new Map<object, PauseReason>()
  #looking: Promise<unknown> = Promise.resolve()

  constructor(parts: GateParts) {
    this.#parts = parts
  }

  /** Why fetches wait now, and of how many that is true; null: none does. */
  get pause(): { readonly reason: PauseReason; readonly fetches: number } | null {
    const reasons = [...this.#waiting.values()]
    const [reason] = reasons
    return reason === undefined ? null : { reason, fetches: reasons.length }
  }

  /** Counts bytes of any source against the month. */
  spend(count: number): void {
    this.#parts.budget.spend(count)
    if (!this.#parts.budget.isUsedUp) return
    for (const pass of this.#open) pass.abort()
  }

  /**
   * Resolves when the fetch may go on, with `neededBytes` reserved on the disk before the first of them comes. Rejects with GateClosed
   * when it may not and has not begun, else with the signal's reason. `wasFull`: the last write failed for want of room.
   */
  async enter(
    neededBytes: number,
    { hasBegun, wasFull }: { hasBegun: boolean; wasFull: boolean },
    signal: AbortSignal,
  ): Promise<Pass> {
    const key = {}
    try {
      // A quota does not show in what is free: after a write that failed the next is not tried at once.
      if (wasFull) await this.#wait(key, new GateClosed('disk-full', 'the disk is full'), signal)
      for (;;) {
        signal.throwIfAborted()
        const closed = await this.#look(key, neededBytes)
        if (closed === null) return this.#pass(key, signal)
        // Quiet hours end soon enough for whoever waits.
        if (!hasBegun && closed.reason !== 'quiet-hours') throw closed
        await this.#wait(key, closed, signal)
      }
    } finally {
      this.#waiting.delete(key)
    }
  }

  async #wait(key: object, { reason, message }: GateClosed, signal: AbortSignal): Promise<void> {
    if (!this.#waiting.has(key)) this.#parts.log.warn({ reason }, `fetching is paused: ${message}`)
    this.#waiting.set(key, reason)
    await this.#parts.sleep(LOOK_EVERY_MS, signal)
  }

  /** One after the other: two must not reserve the same room. */
  #look(key: object, neededBytes: number): Promise<GateClosed | null> {
    const look = this.#looking.then(() => this.#lookNow(key, neededBytes))
    this.#looking = look.catch(() => {})
    return look
  }

  async #lookNow(key: object, neededBytes: number): Promise<GateClosed | null> {
    const { clock, quiet, budget, freeBytes } = this.#parts
    if (quietAt(quiet, clock.wallMs()).isQuiet) return new GateClosed('quiet-hours', 'it is a quiet hour')
    if (budget.isUsedUp) return new GateClosed('budget-used', "the month's budget is used up")
    let left = (await freeBytes()) - SPARE_BYTES
    for (const bytes of this.#reserved.values()) left -= bytes
    if (left < neededBytes) {
      const detail = `the disk has room for ${Math.max(0, left)} bytes, ${neededBytes} are needed`
      return new GateClosed('disk-full', detail)
    }
    this.#reserved.set(key, neededBytes)
    return null
  }

  #pass(key: object, signal: AbortSignal): Pass {
    const controller = new AbortController()
    const ended = new AbortController()
    this.#open.add(controller)
    void this.#closeWhenQuiet(controller, AbortSignal.any([ended.signal, signal]))
    return {
      closing: controller.signal,
      shrink: (leftBytes) => {
        if (this.#reserved.has(key)) this.#reserved.set(key, Math.max(0, leftBytes))
      },
      end: () => {
        this.#reserved.delete(key)
        this.#open.delete(controller)
        ended.abort()
      },
    }
  }

  async #closeWhenQuiet(pass: AbortController, ended: AbortSignal): Promise<void> {
    const { clock, sleep, quiet } = this.#parts
    if (quiet.length === 0) return
    while (!ended.aborted) {
      const { isQuiet, untilMs } = quietAt(quiet, clock.wallMs())
      if (isQuiet) return pass.abort()
      const waitMs = Math.min(
        LOOK_EVERY_MS,
        Math.max(1, (untilMs ?? Number.POSITIVE_INFINITY) - clock.wallMs()),
      )
      // It ends with the fetch.
      await sleep(waitMs, ended).catch(() => {})
    }
  }
}

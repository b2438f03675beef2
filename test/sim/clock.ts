/** Virtual time, and what the clocks of a node show of it. */
import type { Now } from '../../protocol/core/event.ts'

export const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** A request over the network and its answer. */
export const ROUND_TRIP_MS = 400

/** Virtual 0 is 2026-11-22T12:00:00Z. */
export const START_WALL_MS = 1_795_348_800_000

/** A node's clocks: the wall clock may be wrong and may jump; the monotonic one starts again with the process. */
export class Clock {
  skewMs: number
  /** Virtual ms of the last boot. */
  bootedAtMs = 0
  readonly #now = { wallMs: 0, monotonicMs: 0 }

  constructor(skewMs: number) {
    this.skewMs = skewMs
  }

  /** The same object each time, changed in place: whoever wants to keep it copies it. */
  read(timeMs: number): Now {
    this.#now.wallMs = START_WALL_MS + timeMs + this.skewMs
    this.#now.monotonicMs = timeMs - this.bootedAtMs
    return this.#now
  }
}

/** `3d 04:05:06.007` */
export function showTime(timeMs: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  const rest = timeMs % DAY_MS
  const ms = String(timeMs % SECOND_MS).padStart(3, '0')
  const clock = `${two(rest / HOUR_MS)}:${two((rest % HOUR_MS) / MINUTE_MS)}:${two((rest % MINUTE_MS) / SECOND_MS)}.${ms}`
  return `${Math.floor(timeMs / DAY_MS)}d ${clock}`
}

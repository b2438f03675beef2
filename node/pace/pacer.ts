/** The bandwidth cap: one line of seats in time for all downloads together, so that no second has more bytes than it may. */
import type { Sleep } from '../origin/pace.ts'
import type { Clock } from '../ports.ts'

/** After a silence so much may come at once: small files need not be cut into shreds. */
const BURST_MS = 100

/** Resolves when so many bytes, which came, are paid for: whoever waits for it before reading on keeps the rate. */
export type Pace = (count: number, signal?: AbortSignal) => Promise<void>

export function createPacer(bytesPerSecond: number, clock: Clock, sleep: Sleep): Pace {
  let paidUntilMs = Number.NEGATIVE_INFINITY
  return async (count, signal) => {
    const nowMs = clock.monotonicMs()
    paidUntilMs = Math.max(paidUntilMs, nowMs - BURST_MS) + (count * 1_000) / bytesPerSecond
    if (paidUntilMs > nowMs) await sleep(Math.ceil(paidUntilMs - nowMs), signal)
  }
}

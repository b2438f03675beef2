/** Waiting: the timer, jittered back-off, and what a Retry-After header asks for. Chance is an argument. */

/** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>

export const sleep: Sleep = (ms, signal) =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })

export interface Backoff {
  readonly baseMs: number
  readonly maxMs: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** Before retry `attempt` (from 0): half of base x 2^attempt for sure, the other half by chance, so that clients spread out. */
export function backoffMs(backoff: Backoff, attempt: number): number {
  const fullMs = Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(attempt, 30))
  return Math.ceil(fullMs / 2 + (fullMs / 2) * backoff.random())
}

/** The only form of a date that is sent today (RFC 9110 5.6.7). */
export const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** Retry-After in seconds or as a date (RFC 9110 10.2.3) -> ms from now, at most `maxMs`; null when absent or unreadable. */
export function retryAfterMs(value: string | null, nowMs: number, maxMs: number): number | null {
  if (value === null) return null
  const text = value.trim()
  const ms = /^\d{1,9}$/.test(text)
    ? Number(text) * 1_000
    : HTTP_DATE.test(text)
      ? Date.parse(text) - nowMs
      : Number.NaN
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), maxMs)
}

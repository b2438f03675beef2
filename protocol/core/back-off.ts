/** Waits that double, for whatever is tried again after it failed (PROTOCOL 6 and 7). */

/** 2^10 times the base: over a week for a claim of a real federation, 17 hours for an audit. */
const DOUBLINGS_MAX = 10

/** Ms before the next try after `failures` in a row: the base after none or one, then twice as long each time. */
export function backOffMs(baseMs: number, failures: number): number {
  return baseMs * 2 ** Math.min(Math.max(0, failures - 1), DOUBLINGS_MAX)
}

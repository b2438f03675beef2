/** Waiting as an argument, so that tests need not wait. */
import { setTimeout } from 'node:timers/promises'

/** Resolves after the time, or at once when the signal aborts. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>

export const realSleep: Sleep = (ms, signal) =>
  setTimeout(ms, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
    if (signal?.aborted !== true) throw error
  })

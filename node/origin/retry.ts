/** Tries again what may come right by itself: a bounded number of times, with jittered back-off. */
import { OriginError, type OriginErrorCode } from '../ports.ts'
import { type Backoff, backoffMs, type Sleep } from './pace.ts'

export interface RetryPolicy {
  /** Attempts after the first; counted anew when an attempt got ahead. */
  readonly retriesMax: number
  readonly backoff: Backoff
  readonly sleep: Sleep
}

/** The others are final: asking again would get the same answer, or must be decided by the caller. */
const PASSING: readonly OriginErrorCode[] = ['busy', 'network', 'not-json']

/**
 * Runs the operation until it succeeds, fails for good or has used up its retries; then throws its last OriginError. An
 * operation that calls `gotAhead` has its retries counted from zero: only something that is itself bounded may do so.
 */
export async function retry<T>(
  policy: RetryPolicy,
  operation: (gotAhead: () => void) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  let retries = 0
  for (;;) {
    try {
      return await operation(() => {
        retries = 0
      })
    } catch (error) {
      if (!(error instanceof OriginError) || !PASSING.includes(error.code) || retries >= policy.retriesMax)
        throw error
      await policy.sleep(backoffMs(policy.backoff, retries), signal).catch(() => {
        throw new OriginError('aborted', `${error.message} (stopped before a retry)`, { cause: error })
      })
      retries++
    }
  }
}

/** Waiting for the DHT's package, which gives no promise and may never call back. */
import { TrackerError } from './tracker-answer.ts'

/** What is given to `done`; rejects with the signal's reason, or with TrackerError after so long. */
export function until<T>(
  signal: AbortSignal,
  ms: number,
  begin: (done: (value: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const end = (settle: () => void) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      settle()
    }
    const stop = () => end(() => reject(signal.reason))
    const late = () => end(() => reject(new TrackerError('the DHT does not come to an end')))
    const timer = setTimeout(late, ms)
    timer.unref()
    signal.addEventListener('abort', stop, { once: true })
    begin((value) => end(() => resolve(value)))
  })
}

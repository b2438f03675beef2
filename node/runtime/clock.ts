/** The real clock. The only place in a node that reads the time for the core. */
import type { Clock } from '../ports.ts'

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => Math.floor(performance.now()),
}

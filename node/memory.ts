/** How much memory V8 may take for what is garbage. */
import { setFlagsFromString } from 'node:v8'

/** Percent of what is alive that may be added before the next full collection; by itself V8 lets a small heap double and more. */
const GROWING_PERCENT = 25

/**
 * A node lives for months, beside others on its machine. By itself V8's young generation grows to 100 MiB and more while a large store is
 * read at start, and never gives that back: it grows no more from here on. Measured with 10,000 shards: 390 MiB, so 250, for a
 * fifth more processor time while shards are served. Call it once the modules are loaded: they let it grow to a useful size.
 */
export function boundGarbage(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`)
}

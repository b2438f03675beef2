/** How much memory V8 may take for what is garbage. */
import { setFlagsFromString } from 'node:v8'

/** As little memory as a node with a large store can do with. */
const GROWING_PERCENT = 25

/**
 * A node lives for months, beside others on its machine. By itself V8's young generation grows to 100 MiB and more while a large store is
 * read at start, and never gives that back: it grows no more from here on. Measured with 10,000 shards: 390 MiB, so 250, for a
 * fifth more processor time while shards are served. Call it once the modules are loaded: they let it grow to a useful size.
 * `growingPercent`: of what is alive, may be added before the next full collection; by itself V8 lets a small heap double and more.
 */
export function boundGarbage(growingPercent = GROWING_PERCENT): void {
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString(`--heap-growing-percent=${growingPercent}`)
}

/** Of the engine's process. With 300 small torrents at once 25 costs a tenth more processor time, and no bound a tenth less for 20 MiB more. */
export const ENGINE_GROWING_PERCENT = 50

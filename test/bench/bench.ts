/** What a file of this folder exports as `bench`, and how it measures. */
import { performance } from 'node:perf_hooks'

export interface Measure {
  /** What was done, as a person would say it. */
  readonly what: string
  readonly value: number
  /** `us`, `ms`, `bytes`, `per second`, `x` when it is a ratio. */
  readonly unit: string
  /** What it should be, to be printed beside it. */
  readonly goal?: string
}

export interface Bench {
  /** `npm run bench -- core` runs all of this group; the name of a file runs that file. */
  readonly group: string
  run(): Promise<readonly Measure[]> | readonly Measure[]
}

/** Milliseconds that one call takes. */
export function timeMs(work: () => unknown): number {
  const startMs = performance.now()
  work()
  return performance.now() - startMs
}

/** Microseconds of a call: the median of `runs` calls, each with its own number. */
export function medianUs(runs: number, work: (run: number) => unknown): number {
  const times = Array.from({ length: runs }, (_, run) => timeMs(() => work(run)) * 1_000)
  return times.sort((a, b) => a - b)[Math.floor(runs / 2)] ?? 0
}

/** Bytes of the heap in use, after a collection when node runs with --expose-gc. */
export function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
}

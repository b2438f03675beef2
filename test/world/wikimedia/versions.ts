// Files that change between two reads: which version of a path is being served.
import { type Faults, globMatches } from '../faults.ts'
import type { Entry } from './tree.ts'

export type FileState = { path: string; sizeBytes: number; mtimeMs: number; flips: number[]; version: 1 | 2 }

const secondVersionLaterMs = 3_600_000

export class Versions {
  readonly #faults: Faults
  readonly #reads = new Map<string, number>()

  constructor(faults: Faults) {
    this.#faults = faults
  }

  /** What the next reader of this path gets. The second version has the same length, another byte and a later time. */
  stateOf(urlPath: string, entry: Entry & { kind: 'file' }): FileState {
    const change = this.#faults.changing.find(({ glob }) => globMatches(glob, urlPath))
    const changed = change !== undefined && (this.#reads.get(urlPath) ?? 0) >= change.afterReads
    return {
      path: entry.path,
      sizeBytes: entry.sizeBytes,
      mtimeMs: entry.mtimeMs + (changed ? secondVersionLaterMs : 0),
      flips: changed && entry.sizeBytes > 0 ? [Math.floor(entry.sizeBytes / 3)] : [],
      version: changed ? 2 : 1,
    }
  }

  /** Counts a read; only paths that are to change are remembered. */
  noteRead(urlPath: string): void {
    if (!this.#faults.changing.some(({ glob }) => globMatches(glob, urlPath))) return
    this.#reads.set(urlPath, (this.#reads.get(urlPath) ?? 0) + 1)
  }
}

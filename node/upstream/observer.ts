/**
 * Reads upstream for everybody while no coordinator is heard of (PROTOCOL 1): index.json and the listings of exports once, then what
 * runs are that nobody knows yet, a bounded number of them.
 */

import { knownAmong } from '../../protocol/catalog/runs-to-read.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import type { Effect } from '../../protocol/core/effect.ts'
import type { Series } from '../../protocol/ids.ts'
import { OBSERVATION_RUNS_MAX } from '../../protocol/limits.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { type Clock, type Log, type Origin, OriginError } from '../ports.ts'
import { discover } from './discover.ts'
import { ExportDiscovery } from './discover-exports.ts'

export interface ObserverParts {
  readonly origin: Origin
  readonly clock: Clock
  readonly log: Log
  /** As it holds now. */
  readonly settledAfterMs: () => number
  /** Between two wikis of the exports. */
  readonly breathe: (signal: AbortSignal) => Promise<void>
  readonly publish: (runs: readonly (readonly Shard[])[]) => Promise<void>
}

export class Observer {
  readonly #parts: ObserverParts
  readonly #stopping = new AbortController()
  #reading: Promise<void> | null = null

  constructor(parts: ObserverParts) {
    this.#parts = parts
  }

  /** One reading at a time: what comes while one is under way is left to the others. */
  observe(effect: Extract<Effect, { kind: 'observe' }>): void {
    this.#reading ??= this.#read(effect).finally(() => {
      this.#reading = null
    })
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#reading
  }

  async #read({ after, known }: Extract<Effect, { kind: 'observe' }>): Promise<void> {
    const { origin, clock, log, settledAfterMs, breathe, publish } = this.#parts
    const { signal } = this.#stopping
    try {
      const parts = { origin, clock, log, settledAfterMs: settledAfterMs(), breathe }
      const isKnown = knownAmong(known)
      const dumps = await discover(parts, isKnown, signal, { after, runsMax: OBSERVATION_RUNS_MAX })
      const bounds = { after, runsMax: OBSERVATION_RUNS_MAX - dumps.runs.length }
      // Sizes are its own reading too: what others say of them is not taken.
      const exports =
        isFollowed(after) && bounds.runsMax > 0
          ? await new ExportDiscovery().round(parts, [], isKnown, signal, bounds)
          : { runs: [], problems: [] }
      const runs = [...dumps.runs, ...exports.runs]
      const failed = [...dumps.problems, ...exports.problems].filter((one) => one.code === 'upstream-failed')
      log.info(
        { runs: runs.length, failed: failed.length },
        'read upstream, since no coordinator is heard of',
      )
      // Who could read nothing has not looked: others step in.
      if (runs.length > 0 || failed.length === 0) await publish(runs)
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof OriginError || error instanceof ShapeError)) throw error
      log.warn({ error: error.message }, 'could not read upstream for the others')
    }
  }
}

/** Nobody lists the exports of a federation that has none. */
function isFollowed(after: ReadonlyMap<Series, string>): boolean {
  for (const series of after.keys()) if (!series.startsWith('dumps/')) return true
  return false
}

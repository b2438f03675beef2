/**
 * Runs that nodes observed while no coordinator was heard of (PROTOCOL 1): one that comes back looks at each of them itself before it
 * names them. What upstream has deleted meanwhile it takes on the word of two whom a coordinator lists.
 */
import { type Clock, type Log, type Origin, OriginError } from '../node/ports.ts'
import { readUpstreamRun } from '../node/upstream/read-run.ts'
import { ShapeError } from '../protocol/codec/shape.ts'
import { countedShards } from '../protocol/core/observing.ts'
import type { CoreState } from '../protocol/core/state.ts'
import { parseRunId } from '../protocol/ids.ts'
import type { RunName } from '../protocol/shard/paths.ts'
import type { Shard } from '../protocol/shard/shard.ts'

/** Read in one round. */
const RUNS_MAX = 256
const AGAIN_MS = 86_400_000

export class Adoption {
  readonly #parts: { origin: Origin; clock: Clock; log: Log }
  /** By sha256 of the run's document: monotonic ms when it was looked at. */
  readonly #lookedAtMs = new Map<string, number>()

  constructor(parts: { origin: Origin; clock: Clock; log: Log }) {
    this.#parts = parts
  }

  /** Shards of observed runs that are right, for the next catalog. */
  async round(state: CoreState, signal: AbortSignal): Promise<Shard[]> {
    const { clock, log } = this.#parts
    const nowMs = clock.monotonicMs()
    for (const [sha256, atMs] of this.#lookedAtMs)
      if (nowMs - atMs > AGAIN_MS) this.#lookedAtMs.delete(sha256)
    const open = countedShards(state).filter(({ reference }) => !this.#lookedAtMs.has(reference.sha256))
    const adopted: Shard[] = []
    for (const { reference, basis, shards } of open.slice(0, RUNS_MAX)) {
      this.#lookedAtMs.set(reference.sha256, nowMs)
      const { settledAfterMs } = state.parameters
      const found = await this.#read(parseRunId(reference.run), settledAfterMs, signal)
      adopted.push(...(found === 'deleted' ? (basis === 'listed' ? shards : []) : found))
    }
    if (adopted.length > 0) log.info({ shards: adopted.length }, 'named what nodes had observed')
    return adopted
  }

  async #read(
    run: RunName,
    settledAfterMs: number,
    signal: AbortSignal,
  ): Promise<readonly Shard[] | 'deleted'> {
    const { origin, clock, log } = this.#parts
    try {
      const upstream = await readUpstreamRun(origin, run, { nowMs: clock.wallMs(), settledAfterMs, signal })
      return upstream.ready ? upstream.shards : []
    } catch (error) {
      if (error instanceof OriginError && error.code === 'not-found') return 'deleted'
      if (!(error instanceof ShapeError) && !(error instanceof OriginError && error.code !== 'aborted'))
        throw error
      log.warn({ ...run, error: error.message }, 'could not read a run that nodes had observed')
      return []
    }
  }
}

/** Describes (PROTOCOL 9.1): what is new upstream goes into the catalog; dumps first, since exports take many small requests. */
import { BREATHE_MS } from '../node/member.ts'
import { type Clock, type Log, type Origin, OriginError } from '../node/ports.ts'
import { discover } from '../node/upstream/discover.ts'
import { ExportDiscovery } from '../node/upstream/discover-exports.ts'
import type { RunProblem } from '../node/upstream/run-problem.ts'
import { knownAmong } from '../protocol/catalog/runs-to-read.ts'
import { ShapeError } from '../protocol/codec/shape.ts'
import type { CoreState } from '../protocol/core/state.ts'
import type { ShardKey } from '../protocol/ids.ts'
import type { Shard } from '../protocol/shard/shard.ts'
import { Adoption } from './adopt.ts'
import type { CatalogWriter } from './catalog.ts'
import { realSleep } from './http/sleep.ts'

export interface DiscoverLoopParts {
  readonly origin: Origin
  readonly clock: Clock
  readonly log: Log
  readonly state: CoreState
  readonly catalog: CatalogWriter
  /** Content File Exports are described too. */
  readonly exports: boolean
  readonly verifiedAtMs: (shard: ShardKey) => number | undefined
}

export class DiscoverLoop {
  readonly #parts: DiscoverLoopParts
  readonly #adoption: Adoption
  readonly #exports = new ExportDiscovery()
  #dumpProblems: readonly RunProblem[] = []
  #exportProblems: readonly RunProblem[] = []
  #readAtMs: number | null = null
  /** Why index.json could not be read the last time; null: it could. */
  problem: string | null = null

  constructor(parts: DiscoverLoopParts) {
    this.#parts = parts
    this.#adoption = new Adoption(parts)
  }

  get runProblems(): readonly RunProblem[] {
    return [...this.#dumpProblems, ...this.#exportProblems]
  }

  async round(signal: AbortSignal): Promise<void> {
    const dumps = await this.#readDumps(signal)
    if (signal.aborted || dumps === null) return
    // What was archived meanwhile is told also while upstream is away.
    await this.#write(dumps)
    if (!this.#parts.exports) return
    const exports = await this.#readExports(signal)
    if (exports.length > 0) await this.#write([...dumps, ...exports])
  }

  /** Null: there is nothing to write at all. */
  async #readDumps(signal: AbortSignal): Promise<readonly Shard[] | null> {
    const { origin, clock, log, state } = this.#parts
    const startedAtMs = clock.wallMs()
    const { settledAfterMs } = state.parameters
    try {
      const isKnown = knownAmong(state.named.values())
      const { runs, problems } = await discover({ origin, clock, log, settledAfterMs }, isKnown, signal)
      this.#dumpProblems = problems
      const found = [...runs.flat(), ...(await this.#adoption.round(state, signal))]
      this.problem = null
      this.#readAtMs = startedAtMs
      return found
    } catch (error) {
      if (signal.aborted) return null
      if (!(error instanceof OriginError || error instanceof ShapeError)) throw error
      this.problem = error.message
      log.warn({ error: error.message }, 'could not read upstream')
      return state.named.size === 0 ? null : []
    }
  }

  async #readExports(signal: AbortSignal): Promise<readonly Shard[]> {
    const { origin, clock, log, state } = this.#parts
    const { settledAfterMs } = state.parameters
    const breathe = (until: AbortSignal) => realSleep(BREATHE_MS, until)
    const named = [...state.named.values()]
    try {
      const parts = { origin, clock, log, settledAfterMs, breathe }
      const { runs, problems } = await this.#exports.round(parts, named, knownAmong(named), signal)
      this.#exportProblems = problems
      return runs.flat()
    } catch (error) {
      if (signal.aborted) return []
      throw error
    }
  }

  async #write(found: readonly Shard[]): Promise<void> {
    const { catalog, state, verifiedAtMs } = this.#parts
    const named = new Map([...state.named.values(), ...found].map((shard) => [shard.key, shard]))
    await catalog.write([...named.values()], this.#readAtMs, verifiedAtMs)
  }
}

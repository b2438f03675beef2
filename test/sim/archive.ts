/**
 * The archive as the coordinator fills it: what its own machine holds it uploads, verifies, and verifies again in time. Also how
 * many replicas a shard should have by that, computed by other code than the product's (docs/PROTOCOL.md, sections 0 and 5).
 */

import { type ArchiveList, encodeArchiveList, openArchiveList } from '../../protocol/catalog/archive-list.ts'
import { type CatalogReference, referenceOf } from '../../protocol/catalog/catalog.ts'
import { type Cycle, cycleOf, type ShardKey } from '../../protocol/ids.ts'
import { HOUR_MS } from './clock.ts'
import type { Machine } from './machine.ts'
import { parametersAtMs } from './schedule.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** Runs of a wiki that are kept at R whatever is archived. */
const NEWEST_RUNS = 2
/** Nodes look at what expires only now and then, and their clocks differ. */
export const EXPIRY_SLACK_MS = HOUR_MS

export class Archive {
  readonly #sim: Simulation
  /** Shards that the coordinator's machine held at the last look: uploading takes until the next. */
  readonly #uploading = new Set<SimShard>()
  /** Unix ms of the newest verification. */
  readonly #verified = new Map<SimShard, number>()
  readonly #bytes = new Map<string, Uint8Array>()
  #references: readonly CatalogReference[] = []
  /** Newest dates of each wiki among the catalogued shards; made again when there are more of those. */
  #newest = new Map<string, readonly string[]>()
  #newestOf = -1

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  get references(): readonly CatalogReference[] {
    return this.#references
  }

  /** The coordinator looks: uploads, verifies what it uploaded, and verifies anew what was verified long ago. True: news. */
  look(home: Machine): boolean {
    const { upstream, timeMs, parameters, coordinator, journal } = this.#sim
    const { wallMs } = home.clock.read(timeMs)
    let news = false
    for (const index of coordinator.catalogued) {
      const shard = upstream.shards[index] as SimShard
      if (!home.disk.holds(shard)) continue
      if (!this.#uploading.has(shard)) {
        this.#uploading.add(shard)
        continue
      }
      const verifiedAtMs = this.#verified.get(shard)
      if (verifiedAtMs !== undefined && wallMs - verifiedAtMs < parameters.auditValidMs / 2) continue
      this.#verified.set(shard, wallMs)
      journal.note(timeMs, home.index, index, 'archived', 'verified by hash')
      news = true
    }
    if (news) this.#write()
    return news
  }

  #write(): void {
    const cycles = new Map<Cycle, { shard: ShardKey; verifiedAtMs: number }[]>()
    for (const [{ shard }, verifiedAtMs] of this.#verified) {
      const cycle = cycleOf(shard.date)
      cycles.set(cycle, [...(cycles.get(cycle) ?? []), { shard: shard.key, verifiedAtMs }])
    }
    this.#references = [...cycles].map(([cycle, all]) => {
      const verified = all.sort((a, b) => (a.shard < b.shard ? -1 : 1))
      const bytes = encodeArchiveList({ cycle, verified })
      const reference = referenceOf(cycle, bytes)
      this.#bytes.set(reference.sha256, bytes)
      return reference
    })
  }

  /** The list that an index names: its bytes are checked as a node checks them. */
  open(reference: CatalogReference): ArchiveList {
    const bytes = this.#bytes.get(reference.sha256)
    if (bytes === undefined) throw new RangeError(`nobody has the list ${reference.sha256}`)
    return openArchiveList(bytes, reference)
  }

  /** Was its copy verified within `auditValidMs`? `slackMs`: how much longer that may count. */
  holds(shard: SimShard, wallMs: number, slackMs: number): boolean {
    const atMs = this.#verified.get(shard)
    return atMs !== undefined && wallMs - atMs <= this.#sim.parameters.auditValidMs + slackMs
  }

  /** Replicas that it should have: R for the two newest runs of a wiki and for what is not archived, else one. */
  wanted(shard: SimShard, wallMs: number, slackMs: number): number {
    // Shortly after a change some go by the set before it.
    const { replicas } = parametersAtMs(this.#sim.schedule, this.#sim.timeMs - Math.max(0, slackMs))
    if (!this.holds(shard, wallMs, slackMs)) return replicas
    return this.#newestRuns().get(shard.shard.wiki)?.includes(shard.shard.date) === true ? replicas : 1
  }

  #newestRuns(): ReadonlyMap<string, readonly string[]> {
    const { catalogued } = this.#sim.coordinator
    if (catalogued.size === this.#newestOf) return this.#newest
    this.#newestOf = catalogued.size
    const dates = new Map<string, Set<string>>()
    for (const index of catalogued) {
      const { wiki, date } = (this.#sim.upstream.shards[index] as SimShard).shard
      dates.set(wiki, (dates.get(wiki) ?? new Set()).add(date))
    }
    this.#newest = new Map([...dates].map(([wiki, all]) => [wiki, [...all].sort().slice(-NEWEST_RUNS)]))
    return this.#newest
  }
}

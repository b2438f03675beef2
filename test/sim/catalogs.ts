/** The coordinator's catalogs: signed index, catalogs by sha256, and what a node makes of them (as `node/runtime/catalogs.ts`). */

import {
  type CatalogIndex,
  type CatalogReference,
  encodeCatalog,
  openCatalog,
  referenceOf,
  signedAnewAfterMs,
} from '../../protocol/catalog/catalog.ts'
import type { CatalogFacts } from '../../protocol/core/event.ts'
import { type Cycle, cycleOf, type NodeId, type ShardKey } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { HOUR_MS, SECOND_MS } from './clock.ts'
import type { Machine } from './machine.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** What one index says, opened once for all who hear it. */
export interface Catalogs {
  readonly sequence: number
  readonly sealed: Uint8Array
  readonly event: { readonly kind: 'catalogs' } & CatalogFacts
}

/** The coordinator looks at upstream this often. */
const DISCOVER_MS = 6 * HOUR_MS
/** Pulling the catalogs after their index was heard. */
const PULL_MAX_MS = 5 * SECOND_MS

export class Coordinator {
  readonly #sim: Simulation
  readonly #bytes = new Map<string, Uint8Array>()
  readonly #cycles = new Map<Cycle, { count: number; reference: CatalogReference }>()
  readonly #opened = new WeakMap<CatalogIndex, Catalogs>()
  /** Of the last index that was opened, and what it named: one that names the same says the same. */
  #facts: ({ readonly named: string } & Omit<CatalogFacts, 'readAtMs'>) | null = null
  #listed: { node: NodeId; operator: string }[] = []
  /** Indexes of the machines whose audits count for everybody. */
  readonly listedMachines = new Set<number>()
  sequence = 0
  /** Indexes that said something new. */
  #news = 0
  /** Virtual ms of the last index. */
  #signedAtMs = Number.NEGATIVE_INFINITY
  /** Dead: it neither discovers nor publishes; what it signed stands. */
  dead = false
  /** Shards that a published catalog names. */
  readonly catalogued = new Set<number>()

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  /** The operators on the coordinator's list: their audits count for `safe` (PROTOCOL 7). */
  list(machines: readonly Machine[]): void {
    this.#listed = machines.map((machine) => ({ node: machine.id, operator: machine.profile.operator }))
    for (const machine of machines) this.listedMachines.add(machine.index)
  }

  discover(): void {
    this.#sim.plan(DISCOVER_MS, 'discover', 0, 0)
    if (this.dead) return
    const { timeMs, messages, network, archive, parameters } = this.#sim
    const home = this.#sim.machines[0] as Machine
    const settled = this.#refresh()
    const archived = archive.look(home)
    const silentMs = timeMs - this.#signedAtMs
    if (!settled && !archived && silentMs < signedAnewAfterMs(parameters)) return
    this.#signedAtMs = timeMs
    this.sequence++
    const { wallMs } = home.clock.read(timeMs)
    const index: CatalogIndex = {
      coordinator: home.id,
      sequence: this.sequence,
      issuedAtMs: wallMs,
      readAtMs: wallMs,
      catalogs: [...this.#cycles.values()].map((one) => one.reference),
      archives: archive.references,
      operators: this.#listed,
    }
    const sealed = messages.sealCatalogIndex(home.key, index)
    const isNews = settled || archived
    if (isNews) {
      const named = `index ${++this.#news} names ${this.catalogued.size} shards`
      this.#sim.journal.note(timeMs, -1, -1, 'catalog', named)
    }
    this.heard(home, sealed)
    network.gossip(sealed, 'catalogs', home.index, { heartbeat: !isNews })
  }

  /** Somebody heard a sealed index, which may be old or not the coordinator's. */
  heard(machine: Machine, sealed: Uint8Array): void {
    const opened = this.#sim.messages.openCatalogs(sealed)
    if (!opened.ok) {
      this.#sim.metrics.refused++
      return
    }
    const index = opened.value
    const isOld = () => index.sequence <= (machine.catalogs?.sequence ?? 0)
    if (isOld()) return
    const next = this.#open(index, sealed)
    const take = () => {
      if (isOld()) return
      machine.catalogs = next
      this.#sim.dispatch(machine, next.event)
    }
    const known = machine.catalogs?.event
    // Nothing has to be pulled of an index that names what is here already.
    if (known?.shards === next.event.shards && known.archived === next.event.archived) take()
    else this.#sim.later(this.#sim.rng.below(PULL_MAX_MS), machine, take)
  }

  /** Two machines meet: the one takes the other's index when it is newer. */
  pass(from: Machine, to: Machine): void {
    if (from.catalogs !== null && from.catalogs.sequence > (to.catalogs?.sequence ?? 0)) {
      this.heard(to, from.catalogs.sealed)
    }
  }

  /** Encodes the catalogs of cycles that have new settled shards; false when there is none. */
  #refresh(): boolean {
    const { timeMs, upstream } = this.#sim
    const byCycle = new Map<Cycle, SimShard[]>()
    for (const one of upstream.shards) {
      if (one.settledAtMs > timeMs) continue
      const cycle = cycleOf(one.shard.date)
      byCycle.set(cycle, [...(byCycle.get(cycle) ?? []), one])
    }
    let changed = false
    for (const [cycle, shards] of byCycle) {
      if (this.#cycles.get(cycle)?.count === shards.length) continue
      changed = true
      const ordered = shards.map((one) => one.shard).sort((a, b) => (a.key < b.key ? -1 : 1))
      const bytes = encodeCatalog({ cycle, shards: ordered })
      const reference = referenceOf(cycle, bytes)
      this.#bytes.set(reference.sha256, bytes)
      this.#cycles.set(cycle, { count: shards.length, reference })
      for (const one of shards) this.catalogued.add(one.index)
    }
    return changed
  }

  #open(index: CatalogIndex, sealed: Uint8Array): Catalogs {
    const known = this.#opened.get(index)
    if (known !== undefined) return known
    const { sequence, readAtMs } = index
    const named = [index.catalogs, index.archives, index.operators]
      .map((list) => JSON.stringify(list))
      .join('\n')
    const facts = this.#facts?.named === named ? this.#facts : { named, ...this.#factsOf(index) }
    this.#facts = facts
    const { shards, listed, archived } = facts
    const event = { kind: 'catalogs', shards, listed, archived, readAtMs } as const
    const catalogs = { sequence, sealed, event }
    this.#opened.set(index, catalogs)
    return catalogs
  }

  #factsOf(index: CatalogIndex): Omit<CatalogFacts, 'readAtMs'> {
    const shards: Shard[] = []
    for (const reference of index.catalogs) {
      const bytes = this.#bytes.get(reference.sha256)
      if (bytes === undefined) throw new RangeError(`nobody has catalog ${reference.sha256}`)
      // One object a shard for all nodes and all indexes: equal keys mean equal shards.
      for (const shard of openCatalog(bytes, reference).shards)
        shards.push(this.#sim.upstream.get(shard.key).shard)
    }
    const listed = new Map(index.operators.map((one) => [one.node, one.operator]))
    const archived = new Map<ShardKey, number>()
    for (const reference of index.archives) {
      const { verified } = this.#sim.archive.open(reference)
      for (const { shard, verifiedAtMs } of verified) archived.set(shard, verifiedAtMs)
    }
    return { shards, listed, archived }
  }
}

/** What a run is judged by, counted from what really happened and not from what nodes say. */
import { OVER_CLAIMED } from '../../protocol/core/claiming.ts'
import { HOUR_MS } from './clock.ts'
import type { Machine } from './machine.ts'
import { placesByShard } from './places.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** One point of the curves. */
export interface Sample {
  readonly timeMs: number
  /** Shards that are in a catalog, by the places in which honest nodes hold them whole: 0, 1, 2, ... at most 6. */
  readonly byReplicas: readonly number[]
  /** Of these, those in as many places as are wanted of them: of what is archived and old, one. */
  readonly enough: number
  readonly up: number
  readonly originBytes: number
  readonly uniqueBytes: number
  readonly claims: number
  readonly overClaims: number
  /** Gossip bytes of one node in one hour, since the sample before, amplification in it. */
  readonly gossipBytesPerNodeHour: number
}

interface Detection {
  firstLieMs: number
  provenMs: number | null
}

const REPLICAS_SHOWN_MAX = 6

export class Metrics {
  readonly #sim: Simulation
  readonly samples: Sample[] = []
  originBytes = 0
  swarmBytes = 0
  gossipBytes = 0
  messages = 0
  heartbeats = 0
  claims = 0
  /** Released unfinished because more nodes than needed claimed it. */
  overClaims = 0
  /** Released because nothing came. */
  deadClaims = 0
  leadsPassed = 0
  refused = 0
  damaged = 0
  repaired = 0
  /** Virtual ms from being catalogued until R operators held it, by shard. */
  readonly msToR: number[] = []
  readonly detections = new Map<Machine, Detection>()
  massLossAtMs: number | null = null
  recoveredAtMs: number | null = null
  readonly #cataloguedAt = new Map<number, number>()
  readonly #reachedR = new Set<number>()
  /** Shards that had had all replicas when many nodes were lost, and were not seen with all since. */
  readonly #unrecovered = new Set<number>()
  /** Most bytes of a shard that any one machine took from origin. */
  readonly #onceFromOrigin = new Map<number, number>()
  readonly #byMachine = new Map<number, number>()
  #gossipAtSample = 0
  #sampledAtMs = 0

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  moved(shard: SimShard, machine: Machine, bytes: number, fromOrigin: boolean): void {
    if (!fromOrigin) {
      this.swarmBytes += bytes
      return
    }
    this.originBytes += bytes
    const pair = machine.index * this.#sim.upstream.shards.length + shard.index
    const mine = (this.#byMachine.get(pair) ?? 0) + bytes
    this.#byMachine.set(pair, mine)
    const once = Math.min(shard.shard.sizeBytes, mine)
    if (once > (this.#onceFromOrigin.get(shard.index) ?? 0)) this.#onceFromOrigin.set(shard.index, once)
  }

  /** Machines that took bytes of a shard from origin, over all such shards: 1 when each had one lead. */
  get readersPerShard(): number {
    return this.#onceFromOrigin.size === 0 ? 1 : this.#byMachine.size / this.#onceFromOrigin.size
  }

  get uniqueBytes(): number {
    let sum = 0
    for (const bytes of this.#onceFromOrigin.values()) sum += bytes
    return sum
  }

  published(bytes: number, heartbeat: boolean): void {
    this.messages++
    if (heartbeat) this.heartbeats++
    const { lifecycle, options } = this.#sim
    this.gossipBytes += (bytes * lifecycle.upCount * options.amplification.of) / options.amplification.in
  }

  noticed(machine: Machine, code: string, detail: string): void {
    if (code === 'lead-passed') this.leadsPassed++
    if (code === 'damaged') this.damaged++
    if (code === 'repaired') this.repaired++
    if (!machine.honest) return
    if (code === 'claimed') this.claims++
    if (code !== 'released') return
    if (detail === OVER_CLAIMED) this.overClaims++
    else this.deadClaims++
  }

  lied(machine: Machine): void {
    if (!this.detections.has(machine))
      this.detections.set(machine, { firstLieMs: this.#sim.timeMs, provenMs: null })
  }

  failProven(machine: Machine, checkable: boolean): void {
    const detection = this.detections.get(machine)
    if (detection !== undefined && checkable) detection.provenMs ??= this.#sim.timeMs
  }

  massLost(): void {
    this.massLossAtMs = this.#sim.timeMs
    for (const index of this.#reachedR) this.#unrecovered.add(index)
  }

  /** Rot that nobody has noticed yet is another fault than the loss: such copies count here. */
  #lookForRecovery(): void {
    const sim = this.#sim
    const places = placesByShard(sim, true)
    for (const index of this.#unrecovered) {
      const wanted = sim.archive.wanted(sim.upstream.shards[index] as SimShard, sim.wallMs, 0)
      if ((places.get(index) ?? 0) >= wanted) this.#unrecovered.delete(index)
    }
    if (this.#unrecovered.size === 0) this.recoveredAtMs = sim.timeMs
  }

  sample(): void {
    const sim = this.#sim
    const byReplicas = new Array<number>(REPLICAS_SHOWN_MAX + 1).fill(0)
    const places = placesByShard(sim)
    let enough = 0
    for (const index of sim.coordinator.catalogued) {
      if (!this.#cataloguedAt.has(index)) this.#cataloguedAt.set(index, sim.timeMs)
      const count = places.get(index) ?? 0
      const shown = Math.min(count, REPLICAS_SHOWN_MAX)
      byReplicas[shown] = (byReplicas[shown] ?? 0) + 1
      const shard = sim.upstream.shards[index] as SimShard
      if (count < sim.archive.wanted(shard, sim.wallMs, 0)) continue
      enough++
      if (this.#reachedR.has(index)) continue
      this.#reachedR.add(index)
      this.msToR.push(sim.timeMs - (this.#cataloguedAt.get(index) ?? 0))
    }
    if (this.massLossAtMs !== null && this.recoveredAtMs === null) this.#lookForRecovery()
    const hours = (sim.timeMs - this.#sampledAtMs) / HOUR_MS
    const up = sim.machines.filter((machine) => machine.up).length
    const bytes = this.gossipBytes - this.#gossipAtSample
    this.samples.push({
      timeMs: sim.timeMs,
      byReplicas,
      enough,
      up,
      originBytes: this.originBytes,
      uniqueBytes: this.uniqueBytes,
      claims: this.claims,
      overClaims: this.overClaims,
      gossipBytesPerNodeHour: hours === 0 || up === 0 ? 0 : Math.round(bytes / hours / up),
    })
    this.#gossipAtSample = this.gossipBytes
    this.#sampledAtMs = sim.timeMs
  }
}

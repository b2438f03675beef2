/**
 * The world that the product's cores live in: one heap of events, one virtual clock, one seed. Everything that happens goes
 * through `schedule`, so the same seed gives the same run, to the bit, on every machine.
 */
import type { Event } from '../../protocol/core/event.ts'
import { step } from '../../protocol/core/step.ts'
import { nextWakeMs } from '../../protocol/core/wake.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { createNames, type Names } from '../../protocol/ledger/names.ts'
import type { ParameterChange, Parameters } from '../../protocol/parameters.ts'
import { RankCache } from '../../protocol/placement/rank-cache.ts'
import { Archive } from './archive.ts'
import { Attackers } from './attackers.ts'
import { Audits } from './audits.ts'
import { Coordinator } from './catalogs.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, START_WALL_MS } from './clock.ts'
import { wantsTick } from './core-view.ts'
import { FaultPlan } from './faults.ts'
import { makeFleet } from './fleet.ts'
import { EventHeap } from './heap.ts'
import { Invariants, type Violation } from './invariants.ts'
import { Journal } from './journal.ts'
import { KeyRing, type NodeKey } from './keys.ts'
import { Lifecycle } from './lifecycle.ts'
import type { Machine } from './machine.ts'
import { Messages, type Topic } from './messages.ts'
import { Metrics } from './metrics.ts'
import { type Flight, Network } from './network.ts'
import { Observations } from './observations.ts'
import type { SimOptions } from './options.ts'
import { perform } from './perform.ts'
import { hash3, Prng } from './prng.ts'
import type { Profile } from './profiles.ts'
import { Promises } from './promises.ts'
import { parametersAtMs, scheduleOf } from './schedule.ts'
import { Transfers } from './transfers.ts'
import { Truth } from './truth.ts'
import { Updates } from './updates.ts'
import { drawUpstream, type Upstream } from './upstream.ts'

/** What the heap holds; a and b of an event are said behind. */
const KINDS = [
  'call', // slot of a function
  'tick', // machine
  'wave', // group of machines
  'discover',
  'sample',
  'check-all',
] as const
type HeapKind = (typeof KINDS)[number]

export interface World {
  readonly upstream: Upstream
  /** What is told of each machine, the coordinator's first. */
  readonly profiles: readonly Partial<Profile>[]
}

/** Every invariant about everything, now and then; in between only about what an event touched. */
const CHECK_ALL_MS = 3 * HOUR_MS
const BOOT_WITHIN_MS = 10 * MINUTE_MS

export class Simulation {
  readonly options: SimOptions
  readonly schedule: readonly ParameterChange[]
  readonly rng: Prng
  readonly ring = new KeyRing()
  /** Numbers for names and rendezvous orders: one set for all cores. */
  readonly shared: { readonly names: Names; readonly ranks: RankCache }
  readonly upstream: Upstream
  readonly machines: readonly Machine[]
  readonly network: Network
  readonly messages: Messages
  readonly journal = new Journal()
  readonly metrics = new Metrics(this)
  readonly truth = new Truth(this)
  readonly invariants = new Invariants(this)
  readonly lifecycle: Lifecycle
  readonly updates = new Updates(this)
  readonly promises = new Promises(this)
  readonly transfers = new Transfers(this)
  readonly audits = new Audits(this)
  readonly coordinator = new Coordinator(this)
  readonly archive = new Archive(this)
  readonly observations = new Observations(this)
  readonly attackers = new Attackers(this)
  readonly faultPlan: FaultPlan
  readonly violations: Violation[] = []
  timeMs = 0
  /** Faults still strike. */
  faulty = true
  events = 0
  steps = 0
  ticks = 0
  /** Of every event so far: two runs that differ anywhere differ here. */
  runHash = 0

  readonly #heap = new EventHeap(1 << 16)
  readonly #calls: ((() => void) | null)[] = []
  readonly #freeCalls: number[] = []
  readonly #indexes = new Map<NodeId, number>()

  /** `world`: shards and machines that are given, for stories; otherwise they are drawn from the seed. */
  constructor(options: SimOptions, world: World | null = null) {
    this.options = options
    this.schedule = scheduleOf(options)
    const seed = new Prng(options.seed)
    this.rng = seed.fork('world')
    const names = createNames()
    this.shared = { names, ranks: new RankCache(names) }
    this.upstream = world?.upstream ?? drawUpstream(options, seed.fork('upstream'))
    this.machines = makeFleet(options, this.ring, seed.fork('fleet'), world?.profiles)
    for (const machine of this.machines) this.#indexes.set(machine.id, machine.index)
    const home = this.machines[0] as Machine
    this.messages = new Messages(this.ring, new Set([home.id]))
    this.network = new Network(this, this.machines.length, seed.next())
    this.lifecycle = new Lifecycle(this)
    this.faultPlan = new FaultPlan(this, seed.fork('faults'))
    const honest = this.machines.filter((machine) => machine.profile.kind === 'honest')
    this.coordinator.list(
      honest.filter((machine, place) => machine.index === 0 || place % 3 === 1 || place < 8),
    )
    for (const machine of this.machines) {
      if (machine.profile.kind === 'sybil') continue
      this.call(this.rng.below(BOOT_WITHIN_MS), () => this.lifecycle.boot(machine))
    }
    this.plan(this.rng.between(2, 60) * MINUTE_MS, 'discover', 0, 0)
    this.plan(0, 'sample', 0, 0)
    this.plan(CHECK_ALL_MS, 'check-all', 0, 0)
    this.faultPlan.schedule()
    this.attackers.start()
  }

  /** Unix ms on a clock that is right. */
  get wallMs(): number {
    return START_WALL_MS + this.timeMs
  }

  get parameters(): Parameters {
    return parametersAtMs(this.schedule, this.timeMs)
  }

  plan(inMs: number, kind: HeapKind, a: number, b: number): void {
    this.#heap.push(this.timeMs + inMs, KINDS.indexOf(kind), a, b)
  }

  call(inMs: number, act: () => void): void {
    const slot = this.#freeCalls.pop() ?? this.#calls.length
    this.#calls[slot] = act
    this.plan(Math.max(0, inMs), 'call', slot, 0)
  }

  /** Runs it later if the machine is still in the same life then. */
  later(inMs: number, machine: Machine, act: () => void): void {
    const { life } = machine
    this.call(inMs, () => {
      if (machine.life === life) act()
    })
  }

  /** Until this virtual time, or the first violation. */
  run(untilMs: number): void {
    while (this.violations.length === 0 && this.#heap.nextMs <= untilMs) {
      this.#heap.pop()
      this.timeMs = this.#heap.timeMs
      this.events++
      const { kind, a, b } = this.#heap
      this.runHash = hash3(this.runHash, hash3(kind, a, b), this.timeMs % 0xffff_ffff)
      this.#happen(KINDS[kind] as HeapKind, a)
    }
    if (this.violations.length === 0) this.timeMs = untilMs
  }

  #happen(kind: HeapKind, a: number): void {
    switch (kind) {
      case 'call': {
        const act = this.#calls[a]
        this.#calls[a] = null
        this.#freeCalls.push(a)
        act?.()
        return
      }
      case 'tick':
        this.#tick(this.machines[a] as Machine)
        return
      case 'wave':
        this.network.wave(a)
        return
      case 'discover':
        this.coordinator.discover()
        return
      case 'sample':
        this.metrics.sample()
        this.plan(Math.ceil((this.options.days * DAY_MS) / this.options.samples), 'sample', 0, 0)
        return
      case 'check-all':
        this.invariants.checkAll()
        this.plan(CHECK_ALL_MS, 'check-all', 0, 0)
        return
    }
  }

  /** The core plans; then it says when it wants to plan again. */
  #tick(machine: Machine): void {
    if (machine.wakesAtMs !== this.timeMs || !machine.up) return
    machine.wakesAtMs = Number.POSITIVE_INFINITY
    this.network.read(machine)
    if (!machine.up) return
    this.ticks++
    this.dispatch(machine, { kind: 'tick' })
    this.#planWake(machine)
  }

  /** Arranges a tick, unless an earlier one is. */
  #wake(machine: Machine, inMs: number): void {
    const atMs = this.timeMs + Math.ceil(inMs)
    if (atMs >= machine.wakesAtMs) return
    machine.wakesAtMs = atMs
    this.plan(Math.ceil(inMs), 'tick', machine.index, 0)
  }

  /** What was gossiped since it last looked; it plans at once when something of it matters. */
  readMail(machine: Machine): void {
    this.network.read(machine)
    if (machine.state !== null && wantsTick(machine.state)) this.#wake(machine, 0)
  }

  /** One event of one core, and what it wants done. */
  dispatch(machine: Machine, event: Event): void {
    if (machine.state === null) return
    this.steps++
    const effects = step(machine.state, event, machine.clock.read(this.timeMs))
    if (effects.length > 0) {
      perform(this, machine, effects)
      this.invariants.stepped(machine)
    }
    // Records say themselves whether they matter; they are too many to be asked for each.
    if (event.kind !== 'tick' && event.kind !== 'record') this.#planWake(machine)
  }

  #planWake(machine: Machine): void {
    if (machine.state === null) return
    const now = machine.clock.read(this.timeMs)
    this.#wake(machine, Math.max(this.options.tickMs, nextWakeMs(machine.state, now) - now.monotonicMs))
  }

  /** Gossiped bytes arrive at a machine. */
  deliver(machine: Machine, topic: Topic, bytes: Uint8Array, flight: Flight): void {
    if (topic === 'catalogs') this.coordinator.heard(machine, bytes)
    else if (topic === 'observations') this.observations.hear(machine, bytes, false)
    else this.updates.hear(machine, bytes, flight)
  }

  indexOf(node: NodeId): number {
    return this.#indexes.get(node) ?? -1
  }

  machineOf(node: NodeId): Machine | null {
    return this.machines[this.indexOf(node)] ?? null
  }

  /** Somebody whom this machine can connect to now. */
  randomPeer(machine: Machine): Machine | null {
    for (let tries = 0; tries < 16; tries++) {
      const peer = this.machines[this.rng.below(this.machines.length)] as Machine
      if (peer !== machine && this.network.canTalk(machine, peer)) return peer
    }
    return null
  }

  rename(machine: Machine, key: NodeKey): void {
    this.#indexes.delete(machine.id)
    machine.key = key
    this.#indexes.set(key.nodeId, machine.index)
  }

  violate(name: string, detail: string, machine: number, shard: number): void {
    this.violations.push({ name, detail, machine, shard, timeMs: this.timeMs })
  }

  /** Faults and attackers stop; who is not gone for good comes up. */
  calm(): void {
    this.faulty = false
    this.network.heal()
    this.faultPlan.originAway = false
    if (this.coordinator.dead) this.faultPlan.reviveCoordinator()
    for (const machine of this.machines) {
      machine.effectsUntilCrash = -1
      if (!machine.honest) this.lifecycle.remove(machine)
      else this.lifecycle.boot(machine)
    }
  }
}

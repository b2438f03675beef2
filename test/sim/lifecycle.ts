/** Starting and stopping of machines: what survives, what is torn, what a node does first (as `node/member.ts` does it). */
import { initialState } from '../../protocol/core/kept.ts'
import { SECOND_MS } from './clock.ts'
import { ownOf } from './core-view.ts'
import { hostOf, type Machine } from './machine.ts'
import type { Simulation } from './simulation.ts'

/** Time until the first peer has answered. */
const GREET_MIN_MS = 2 * SECOND_MS
const GREET_MAX_MS = 8 * SECOND_MS

/** Exchanges after a start in which a node compares everything: its first peers may have come just now too. */
const FRESH_VISITS = 3

export class Lifecycle {
  readonly #sim: Simulation
  boots = 0
  crashes = 0
  /** Machines that are up. */
  upCount = 0

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  boot(machine: Machine): void {
    const sim = this.#sim
    if (machine.up || machine.gone) return
    this.boots++
    machine.up = true
    this.upCount++
    machine.life++
    machine.clock.bootedAtMs = sim.timeMs
    machine.freshVisits = FRESH_VISITS
    machine.cursor = sim.network.end
    machine.wakesAtMs = Number.POSITIVE_INFINITY
    machine.effectsUntilCrash = -1
    const init = {
      ...sim.shared,
      self: machine.id,
      schedule: sim.schedule,
      settings: { ...machine.settings, bytesTotal: machine.bytesTotal },
    }
    machine.state = initialState(init, machine.kept, machine.clock.read(sim.timeMs))
    sim.journal.note(sim.timeMs, machine.index, -1, 'up')
    if (machine.catalogs !== null) sim.dispatch(machine, machine.catalogs.event)
    machine.book = sim.updates.makeBook(machine)
    for (const record of machine.records) {
      const change = machine.book.restore(record, machine.clock.read(sim.timeMs).wallMs)
      if (change !== null) sim.dispatch(machine, { kind: 'record', record, change })
    }
    machine.records = []
    machine.observations = sim.observations.makeBook(machine)
    for (const sealed of machine.observed) sim.observations.hear(machine, sealed, true)
    machine.observed = []
    this.#lookAtDisk(machine)
    sim.dispatch(machine, {
      kind: 'endpoints',
      libp2p: [`/ip4/${hostOf(machine)}/tcp/4001`],
      bittorrent: [{ host: hostOf(machine), port: 6881 }],
    })
    sim.later(sim.rng.between(GREET_MIN_MS, GREET_MAX_MS), machine, () => this.#greet(machine))
  }

  /** The power goes: memory is lost, files that were being written are torn. */
  crash(machine: Machine): void {
    if (!machine.up) return
    this.crashes++
    this.#down(machine, 'crash')
  }

  stop(machine: Machine): void {
    if (machine.up) this.#down(machine, 'down')
  }

  /** Never to be seen again, with its disk. */
  remove(machine: Machine): void {
    this.stop(machine)
    machine.gone = true
  }

  /** The store is lost, the files are not. */
  forget(machine: Machine): void {
    machine.kept = null
    machine.records = []
    machine.catalogs = null
    machine.observed = []
  }

  #down(machine: Machine, what: 'crash' | 'down'): void {
    const sim = this.#sim
    machine.up = false
    this.upCount--
    machine.life++
    if (machine.book !== null) machine.records = [...machine.book.records()]
    if (machine.observations !== null)
      machine.observed = [...machine.observations.all()].map((one) => one.sealed)
    machine.state = null
    machine.book = null
    machine.observations = null
    machine.late = []
    machine.behind.clear()
    sim.transfers.cancelAll(machine, what === 'crash')
    sim.journal.note(sim.timeMs, machine.index, -1, what)
  }

  /** What a start finds: held shards whose files have not the right sizes any more are told to the core. */
  #lookAtDisk(machine: Machine): void {
    const sim = this.#sim
    if (machine.state === null) return
    for (const own of ownOf(machine.state)) {
      if (!own.held) continue
      const shard = sim.upstream.get(own.shard.key)
      const copy = machine.disk.copies.get(shard.index)
      if (copy?.whole === true || !machine.honest) continue
      sim.dispatch(machine, {
        kind: 'checked',
        shard: own.shard.key,
        damaged: machine.disk.damagedFiles(shard),
      })
    }
  }

  /** The first peer answers: what it knows is pulled, then the core may act. Tried again until there is one. */
  #greet(machine: Machine): void {
    const sim = this.#sim
    if (!sim.updates.visit(machine)) {
      sim.later(10 * SECOND_MS, machine, () => this.#greet(machine))
      return
    }
    sim.dispatch(machine, { kind: 'connections', count: 8 })
    if (machine.profile.reachable) sim.dispatch(machine, { kind: 'reachability', reachable: true })
    if (machine.leaving) sim.dispatch(machine, { kind: 'leave' })
    sim.updates.keepVisiting(machine)
  }
}

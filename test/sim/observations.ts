/**
 * Upstream read by nodes while no coordinator is heard of (PROTOCOL 1): sealed observations, the documents they name, and what a node
 * makes of them, as `node/upstream/observer.ts` and `node/runtime/observations.ts` do it.
 */

import {
  describeRun,
  type Observation,
  openRun,
  type RunReference,
} from '../../protocol/catalog/observation.ts'
import { ObservationBook } from '../../protocol/catalog/observation-book.ts'
import { observerClass } from '../../protocol/catalog/observers.ts'
import { type Glimpse, knownAmong, runsToRead } from '../../protocol/catalog/runs-to-read.ts'
import type { Effect } from '../../protocol/core/effect.ts'
import { OBSERVATION_RUNS_MAX } from '../../protocol/limits.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { DAY_MS, MINUTE_MS, SECOND_MS } from './clock.ts'
import type { Machine } from './machine.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** Reading the index of all wikis and the statuses of some runs takes so long. */
const READ_MAX_MS = 5 * MINUTE_MS
/** Pulling the documents that count. */
const PULL_MAX_MS = 5 * SECOND_MS

export class Observations {
  readonly #sim: Simulation
  /** By sha256: what observers described, and who sealed which observation. */
  readonly #bytes = new Map<string, Uint8Array>()
  readonly #opened = new Map<string, readonly Shard[]>()
  readonly #said = new Map<string, Machine>()
  /** By shard: operators and machines of those who really named it. */
  readonly #namedBy = new Map<number, { operators: Set<string>; machines: Set<Machine> }>()
  /** Honest readings of upstream, by virtual day. */
  readonly readings = new Map<number, number>()

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  makeBook(machine: Machine): ObservationBook {
    return new ObservationBook({
      open: this.#sim.messages.openObservation,
      parameters: () => machine.state?.parameters ?? this.#sim.parameters,
      classOf: (node) =>
        machine.state === null
          ? Number.POSITIVE_INFINITY
          : observerClass(machine.state.ledger, machine.state.names.nodes.find(node)),
    })
  }

  /** A core wants upstream read. */
  observe(machine: Machine, { after, known }: Extract<Effect, { kind: 'observe' }>): void {
    const { rng, timeMs } = this.#sim
    if (machine.honest) {
      const day = Math.floor(timeMs / DAY_MS)
      this.readings.set(day, (this.readings.get(day) ?? 0) + 1)
    }
    this.#sim.later(rng.below(READ_MAX_MS), machine, () => {
      // Who could read nothing has not looked; liars speak when they like.
      if (this.#sim.faultPlan.originAway || this.#sim.attackers.observes(machine)) return
      const isKnown = knownAmong(known)
      const runs = runsToRead(this.#index(), isKnown, { after, runsMax: OBSERVATION_RUNS_MAX })
      this.say(
        machine,
        runs.map((one) => one.shards),
      )
    })
  }

  /** The newest settled run of each wiki that upstream still has. */
  #index(): Glimpse[] {
    const { timeMs, upstream } = this.#sim
    const newest = new Map<string, { date: string; updatedMs: number; shards: Shard[] }>()
    for (const { shard, settledAtMs, deletedAtMs, isReal } of upstream.shards) {
      if (!isReal || settledAtMs > timeMs || deletedAtMs <= timeMs) continue
      const known = newest.get(shard.wiki)
      if (known?.date === shard.date) known.shards.push(shard)
      else if (known === undefined || known.date < shard.date)
        newest.set(shard.wiki, { date: shard.date, updatedMs: settledAtMs, shards: [shard] })
    }
    return [...newest].map(([wiki, run]) => ({ dataset: 'dumps', wiki, ...run }))
  }

  /** Seals what a machine says that it read, and tells it. */
  say(machine: Machine, runs: readonly (readonly Shard[])[]): void {
    const { timeMs, messages, network, journal } = this.#sim
    const references: RunReference[] = []
    for (const shards of runs) {
      const described = describeRun(shards)
      if (described === null) throw new RangeError('a run of the simulator is too long to be described')
      this.#bytes.set(described.reference.sha256, described.bytes)
      references.push(described.reference)
      for (const shard of shards) this.#named(machine, this.#sim.upstream.get(shard.key))
    }
    const { wallMs } = machine.clock.read(timeMs)
    const observation: Observation = {
      node: machine.id,
      operator: machine.profile.operator,
      atMs: wallMs,
      runs: references.sort((a, b) => (a.run < b.run ? -1 : 1)),
    }
    const sealed = messages.sealObservation(machine.key, observation)
    this.#said.set(messages.nameOf(sealed), machine)
    const words = references.map(({ run }) => run.replace('dumps/', '')).join(' ')
    journal.note(timeMs, machine.index, -1, 'observed', words === '' ? 'nothing new' : words)
    this.hear(machine, sealed, true)
    network.gossip(sealed, 'observations', machine.index)
  }

  #named(machine: Machine, { index }: SimShard): void {
    const known = this.#namedBy.get(index) ?? { operators: new Set<string>(), machines: new Set<Machine>() }
    known.operators.add(machine.profile.operator)
    known.machines.add(machine)
    this.#namedBy.set(index, known)
  }

  /** May a node act on it though no coordinator named it: did it read it itself, or did two operators? */
  isAgreed(machine: Machine, { index }: SimShard): boolean {
    const named = this.#namedBy.get(index)
    return named !== undefined && (named.operators.size >= 2 || named.machines.has(machine))
  }

  /** `late`: from somebody who was asked what he knows. */
  hear(machine: Machine, sealed: Uint8Array, late: boolean): void {
    const sim = this.#sim
    const heard = machine.observations?.hear(sealed, machine.clock.read(sim.timeMs).wallMs, late)
    if (heard?.kind === 'refused') sim.metrics.refused++
    if (heard?.kind !== 'new') return
    const { kept, replaced } = heard
    sim.invariants.heardObservation(machine, kept, this.#said.get(kept.sha256))
    const replaces = replaced?.observation ?? null
    sim.dispatch(machine, { kind: 'observation', observation: kept.observation, replaces })
  }

  /** Two machines meet: the one takes what it does not know. */
  pass(from: Machine, to: Machine): void {
    const [theirs, own] = [from.observations, to.observations]
    if (theirs === null || own === null || theirs.digest === own.digest) return
    const names = [...theirs.all()].map((one) => one.sha256)
    for (const name of own.missing(names)) {
      const sealed = theirs.get(name)
      if (sealed !== undefined) this.hear(to, sealed, true)
    }
  }

  /** What a core needs of documents: they come from anybody, so whoever looks gets them. */
  pull(machine: Machine, missing: readonly RunReference[]): void {
    if (missing.length === 0) return
    this.#sim.later(this.#sim.rng.below(PULL_MAX_MS), machine, () => {
      for (const reference of missing) {
        const { sha256 } = reference
        const bytes = this.#bytes.get(sha256)
        if (bytes === undefined) throw new RangeError(`nobody has the run ${sha256}`)
        // One object a shard for all nodes: equal keys mean equal shards.
        const shards =
          this.#opened.get(sha256) ??
          openRun(bytes, reference).map((shard) => this.#sim.upstream.get(shard.key).shard)
        this.#opened.set(sha256, shards)
        this.#sim.dispatch(machine, { kind: 'run', sha256, shards })
      }
    })
  }

  forget(machine: Machine, observation: Observation): void {
    machine.observations?.forget(observation)
  }
}

/** Those who do not keep to the rules. Each runs the product's core; what it says, serves or sends besides is bent here. */
import { AUDIT_CHALLENGE_DOMAIN, AUDIT_CHALLENGE_TYPE } from '../../protocol/audit/messages.ts'
import { compareBytes } from '../../protocol/codec/bytes.ts'
import type { FetchSource } from '../../protocol/core/effect.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { GOSSIP_BYTES_MAX } from '../../protocol/limits.ts'
import { nextUpdate, type Statement } from '../../protocol/manifest/next-update.ts'
import type { NodeRecord } from '../../protocol/manifest/node-record.ts'
import {
  encodeNodeUpdate,
  NODE_UPDATE_DOMAIN,
  NODE_UPDATE_TYPE,
} from '../../protocol/manifest/node-update.ts'
import { score } from '../../protocol/placement/rank.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from './clock.ts'
import { isStale } from './core-view.ts'
import type { Copy } from './disk.ts'
import type { NodeKey } from './keys.ts'
import type { Machine } from './machine.ts'
import { hash3 } from './prng.ts'
import type { Simulation } from './simulation.ts'
import { INVENTED_DATE, type SimShard } from './upstream.ts'

const FORGE_EVERY_MS = 20 * MINUTE_MS
const LIE_EVERY_MS = 6 * HOUR_MS
const REPLAY_EVERY_MS = 30 * MINUTE_MS
/** Keys that a sybil makes to find one that ranks well for a shard it wants. */
const GRIND_TRIES = 500
const STOLEN_MAX = 200

export class Attackers {
  readonly #sim: Simulation
  /** Old sealed updates of others, kept to be sent again. */
  readonly #stolen: Uint8Array[] = []

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  start(): void {
    const { rng, options, machines, upstream } = this.#sim
    const haveLies = upstream.shards.some((one) => !one.isReal)
    for (const machine of machines) {
      if (machine.profile.kind === 'sybil') {
        this.#sim.call(rng.between(HOUR_MS, options.days * DAY_MS), () => this.#bear(machine))
      }
      if (machine.profile.kind === 'forger') this.#every(machine, FORGE_EVERY_MS, () => this.#forge(machine))
      if (haveLies && this.observes(machine)) this.#every(machine, LIE_EVERY_MS, () => this.#lie(machine))
      if (machine.profile.kind === 'replayer')
        this.#every(machine, REPLAY_EVERY_MS, () => this.#replay(machine))
    }
  }

  /** True when the attacker publishes in its own way: one sequence, two stories, each told to one half. */
  publishes(machine: Machine, statement: Omit<Statement, 'node'>): boolean {
    const { book } = machine
    if (machine.profile.kind !== 'equivocator' || book === null) return false
    const { messages, network, truth } = this.#sim
    const seal = (payload: Uint8Array) => messages.sealUpdate(machine.key, payload)
    const previous = book.get(machine.id) ?? null
    const other = {
      ...statement,
      node: machine.id,
      entries: [...statement.entries].slice(1),
      ttlMs: statement.ttlMs - 1,
    }
    const { update, state } = nextUpdate(previous, other)
    const { record, change } = book.say(statement, seal)
    truth.sealed(machine, record.sequence, record.digest)
    truth.sealed(machine, record.sequence, state.digest)
    network.gossip(record.sealed, 'manifests', machine.index, { half: 0 })
    network.gossip(seal(encodeNodeUpdate(update)), 'manifests', machine.index, { half: 1 })
    this.#sim.dispatch(machine, { kind: 'record', record, change })
    return true
  }

  /** True when the attacker does something else than fetching. */
  fetches(machine: Machine, shard: SimShard, source: FetchSource): boolean {
    const { kind } = machine.profile
    if (kind === 'hog' || kind === 'sybil') return true
    if (kind !== 'liar' || (hash3(machine.index, shard.index, 7) & 1) === 0) return false
    const infohash = source.kind === 'swarm' ? source.infohash : madeUp(shard)
    this.#sim.later(10 * MINUTE_MS, machine, () => {
      this.#sim.metrics.lied(machine)
      const lie = { infohash, fromOriginBytes: 0, fromSwarmBytes: 0 }
      this.#sim.dispatch(machine, { kind: 'fetched', shard: shard.shard.key, ...lie })
    })
    return true
  }

  /** Does it say of upstream what it likes? */
  observes(machine: Machine): boolean {
    return machine.profile.kind === 'liar' || machine.profile.kind === 'half-liar'
  }

  /** Liars speak whether it is their turn or not, all the same: of runs that there are not, and other bytes of those that there are. */
  #lie(machine: Machine): void {
    const { upstream, timeMs, observations } = this.#sim
    const { state } = machine
    if (state === null || !isStale(state, machine.clock.read(timeMs))) return
    const there = upstream.real.filter((one) => one.settledAtMs <= timeMs).map((one) => one.shard.id)
    const lies = upstream.shards.filter(
      ({ isReal, shard }) => !isReal && (shard.date === INVENTED_DATE || there.includes(shard.id)),
    )
    if (lies.length > 0)
      observations.say(
        machine,
        lies.map((one) => [one.shard]),
      )
  }

  /** A fetch came to its end on this disk. */
  gotShard(machine: Machine, copy: Copy): void {
    if (machine.profile.kind !== 'half-liar') return
    const { sizeBytes } = copy.shard.shard
    machine.disk.damage(copy, { from: sizeBytes >> 1, to: sizeBytes })
    this.#sim.metrics.lied(machine)
  }

  /** Sybils are born when there is something to grind for: their keys rank first for one of these shards. */
  #bear(machine: Machine): void {
    const { ring, rng, coordinator, upstream, faulty } = this.#sim
    if (coordinator.catalogued.size === 0 || !faulty) return
    const target = upstream.shards[rng.pick([...coordinator.catalogued])] as SimShard
    let best: NodeKey = machine.key
    let bestScore = score(target.shard.digest, best.nodeId, 1)
    for (let i = 0; i < GRIND_TRIES; i++) {
      const key = ring.make(rng)
      const found = score(target.shard.digest, key.nodeId, 1)
      if (compareBytes(found, bestScore) <= 0) continue
      best = key
      bestScore = found
    }
    this.#sim.rename(machine, best)
    this.#sim.lifecycle.boot(machine)
  }

  #every(machine: Machine, everyMs: number, act: () => void): void {
    const sim = this.#sim
    const again = () => {
      if (!sim.faulty || machine.gone) return
      if (machine.up) act()
      sim.call(everyMs, again)
    }
    sim.call(sim.rng.between(1, everyMs), again)
  }

  #forge(machine: Machine): void {
    const { rng, network } = this.#sim
    const victim = this.#sim.machines[rng.below(this.#sim.machines.length)] as Machine
    const genuine = machine.book?.get(victim.id)
    const own = machine.book?.get(machine.id)
    if (victim === machine || genuine === undefined || own === undefined) return
    const { sealed } = genuine
    const changed = sealed.slice()
    const at = rng.below(changed.length)
    changed[at] = ((changed[at] ?? 0) + 1 + rng.below(255)) & 255
    // The victim's bytes with one changed; cut short; too many; an own text that was signed for another use; own nonsense, own words of tomorrow.
    const payload = encodeNodeUpdate(this.#saying(own, 0))
    const otherDomain = machine.key.seal(AUDIT_CHALLENGE_DOMAIN, NODE_UPDATE_TYPE, payload)
    const otherType = machine.key.seal(NODE_UPDATE_DOMAIN, AUDIT_CHALLENGE_TYPE, payload)
    const nonsense = machine.key.seal(
      NODE_UPDATE_DOMAIN,
      NODE_UPDATE_TYPE,
      Uint8Array.of(0x81, 0x81, 0x81, 0xa0),
    )
    const future = this.#sim.messages.sealUpdate(machine.key, encodeNodeUpdate(this.#saying(own, DAY_MS)))
    const huge = new Uint8Array(GOSSIP_BYTES_MAX + 1)
    for (const bytes of [
      changed,
      otherDomain,
      otherType,
      nonsense,
      future,
      huge,
      sealed.subarray(0, sealed.length - 1),
    ]) {
      network.gossip(bytes, 'manifests', machine.index, { hostile: true })
    }
    network.gossip(changed, 'catalogs', machine.index, { hostile: true })
    network.gossip(changed, 'observations', machine.index, { hostile: true })
    const [observed] = [...(victim.observations?.all() ?? [])]
    if (observed === undefined) return
    const bent = observed.sealed.slice()
    const place = rng.below(bent.length)
    bent[place] = ((bent[place] ?? 0) + 1 + rng.below(255)) & 255
    network.gossip(bent, 'observations', machine.index, { hostile: true })
  }

  /** An update by which a node would take back all that it says, some time from now. */
  #saying(own: NodeRecord, aheadMs: number) {
    const { node, head, ttlMs } = own
    const times = { issuedAtMs: own.issuedAtMs + aheadMs, sequence: own.sequence + 1 + aheadMs }
    const statement = { node, head, ttlMs, ...times, entries: [], refuted: [], audits: [] }
    return nextUpdate(own, statement).update
  }

  #replay(machine: Machine): void {
    const { rng, network, machines } = this.#sim
    const known = machine.book?.get((machines[rng.below(machines.length)] as Machine).id)
    if (known !== undefined) {
      if (this.#stolen.length < STOLEN_MAX) this.#stolen.push(known.sealed)
      else this.#stolen[rng.below(STOLEN_MAX)] = known.sealed
    }
    if (this.#stolen.length > 0) {
      network.gossip(rng.pick(this.#stolen), 'manifests', machine.index, { hostile: true })
    }
  }
}

function madeUp(shard: SimShard): Infohash {
  return [...shard.infohash].reverse().join('') as Infohash
}

/**
 * What must hold in every run (docs/PROTOCOL.md, section 11), recomputed from what really is on disks and was signed, by other
 * code than the product's. After each step those about the machine that stepped; all of them about everything now and then.
 */
import type { KeptObservation } from '../../protocol/catalog/observation-book.ts'
import type { ReceiptVerdict } from '../../protocol/core/event.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { NodeRecord } from '../../protocol/manifest/node-record.ts'
import { EXPIRY_SLACK_MS } from './archive.ts'
import { healthOf, isNamed, knownSequence, ownOf, reservedOf } from './core-view.ts'
import type { Machine } from './machine.ts'
import { independentPlaces } from './places.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** Views of shards that are looked at in one round. */
const SAFE_SAMPLES = 100
const KNOWLEDGE_PARTS = 8

export interface Violation {
  readonly name: string
  readonly detail: string
  /** -1: none in particular. */
  readonly machine: number
  readonly shard: number
  readonly timeMs: number
}

/** Null when it holds, else what does not and of which shard. */
export type Broken = { readonly detail: string; readonly shard: number } | null

/** 2: no reservation takes a node above its capacity. */
export function withinCapacity(machine: Machine): Broken {
  if (machine.state === null) return null
  const reserved = reservedOf(machine.state)
  // Above a cap that was lowered it may be for a while, but never take more.
  const allowed = Math.max(machine.bytesTotal, machine.reservedBytes)
  machine.reservedBytes = reserved
  if (reserved <= allowed) return null
  return { detail: `reserved ${reserved} of ${machine.bytesTotal} bytes`, shard: -1 }
}

/** 3: one shard key, one infohash among honest nodes. */
export function oneInfohash(machine: Machine, sim: Simulation): Broken {
  if (machine.state === null || !machine.honest) return null
  for (const own of ownOf(machine.state)) {
    if (!own.held) continue
    const shard = sim.upstream.get(own.shard.key)
    if (own.infohash !== shard.infohash)
      return { detail: `holds it under ${own.infohash}`, shard: shard.index }
  }
  return null
}

/** Held means every byte was there: an honest core never says so of what its disk does not have. Rot comes later. */
export function heldIsWhole(machine: Machine, sim: Simulation): Broken {
  if (machine.state === null || !machine.honest) return null
  for (const own of ownOf(machine.state)) {
    if (!own.held) continue
    const shard = sim.upstream.get(own.shard.key)
    const copy = machine.disk.copies.get(shard.index)
    if (copy?.whole !== true)
      return { detail: 'says that it holds what is not on its disk', shard: shard.index }
  }
  return null
}

/** 4: nobody knows a newer sequence of a node than that node signed. */
export function knowsOnlyWhatWasSigned(machine: Machine, sim: Simulation): Broken {
  if (machine.state === null) return null
  for (const other of sim.machines) {
    const known = knownSequence(machine.state, other.id)
    if (known > sim.truth.sequenceOf(other)) {
      return { detail: `knows sequence ${known} of n${other.index}, which never signed it`, shard: -1 }
    }
  }
  return null
}

/**
 * 6: what a node calls safe is safe by section 0: R places whose replicas were proven by auditors that count for this node,
 * within `auditValidMs`, or one such beside a verified copy at the archive; here from the record of what was really found.
 */
export function safeIsSafe(machine: Machine, shard: SimShard, sim: Simulation): Broken {
  if (machine.state === null || !machine.honest) return null
  if (!healthOf(machine.state, shard.shard.key, sim.timeMs + machine.clock.skewMs).safe) return null
  const { replicas, auditValidMs, clockSkewMs } = sim.parameters
  const holders = new Set<Machine>()
  for (const [holder, passes] of sim.truth.proofs(shard)) {
    const one = sim.machines[holder] as Machine
    // PROTOCOL 9: what the collector has is no place.
    if (one.index === 0) continue
    for (const [auditor, atMs] of passes) {
      if (auditor !== machine.index && !sim.coordinator.listedMachines.has(auditor)) continue
      if (
        sim.machines[auditor]?.profile.operator === one.profile.operator ||
        sim.timeMs - atMs > auditValidMs + 2 * clockSkewMs
      )
        continue
      holders.add(one)
    }
  }
  const places = independentPlaces([...holders])
  if (places >= replicas) return null
  const { wallMs } = machine.clock.read(sim.timeMs)
  if (places > 0 && sim.archive.holds(shard, wallMs, 2 * clockSkewMs)) return null
  return {
    detail: `calls safe what was proven in only ${places} places`,
    shard: shard.index,
  }
}

interface Known {
  readonly node: NodeId
  readonly sequence: number
}

export class Invariants {
  readonly #sim: Simulation
  #lastGenuine: NodeRecord | null = null
  #rounds = 0
  checks = 0

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  #hold(name: string, broken: Broken, machine: Machine): void {
    this.checks++
    if (broken !== null) this.#sim.violate(name, broken.detail, machine.index, broken.shard)
  }

  /** After a step that wanted something done. */
  stepped(machine: Machine): void {
    this.#hold('within-capacity', withinCapacity(machine), machine)
  }

  /** 1 and PROTOCOL 8: an honest node never gives up the last whole copy of a shard, nor one that it promised to keep. */
  dropping(machine: Machine, shard: SimShard, how: 'release' | 'drop'): void {
    this.checks++
    const { truth, timeMs } = this.#sim
    const copy = machine.disk.copies.get(shard.index)
    if (!machine.honest || copy?.whole !== true || copy.damaged.length > 0) return
    const others = truth.holders(shard).filter((one) => one !== machine)
    if (others.length === 0) this.#sim.violate('last-copy', 'drops the last copy', machine.index, shard.index)
    // Cut off at the very end of its fetch: whole on disk, and it never told anybody.
    if (how === 'release') return
    const { wallMs } = machine.clock.read(timeMs)
    const keepers: Machine[] = []
    // Who sends forged or old messages may all the same hold what he says: his promise is as good as his copy. A copy with a few
    // bad bytes passes an audit now and then, and nobody knows yet.
    for (const one of this.#sim.machines) {
      if (one === machine || one.gone || one.disk.copies.get(shard.index)?.whole !== true) continue
      if (truth.promisedUntilMs(one, shard) > wallMs) keepers.push(one)
    }
    const kept = independentPlaces(keepers)
    if (kept < this.#sim.archive.wanted(shard, wallMs, EXPIRY_SLACK_MS)) {
      const detail = `promised to be kept in only ${kept} places`
      this.#sim.violate('drops-what-others-keep', detail, machine.index, shard.index)
    }
    if (truth.promisedUntilMs(machine, shard) > wallMs) {
      this.#sim.violate('promise-kept', 'drops what it promised to keep', machine.index, shard.index)
    }
  }

  /** 4: a state that was taken for a node's is one that this node signed, and newer than the one before. */
  applied(machine: Machine, record: NodeRecord): void {
    if (record === this.#lastGenuine) return
    this.checks++
    const signer = this.#sim.machineOf(record.node)
    const equivocates = signer?.profile.kind === 'equivocator'
    // null: signed so long ago that it is not remembered here, or one of several stories.
    const { truth } = this.#sim
    const known = signer === null ? false : truth.hasSigned(signer, record.sequence, record.digest)
    const signed = equivocates ? null : known
    if (signed === false) this.#forged(machine, record.node)
    else this.#lastGenuine = record
    const { parameters } = this.#sim
    const aheadMs = record.issuedAtMs - machine.clock.read(this.#sim.timeMs).wallMs
    if (aheadMs > parameters.clockSkewMs) {
      this.#sim.violate('no-future', `took an update from ${aheadMs} ms ahead`, machine.index, -1)
    }
  }

  /** What is known of the node in whose name these bytes came, before they are heard; null when they do not open. */
  before(machine: Machine, sealed: Uint8Array): Known | null {
    const opened = this.#sim.messages.openUpdate(sealed)
    if (!opened.ok || machine.state === null) return null
    return { node: opened.value.node, sequence: this.#oldest(machine, opened.value.node) }
  }

  /** 4: what was sent to harm never takes a node's knowledge back. */
  after(machine: Machine, { node, sequence }: Known): void {
    this.checks++
    const known = this.#oldest(machine, node)
    if (machine.state !== null && known < sequence) {
      this.#sim.violate('no-replay', `an old update took it from ${sequence} to ${known}`, machine.index, -1)
    }
  }

  /** The older of what the book and the ledger know of a node. */
  #oldest(machine: Machine, node: NodeId): number {
    const inLedger = machine.state === null ? 0 : knownSequence(machine.state, node)
    return Math.min(inLedger, machine.book?.get(node)?.sequence ?? 0)
  }

  /** 7: what an honest auditor reports it can prove to whoever has the bytes. */
  receiptSeen(asker: Machine, auditor: Machine, shard: SimShard, verdict: ReceiptVerdict): void {
    this.checks++
    if (!asker.honest || !auditor.honest || verdict === 'fail') return
    const detail = `n${auditor.index} reported a failure and its receipt says ${verdict}`
    this.#sim.violate('failures-are-proven', detail, asker.index, shard.index)
  }

  /** PROTOCOL 1: what no coordinator named is claimed by who read it himself, or when two operators named it. */
  claimed(machine: Machine, shard: SimShard): void {
    this.checks++
    const { state } = machine
    if (!machine.honest || state === null || isNamed(state, shard.shard.key)) return
    if (!this.#sim.observations.isAgreed(machine, shard))
      this.#sim.violate('claims-what-was-agreed', 'too few say that it is there', machine.index, shard.index)
    else if (!shard.isReal && this.#listedAreHeard()) {
      const detail = 'claims on the word of strangers, though those who are listed are there'
      this.#sim.violate('strangers-count-last', detail, machine.index, shard.index)
    }
  }

  /** Nothing keeps nodes from hearing of several operators whom the coordinator lists. */
  #listedAreHeard(): boolean {
    const { coordinator, options, machines } = this.#sim
    if (![...options.faults].every((fault) => fault === 'coordinator' || fault === 'liars')) return false
    const operators = new Set<string>()
    for (const one of machines)
      if (one.up && one.volunteer && coordinator.listedMachines.has(one.index))
        operators.add(one.profile.operator)
    return operators.size >= 4
  }

  /** PROTOCOL 1: nobody honest takes a byte of what upstream never had, however many liars say so. */
  takes(machine: Machine, shard: SimShard): void {
    if (shard.isReal || !machine.honest) return
    this.checks++
    const detail = 'takes bytes of a run that upstream never made'
    this.#sim.violate('only-what-upstream-has', detail, machine.index, shard.index)
  }

  /** 4: an observation that was taken is one that its node sealed. */
  heardObservation(machine: Machine, { observation }: KeptObservation, sealedBy: Machine | undefined): void {
    this.checks++
    if (sealedBy?.id !== observation.node) this.#forged(machine, observation.node)
  }

  /** An update opened that could not be applied yet. */
  opened(machine: Machine, node: NodeId, sequence: number): void {
    const signer = this.#sim.machineOf(node)
    if (signer === null || sequence > this.#sim.truth.sequenceOf(signer)) this.#forged(machine, node)
  }

  /** Nobody is taken for a liar who is none. */
  contradicted(machine: Machine, node: NodeId): void {
    this.checks++
    if (this.#sim.machineOf(node)?.profile.kind === 'equivocator') return
    this.#sim.violate('no-false-contradiction', `says that ${node} contradicts itself`, machine.index, -1)
  }

  #forged(machine: Machine, node: NodeId): void {
    this.#sim.violate(
      'no-forgery',
      `took something in the name of ${node} that it never signed`,
      machine.index,
      -1,
    )
  }

  /** Everything about everybody; of `safe`, which is dear, some shards in the eyes of some nodes. */
  checkAll(): void {
    const sim = this.#sim
    this.#rounds++
    for (const machine of sim.machines) {
      if (!machine.up) continue
      this.#hold('within-capacity', withinCapacity(machine), machine)
      this.#hold('one-infohash', oneInfohash(machine, sim), machine)
      this.#hold('held-is-whole', heldIsWhole(machine, sim), machine)
      // Of everybody about everybody, so a part of them each time.
      if ((machine.index + this.#rounds) % KNOWLEDGE_PARTS !== 0) continue
      this.#hold('knows-only-what-was-signed', knowsOnlyWhatWasSigned(machine, sim), machine)
    }
    const catalogued = [...sim.coordinator.catalogued]
    const asked = Math.min(catalogued.length, SAFE_SAMPLES)
    for (let i = 0; i < asked; i++) {
      const machine = sim.rng.pick(sim.machines)
      const shard = sim.upstream.shards[sim.rng.pick(catalogued)] as SimShard
      this.#hold('safe-is-safe', safeIsSafe(machine, shard, sim), machine)
    }
  }
}

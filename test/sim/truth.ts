/** What really happened, as nobody in the simulation knows it: the measure for what nodes say and believe. */
import { equalBytes } from '../../protocol/codec/bytes.ts'
import type { AuditOutcome } from '../../protocol/manifest/entry.ts'
import { Disk } from './disk.ts'
import type { Machine } from './machine.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** Of an audit by whole file, which takes time: the file that travelled, and whether the copy was whole when it was asked about. */
export interface ByFile {
  readonly file: number
  readonly wasWhole: boolean
}

export interface AuditFact {
  readonly auditor: Machine
  readonly shard: SimShard
  readonly node: Machine
  readonly outcome: AuditOutcome
  readonly byFile: ByFile | null
  readonly timeMs: number
}

/** States remembered of each machine. */
const SIGNED_MAX = 64

export class Truth {
  readonly #sim: Simulation
  /** Newest sequence that each machine itself signed. */
  readonly #sequences = new Map<Machine, number>()
  /** The last states that each machine signed: sequence -> digest. */
  readonly #signed = new Map<Machine, Map<number, Uint8Array>>()
  /** Passes: shard -> audited machine -> auditor -> virtual ms. */
  readonly #proofs = new Map<number, Map<number, Map<number, number>>>()
  /** Machine and shard -> unix ms until when it promised to keep it. */
  readonly #promises = new Map<number, number>()
  /** Failures of honest nodes that honest auditors saw: shard -> machine -> virtual ms of the newest. */
  readonly #fails = new Map<number, Map<number, number>>()
  readonly #spoke = new Map<Machine, { life: number; timeMs: number }>()
  readonly #whole = new Map<number, Disk>()

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  /** A machine seals its manifest: an honest one says one thing with one sequence. */
  sealed(machine: Machine, sequence: number, digest: Uint8Array): void {
    this.#keepPace(machine)
    const last = this.#sequences.get(machine) ?? 0
    if (machine.honest && sequence <= last) {
      const detail = `signed sequence ${sequence} after ${last}`
      this.#sim.violate('never-equivocates', detail, machine.index, -1)
    }
    this.#sequences.set(machine, Math.max(last, sequence))
    const signed = inner(this.#signed, machine)
    signed.set(sequence, digest)
    if (signed.size <= SIGNED_MAX) return
    const oldest = signed.keys().next().value
    if (oldest !== undefined) signed.delete(oldest)
  }

  /** PROTOCOL 4: at most once in `publishMinMs`. A process that just started may speak again at once. */
  #keepPace(machine: Machine): void {
    const { timeMs, parameters } = this.#sim
    const last = this.#spoke.get(machine)
    this.#spoke.set(machine, { life: machine.life, timeMs })
    if (!machine.honest || last === undefined || last.life !== machine.life) return
    if (timeMs - last.timeMs >= parameters.publishMinMs) return
    this.#sim.violate('keeps-pace', `spoke again after ${timeMs - last.timeMs} ms`, machine.index, -1)
  }

  /** Did the machine sign this state under this sequence? Null: too long ago to tell. */
  hasSigned(machine: Machine, sequence: number, digest: Uint8Array): boolean | null {
    const signed = this.#signed.get(machine)
    const known = signed?.get(sequence)
    if (known !== undefined) return equalBytes(known, digest)
    const oldest = signed?.keys().next().value
    return oldest !== undefined && sequence < oldest ? null : false
  }

  sequenceOf(machine: Machine): number {
    return this.#sequences.get(machine) ?? 0
  }

  promised(machine: Machine, shard: SimShard, untilMs: number): void {
    this.#promises.set(machine.index * this.#sim.upstream.shards.length + shard.index, untilMs)
  }

  promisedUntilMs(machine: Machine, shard: SimShard): number {
    return this.#promises.get(machine.index * this.#sim.upstream.shards.length + shard.index) ?? 0
  }

  audited(fact: AuditFact): void {
    const { auditor, shard, node, outcome, timeMs } = fact
    const holds = fact.byFile?.wasWhole ?? node.disk.holds(shard)
    if (outcome === 'fail' && auditor.honest && node.honest && holds) {
      this.#sim.violate(
        'no-slander',
        `reported n${node.index}, whose copy is whole`,
        auditor.index,
        shard.index,
      )
    }
    if (outcome === 'fail' && auditor.honest && node.honest)
      inner(this.#fails, shard.index).set(node.index, timeMs)
    if (outcome !== 'pass') return
    // A pass shows that the ranges asked for were there, not that all of it was.
    const copy = node.disk.copies.get(shard.index)
    if (copy === undefined) {
      this.#sim.violate(
        'no-false-pass',
        `passed n${node.index}, which has nothing of it`,
        auditor.index,
        shard.index,
      )
      return
    }
    if (fact.byFile !== null && !node.disk.hasFile(shard, fact.byFile.file)) {
      const detail = `passed n${node.index} by a file that it has not whole`
      this.#sim.violate('no-false-pass', detail, auditor.index, shard.index)
    }
    const nodes = inner(this.#proofs, shard.index)
    inner(nodes, node.index).set(auditor.index, timeMs)
  }

  /** The copy was read again: what it failed in before is answered. */
  checked(shard: SimShard, node: Machine): void {
    this.#fails.get(shard.index)?.delete(node.index)
  }

  /** When it last failed an honest audit and was not read again since. */
  failedAt(shard: SimShard, node: Machine): number | null {
    return this.#fails.get(shard.index)?.get(node.index) ?? null
  }

  /** Audited machine -> auditor -> virtual ms of the newest true pass. */
  proofs(shard: SimShard): ReadonlyMap<number, ReadonlyMap<number, number>> {
    return this.#proofs.get(shard.index) ?? NO_PROOFS
  }

  /** A disk that holds the shard as upstream made it: a third party with the bytes. */
  wholeDisk(shard: SimShard): Disk {
    let disk = this.#whole.get(shard.index)
    if (disk === undefined) {
      disk = new Disk('upstream', shard.shard.sizeBytes)
      const copy = disk.open(shard)
      disk.grow(copy, shard.shard.sizeBytes)
      copy.whole = true
      this.#whole.set(shard.index, disk)
    }
    return disk
  }

  /** Machines that hold every byte of it now; dead ones do not count, silent ones do. */
  holders(shard: SimShard): Machine[] {
    return this.#sim.machines.filter((one) => !one.gone && one.honest && one.disk.holds(shard))
  }
}

function inner<K, L, V>(outer: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let map = outer.get(key)
  if (map === undefined) {
    map = new Map()
    outer.set(key, map)
  }
  return map
}

const NO_PROOFS: ReadonlyMap<number, ReadonlyMap<number, number>> = new Map()

/**
 * Bytes on the move. A fetch goes at the lowest of what its receiver has left and what its sources give it: origin for a lead,
 * holders and other fetchers for the rest. Rates are looked at anew at each sixteenth and at least every few minutes.
 */
import type { FetchSource } from '../../protocol/core/effect.ts'
import type { FetchFailure } from '../../protocol/core/event.ts'
import type { Infohash } from '../../protocol/ids.ts'
import type { Endpoint } from '../../protocol/manifest/entry.ts'
import { MINUTE_MS, SECOND_MS } from './clock.ts'
import { mustReadFirst } from './core-view.ts'
import type { Copy } from './disk.ts'
import { type Machine, machineOfHost } from './machine.ts'
import { hash3 } from './prng.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** What upstream gives one client (two connections at 5 MB/s), and all of them together. */
const ORIGIN_CLIENT_BYTES_PER_SECOND = 10_000_000
const ORIGIN_ALL_BYTES_PER_SECOND = 1_000_000_000
/** Reading and hashing a finished fetch. */
const VERIFY_BYTES_PER_SECOND = 200_000_000
const REPLAN_MAX_MS = 3 * MINUTE_MS
const STALLED_MS = MINUTE_MS
/** Tries at an upstream that does not answer take about this long. */
const ORIGIN_PATIENCE_MS = 5 * MINUTE_MS

interface Transfer {
  readonly machine: Machine
  readonly shard: SimShard
  readonly copy: Copy
  /** Null: from origin. */
  readonly infohash: Infohash | null
  peers: readonly number[]
  sources: Machine[]
  bytesPerSecond: number
  availableBytes: number
  sinceMs: number
  receivedBytes: number
  ended: boolean
}

export class Transfers {
  readonly #sim: Simulation
  readonly #byShard = new Map<number, Transfer[]>()
  readonly #byMachine = new Map<Machine, Set<Transfer>>()
  #originActive = 0
  /** Most fetches from origin that one honest machine had at once. */
  originAtOnceMax = 0

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  start(machine: Machine, shard: SimShard, source: FetchSource): void {
    this.cancel(machine, shard)
    const transfer: Transfer = {
      machine,
      shard,
      copy: machine.disk.open(shard),
      infohash: source.kind === 'swarm' ? source.infohash : null,
      peers: source.kind === 'swarm' ? machinesOf(source.peers) : [],
      sources: [],
      bytesPerSecond: 0,
      availableBytes: 0,
      sinceMs: this.#sim.timeMs,
      receivedBytes: 0,
      ended: false,
    }
    const all = this.#byShard.get(shard.index)
    if (all === undefined) this.#byShard.set(shard.index, [transfer])
    else all.push(transfer)
    this.#of(machine).add(transfer)
    machine.downloads++
    if (source.kind === 'origin') {
      this.#originActive++
      machine.originDownloads++
      this.originAtOnceMax = Math.max(this.originAtOnceMax, machine.originDownloads)
    }
    this.#sim.later(this.#sim.rng.between(1, 5) * SECOND_MS, machine, () => this.#begin(transfer))
  }

  addPeers(machine: Machine, infohash: Infohash, peers: readonly Endpoint[]): void {
    for (const transfer of this.#of(machine)) {
      if (transfer.infohash === infohash) transfer.peers = machinesOf(peers)
    }
  }

  cancel(machine: Machine, shard: SimShard): void {
    for (const transfer of this.#of(machine)) {
      if (transfer.shard !== shard) continue
      this.#end(transfer)
      return
    }
  }

  /** All of a machine's; when the power went, the last bytes of what was being written are not what was sent. */
  cancelAll(machine: Machine, torn: boolean): void {
    for (const transfer of [...this.#of(machine)]) {
      if (torn && transfer.copy.doneBytes > 0) transfer.copy.torn = this.#sim.rng.chance({ of: 1, in: 2 })
      this.#end(transfer)
    }
  }

  #of(machine: Machine): Set<Transfer> {
    let all = this.#byMachine.get(machine)
    if (all === undefined) {
      all = new Set()
      this.#byMachine.set(machine, all)
    }
    return all
  }

  #begin(transfer: Transfer): void {
    if (transfer.ended) return
    const sim = this.#sim
    const { shard } = transfer
    transfer.sinceMs = sim.timeMs
    const { state } = transfer.machine
    const mustRead = state !== null && mustReadFirst(state, shard.shard.key)
    if (transfer.infohash !== null && !mustRead) {
      this.#plan(transfer)
      return
    }
    // The node's own reading of the run's status comes first (PROTOCOL 1). Of what only strangers name also before the swarm is asked.
    const isGone = sim.timeMs >= shard.deletedAtMs
    if (sim.faultPlan.originAway) this.#failLater(transfer, 'origin-unavailable', 'upstream does not answer')
    else if (!shard.isReal || (mustRead && isGone))
      this.#fail(transfer, 'catalog-disagrees', 'upstream does not have this run')
    else if (isGone) this.#fail(transfer, 'origin-unavailable', 'upstream has deleted the run')
    else this.#plan(transfer)
  }

  /** Decides the rate from now on and when it is looked at again. */
  #plan(transfer: Transfer): void {
    const { machine, copy, shard } = transfer
    const own = Math.floor(machine.profile.downBytesPerSecond / machine.downloads)
    if (transfer.infohash === null) {
      transfer.availableBytes = shard.shard.sizeBytes
      const all = Math.floor(ORIGIN_ALL_BYTES_PER_SECOND / this.#originActive)
      const mine = Math.floor(ORIGIN_CLIENT_BYTES_PER_SECOND / machine.originDownloads)
      transfer.bytesPerSecond = Math.min(own, all, mine)
    } else {
      this.#chooseSources(transfer)
      let given = 0
      for (const source of transfer.sources)
        given += Math.floor(source.profile.upBytesPerSecond / source.uploads)
      transfer.bytesPerSecond = Math.min(own, given)
    }
    const left = transfer.availableBytes - copy.doneBytes
    let waitMs = STALLED_MS
    if (copy.doneBytes >= shard.shard.sizeBytes) waitMs = 0
    else if (left > 0 && transfer.bytesPerSecond > 0) {
      const step = Math.min(left, Math.ceil(shard.shard.sizeBytes / 16))
      waitMs = Math.min(
        REPLAN_MAX_MS,
        Math.max(SECOND_MS, Math.ceil((step / transfer.bytesPerSecond) * 1000)),
      )
    }
    this.#sim.later(waitMs, machine, () => this.#move(transfer))
  }

  /** Holders that were told, and others who fetch the same torrent and are further: whoever can be connected and has more. */
  #chooseSources(transfer: Transfer): void {
    for (const source of transfer.sources) source.uploads--
    transfer.sources = []
    transfer.availableBytes = 0
    const { machine, shard, copy } = transfer
    const offer = (other: Machine) => {
      if (other === machine || transfer.sources.includes(other) || other.profile.upBytesPerSecond === 0)
        return
      if (!machine.profile.reachable && !other.profile.reachable) return
      if (!this.#sim.network.canTalk(machine, other)) return
      const usable = other.disk.usableBytes(shard)
      if (usable <= copy.doneBytes) return
      transfer.sources.push(other)
      transfer.availableBytes = Math.max(transfer.availableBytes, usable)
      other.uploads++
    }
    if (transfer.infohash !== shard.infohash) {
      this.#chooseLiars(transfer)
      return
    }
    for (const peer of transfer.peers) offer(this.#sim.machines[peer] as Machine)
    for (const other of this.#byShard.get(shard.index) ?? []) {
      if (other.infohash === transfer.infohash && !other.ended) offer(other.machine)
    }
  }

  /** Behind a made-up infohash are bytes of the right length and nothing else. */
  #chooseLiars(transfer: Transfer): void {
    for (const peer of transfer.peers) {
      const other = this.#sim.machines[peer] as Machine
      if (other.profile.kind !== 'liar' || !this.#sim.network.canTalk(transfer.machine, other)) continue
      transfer.sources.push(other)
      transfer.availableBytes = transfer.shard.shard.sizeBytes
      other.uploads++
    }
  }

  #move(transfer: Transfer): void {
    if (transfer.ended) return
    const sim = this.#sim
    const { machine, shard, copy } = transfer
    const wanted = Math.floor((transfer.bytesPerSecond * (sim.timeMs - transfer.sinceMs)) / 1000)
    const bytes = Math.max(0, Math.min(wanted, transfer.availableBytes - copy.doneBytes))
    transfer.sinceMs = sim.timeMs
    if (transfer.infohash === null && sim.faultPlan.originAway) {
      this.#failLater(transfer, 'origin-unavailable', 'upstream stopped answering')
      return
    }
    const written = machine.disk.grow(copy, bytes)
    transfer.receivedBytes += written
    sim.invariants.takes(machine, shard)
    sim.metrics.moved(shard, machine, written, transfer.infohash === null)
    if (written > 0)
      sim.dispatch(machine, { kind: 'progress', shard: shard.shard.key, doneBytes: copy.doneBytes })
    if (transfer.ended) return
    if (written < bytes) this.#fail(transfer, 'disk-full', 'no space left on the disk')
    else if (copy.doneBytes < shard.shard.sizeBytes) this.#plan(transfer)
    else {
      const readMs = Math.ceil((shard.shard.sizeBytes / VERIFY_BYTES_PER_SECOND) * 1000)
      sim.later(readMs, machine, () => this.#verify(transfer))
    }
  }

  /** Every size and digest against upstream's (PROTOCOL 6): here, whether the bytes are what they should be. */
  #verify(transfer: Transfer): void {
    if (transfer.ended) return
    const sim = this.#sim
    const { machine, shard, copy } = transfer
    const fromOrigin = transfer.infohash === null
    const wrong = fromOrigin && (copy.torn || sim.faultPlan.wrongBytes(shard))
    // BitTorrent reads a torn file's pieces again and fetches the bad ones; from origin the whole file goes.
    copy.torn = false
    if (wrong) {
      machine.disk.loseFile(shard, hash3(machine.index, shard.index, sim.timeMs))
      this.#fail(transfer, 'digest-mismatch', 'a file has not the digest that upstream lists')
      return
    }
    if (!fromOrigin && transfer.infohash !== shard.infohash) {
      machine.disk.remove(shard)
      this.#fail(
        transfer,
        'bad-infohash',
        'the files of this torrent have not the digests that upstream lists',
      )
      return
    }
    copy.whole = true
    this.#end(transfer)
    sim.attackers.gotShard(machine, copy)
    sim.dispatch(machine, {
      kind: 'fetched',
      shard: shard.shard.key,
      infohash: shard.infohash,
      fromOriginBytes: fromOrigin ? transfer.receivedBytes : 0,
      fromSwarmBytes: fromOrigin ? 0 : transfer.receivedBytes,
    })
  }

  #failLater(transfer: Transfer, code: FetchFailure, detail: string): void {
    transfer.bytesPerSecond = 0
    this.#sim.later(ORIGIN_PATIENCE_MS, transfer.machine, () => this.#fail(transfer, code, detail))
  }

  #fail(transfer: Transfer, code: FetchFailure, detail: string): void {
    if (transfer.ended) return
    this.#end(transfer)
    const { machine, shard, infohash } = transfer
    this.#sim.dispatch(machine, { kind: 'fetch-failed', shard: shard.shard.key, code, detail, infohash })
  }

  #end(transfer: Transfer): void {
    transfer.ended = true
    for (const source of transfer.sources) source.uploads--
    transfer.sources = []
    this.#of(transfer.machine).delete(transfer)
    transfer.machine.downloads--
    if (transfer.infohash === null) {
      this.#originActive--
      transfer.machine.originDownloads--
    }
    const all = this.#byShard.get(transfer.shard.index) ?? []
    all.splice(all.indexOf(transfer), 1)
    if (all.length === 0) this.#byShard.delete(transfer.shard.index)
  }
}

const machinesOf = (peers: readonly Endpoint[]): number[] => peers.map((peer) => machineOfHost(peer.host))

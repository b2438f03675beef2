/**
 * What machines know of each other: hearing updates, filling gaps, anti-entropy (PROTOCOL 4), with the product's book of records
 * and its conversations, as `node/runtime/updates.ts` runs them over streams.
 *
 * In a large fleet most exchanges find nothing, and the network knows of whom a machine lost something. There an exchange looks
 * at these senders only, and a share of all exchanges is run in full, message by message. In a small one all are.
 */

import { ShapeError } from '../../protocol/codec/shape.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { answerCatchUp } from '../../protocol/manifest/catch-up-answer.ts'
import { type Conversation, compareWith, takeFrom } from '../../protocol/manifest/catch-up-ask.ts'
import { type Heard, RecordBook } from '../../protocol/manifest/record-book.ts'
import type { Machine } from './machine.ts'
import type { Flight } from './network.ts'
import { hash3 } from './prng.ts'
import type { Simulation } from './simulation.ts'

/** Up to so many machines, every exchange is run in full. */
const ALWAYS_FULL_MAX = 40
const FULL_ONE_IN = 128
/** Summary, request and the answer of one who has nothing new. */
const QUIET_EXCHANGE_BYTES = 1_100
/** Pauses before each try to fill a gap, the first for its way there. */
const GAP_PAUSES_MS = [1_000, 2_000, 10_000]

export class Updates {
  readonly #sim: Simulation
  exchanges = 0
  fullExchanges = 0
  gaps = 0
  refusedAnswers = 0
  /** Of requests and answers. */
  bytes = 0

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  makeBook(machine: Machine): RecordBook {
    const parameters = () => machine.state?.parameters ?? this.#sim.parameters
    return new RecordBook({ self: machine.id, open: this.#sim.messages.openUpdate, parameters })
  }

  /** Bytes came, by gossip or in an answer. */
  hear(machine: Machine, sealed: Uint8Array, flight: Flight | null): void {
    if (machine.book === null) return
    const { wallMs } = machine.clock.read(this.#sim.timeMs)
    const before = flight?.hostile === true ? this.#sim.invariants.before(machine, sealed) : null
    const heard = machine.book.hear(sealed, wallMs)
    this.#note(machine, heard, flight?.from ?? -1)
    if (before !== null) this.#sim.invariants.after(machine, before)
  }

  #note(machine: Machine, heard: Heard, teller: number): void {
    const sim = this.#sim
    switch (heard.kind) {
      case 'applied':
        sim.invariants.applied(machine, heard.record)
        sim.dispatch(machine, { kind: 'record', record: heard.record, change: heard.change })
        return
      case 'gap':
        sim.invariants.opened(machine, heard.update.node, heard.update.sequence)
        this.#gap(machine, heard.update.node, teller)
        return
      case 'contradiction':
        sim.invariants.contradicted(machine, heard.node)
        sim.dispatch(machine, { kind: 'equivocation', node: heard.node })
        return
      case 'ahead':
        sim.dispatch(machine, { kind: 'ahead', sequence: heard.sequence })
        return
      case 'refused':
        sim.metrics.refused++
        return
      case 'future':
        // A clock that is far off: what came too early for it comes again with an exchange.
        if (teller >= 0) machine.missed(teller)
        return
      default:
        return
    }
  }

  /** Asks who told it, then others. */
  #gap(machine: Machine, node: NodeId, teller: number): void {
    const sim = this.#sim
    this.gaps++
    machine.missed(sim.indexOf(node))
    let tries = 0
    const ask = () => {
      if (machine.book?.isWaiting(node) !== true) return
      const told = sim.machines[teller]
      const peer =
        tries === 0 && told !== undefined && sim.network.canTalk(machine, told)
          ? told
          : sim.randomPeer(machine)
      if (peer !== null) this.#converse(machine, peer, (asking) => takeFrom(asking, [node]))
      tries++
      const pauseMs = GAP_PAUSES_MS[tries]
      if (pauseMs !== undefined) sim.later(pauseMs, machine, ask)
    }
    sim.later(GAP_PAUSES_MS[0] ?? 0, machine, ask)
  }

  /** Every `antiEntropyMs`, until the machine goes down. */
  keepVisiting(machine: Machine): void {
    this.#sim.later(this.#sim.parameters.antiEntropyMs, machine, () => {
      this.visit(machine)
      this.keepVisiting(machine)
    })
  }

  /** One exchange with a random peer; false when none was there. */
  visit(machine: Machine): boolean {
    const sim = this.#sim
    const peer = sim.randomPeer(machine)
    if (peer === null) return false
    this.exchanges++
    sim.network.read(machine)
    sim.network.read(peer)
    if (machine.book === null || peer.book === null) return false
    sim.coordinator.pass(peer, machine)
    sim.observations.pass(peer, machine)
    const inFull =
      sim.machines.length <= ALWAYS_FULL_MAX || hash3(this.exchanges, machine.index, 5) % FULL_ONE_IN === 0
    const fresh = machine.freshVisits > 0
    if (inFull) this.#converse(machine, peer, (asking) => compareWith(asking, fresh))
    else this.#takeMissing(machine, peer)
    this.#forgetMissing(machine, peer)
    return true
  }

  /** Whatever a peer that lacks nothing could not give is not missing any more. */
  #forgetMissing(machine: Machine, peer: Machine): void {
    if (machine.freshVisits > 0) machine.freshVisits--
    if (peer.freshVisits > 0) return
    for (const sender of machine.behind) {
      if (!peer.behind.has(sender) && !this.#isAhead(peer, machine, sender)) machine.behind.delete(sender)
    }
  }

  /** What a peer knows may still be too early for this machine's clock. */
  #isAhead(peer: Machine, machine: Machine, sender: number): boolean {
    const node = this.#sim.machines[sender]?.id
    if (node === undefined) return false
    return (peer.book?.get(node)?.sequence ?? 0) > (machine.book?.get(node)?.sequence ?? 0)
  }

  #takeMissing(machine: Machine, peer: Machine): void {
    this.bytes += QUIET_EXCHANGE_BYTES
    const senders = machine.freshVisits > 0 ? this.#sim.machines.keys() : machine.behind
    for (const sender of [...senders]) {
      const node = this.#sim.machines[sender]?.id
      const theirs = node === undefined ? undefined : peer.book?.get(node)
      if (theirs === undefined || node === machine.id || machine.book === null) continue
      if (theirs.sequence <= (machine.book.get(theirs.node)?.sequence ?? 0)) continue
      this.bytes += theirs.sealed.length
      this.hear(machine, theirs.sealed, null)
      const { book } = machine
      if (book?.isWaiting(theirs.node) === true)
        this.#converse(machine, peer, (asking) => takeFrom(asking, [theirs.node]))
    }
  }

  /** A forger's answers have one wrong byte, mostly in the rows that only the digest protects. */
  #bent(peer: Machine, answer: Uint8Array): Uint8Array {
    if (peer.profile.kind !== 'forger' || !this.#sim.faulty || answer.length === 0) return answer
    const at = this.#sim.rng.below(answer.length)
    answer[at] = ((answer[at] ?? 0) + 1 + this.#sim.rng.below(255)) & 255
    return answer
  }

  /** A whole conversation at once: requests and answers as bytes. */
  #converse(
    machine: Machine,
    peer: Machine,
    begin: (asking: {
      book: RecordBook
      nowMs: () => number
      heard: (heard: Heard) => void
    }) => Conversation<void>,
  ): void {
    const { book } = machine
    const { book: theirs } = peer
    if (book === null || theirs === null) return
    this.fullExchanges++
    const { wallMs } = machine.clock.read(this.#sim.timeMs)
    const conversation = begin({
      book,
      nowMs: () => wallMs,
      heard: (heard) => this.#note(machine, heard, peer.index),
    })
    let step = conversation.next()
    while (step.done !== true) {
      const answer = this.#bent(peer, answerCatchUp(step.value, theirs))
      this.bytes += step.value.length + answer.length
      try {
        step = conversation.next(answer)
      } catch (error) {
        // What no honest peer answers ends the conversation; anything else is a fault of ours.
        if (!(error instanceof ShapeError)) throw error
        this.refusedAnswers++
        return
      }
    }
  }
}

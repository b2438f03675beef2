/**
 * Audits between holders (PROTOCOL 7), with the product's challenges, answers and trust code. Only the bytes are stood in for: a
 * range's content is whatever the two disks really hold there, and no more than that.
 */
import {
  AUDIT_ANSWER_DOMAIN,
  AUDIT_ANSWER_TYPE,
  AUDIT_CHALLENGE_DOMAIN,
  AUDIT_CHALLENGE_TYPE,
  type AuditRange,
  challengeDigest,
  chooseRanges,
  encodeAuditAnswer,
  encodeAuditChallenge,
  NONCE_BYTES,
  proveRange,
  sameHashes,
} from '../../protocol/audit/messages.ts'
import { judgeReceipt, openReceipt, type Receipt } from '../../protocol/audit/receipt.ts'
import { utf8ToBytes } from '../../protocol/codec/bytes.ts'
import type { Effect } from '../../protocol/core/effect.ts'
import type { ReceiptVerdict } from '../../protocol/core/event.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { type AuditOutcome, auditKey } from '../../protocol/manifest/entry.ts'
import { openAuditAnswer, openAuditChallenge } from '../../protocol/manifest/trust.ts'
import { ROUND_TRIP_MS } from './clock.ts'
import { ownShard } from './core-view.ts'
import type { Disk } from './disk.ts'
import { FileAudits } from './file-audits.ts'
import type { Machine } from './machine.ts'
import type { Simulation } from './simulation.ts'
import type { ByFile } from './truth.ts'
import type { SimShard } from './upstream.ts'

export type Then = (outcome: AuditOutcome) => void

/** Reading a copy again to check it. */
const CHECK_BYTES_PER_MS = 200_000

export class Audits {
  readonly #sim: Simulation
  readonly byFile: FileAudits
  asked = 0
  receiptsAsked = 0

  constructor(sim: Simulation) {
    this.#sim = sim
    this.byFile = new FileAudits(sim)
  }

  /** What the core asked for, and what it is told of it. */
  audit(auditor: Machine, shard: SimShard, node: Machine): void {
    this.ask(auditor, shard, node, (outcome) => {
      this.#sim.dispatch(auditor, { kind: 'audited', shard: shard.shard.key, node: node.id, outcome })
    })
  }

  ask(auditor: Machine, shard: SimShard, node: Machine, then: Then): void {
    const sim = this.#sim
    this.asked++
    const { parameters } = sim
    const nonce = sim.rng.bytes(NONCE_BYTES)
    const ranges = chooseRanges(shard.shard, sim.rng.bytes(8 * parameters.auditRanges))
    const atMs = auditor.clock.read(sim.timeMs).wallMs
    const challenge = { auditor: auditor.id, node: node.id, shard: shard.shard.key, nonce, ranges, atMs }
    const sealed = auditor.key.seal(
      AUDIT_CHALLENGE_DOMAIN,
      AUDIT_CHALLENGE_TYPE,
      encodeAuditChallenge(challenge),
    )
    if (!sim.network.canTalk(auditor, node)) {
      sim.later(parameters.auditTimeoutMs, auditor, () =>
        this.report(auditor, shard, node, 'offline', null, then),
      )
      return
    }
    sim.later(ROUND_TRIP_MS, auditor, () => {
      const reply = node.up ? this.answer(node, auditor, sealed) : null
      const outcome =
        reply === null ? 'offline' : this.#judge(auditor, shard, node, { nonce, ranges, sealed }, reply)
      const receipt = reply === null ? null : { challenge: sealed, answer: reply }
      this.report(auditor, shard, node, outcome, receipt, then)
    })
  }

  /** The audited side; null when it refuses. */
  answer(node: Machine, from: Machine, sealed: Uint8Array): Uint8Array | null {
    const { ring, upstream, timeMs } = this.#sim
    const opened = openAuditChallenge(sealed, ring.verify)
    if (!opened.ok || node.state === null) return null
    const challenge = opened.value
    if (challenge.node !== node.id || challenge.auditor !== from.id) return null
    const shard = upstream.get(challenge.shard)
    const own = ownShard(node.state, challenge.shard)
    let hashes: Uint8Array[] | null = []
    if (own?.held === true)
      hashes = this.proofsOf(node, shard, own.infohash, challenge.nonce, challenge.ranges)
    // What is asked for is not there: an honest node looks at its copy again, a liar makes something up.
    if (hashes === null && node.honest) this.checkSoon(node, shard)
    if (hashes === null) hashes = node.honest ? [] : challenge.ranges.map(() => this.#sim.rng.bytes(32))
    const answer = {
      node: node.id,
      challenge: challengeDigest(sealed),
      hashes,
      atMs: node.clock.read(timeMs).wallMs,
    }
    return node.key.seal(AUDIT_ANSWER_DOMAIN, AUDIT_ANSWER_TYPE, encodeAuditAnswer(answer))
  }

  #judge(
    auditor: Machine,
    shard: SimShard,
    node: Machine,
    asked: { nonce: Uint8Array; ranges: readonly AuditRange[]; sealed: Uint8Array },
    reply: Uint8Array,
  ): AuditOutcome {
    const opened = openAuditAnswer(reply, this.#sim.ring.verify)
    if (!opened.ok || opened.signer !== node.id || opened.value.challenge !== challengeDigest(asked.sealed)) {
      return 'unknown'
    }
    const { hashes } = opened.value
    if (hashes.length === 0) return 'unknown'
    const mine = this.prove(auditor.disk, shard, asked.nonce, asked.ranges)
    if (mine !== null && sameHashes(mine, hashes)) return 'pass'
    // Only an auditor whose own bytes are right may say that the other failed.
    const whole = auditor.disk.holds(shard)
    if (!whole) this.checkSoon(auditor, shard)
    return whole ? 'fail' : 'unknown'
  }

  /** What a machine's bytes give; behind a made-up infohash are made-up bytes, which do not change. Null when it has none. */
  proofsOf(
    node: Machine,
    shard: SimShard,
    infohash: Infohash | null,
    nonce: Uint8Array,
    ranges: readonly AuditRange[],
  ): Uint8Array[] | null {
    if (node.honest || infohash === shard.infohash) return this.prove(node.disk, shard, nonce, ranges)
    const content = (range: AuditRange) => utf8ToBytes(`made up by ${node.index} ${JSON.stringify(range)}`)
    return ranges.map((range) => proveRange(nonce, content(range)))
  }

  prove(disk: Disk, shard: SimShard, nonce: Uint8Array, ranges: readonly AuditRange[]): Uint8Array[] | null {
    const hashes: Uint8Array[] = []
    for (const range of ranges) {
      const content = disk.readRange(shard, range)
      if (content === null) return null
      hashes.push(proveRange(nonce, content))
    }
    return hashes
  }

  /** `byFile`: of an audit by whole file that file, and whether all of the shard was there when the node answered. */
  report(
    auditor: Machine,
    shard: SimShard,
    node: Machine,
    outcome: AuditOutcome,
    receipt: Receipt | null,
    then: Then,
    byFile: ByFile | null = null,
  ): void {
    const sim = this.#sim
    sim.truth.audited({ auditor, shard, node, outcome, byFile, timeMs: sim.timeMs })
    if (outcome === 'fail' && receipt !== null) {
      sim.metrics.failProven(node, this.convicts(receipt, shard))
      auditor.failures.set(auditKey(shard.shard.key, node.id), receipt)
    }
    const what = byFile === null ? 'audit' : 'audit by file'
    sim.journal.note(sim.timeMs, auditor.index, shard.index, `${what} ${outcome}`, `of n${node.index}`)
    then(outcome)
  }

  /**
   * Does the receipt convince a third party that has the bytes? Everything is taken from the two sealed messages, nothing from
   * who reported it.
   */
  convicts(receipt: Receipt, shard: SimShard): boolean {
    return this.#verdict(receipt, shard, this.#sim.truth.wholeDisk(shard)) === 'fail'
  }

  /** Reads a copy again; the core hears what was found. */
  checkSoon(machine: Machine, shard: SimShard): void {
    this.#sim.later(Math.ceil(shard.shard.sizeBytes / CHECK_BYTES_PER_MS), machine, () => {
      const damaged = machine.honest ? machine.disk.damagedFiles(shard) : []
      this.#sim.truth.checked(shard, machine)
      if (damaged.length > 0) machine.disk.keepGood(shard)
      this.#sim.dispatch(machine, { kind: 'checked', shard: shard.shard.key, damaged })
    })
  }

  /** A holder asks the auditor for the receipt of a failure, and judges it by its own bytes. */
  askReceipt(
    asker: Machine,
    shard: SimShard,
    { node, notBeforeMs }: Extract<Effect, { kind: 'ask-receipt' }>,
    auditor: Machine,
  ): void {
    const sim = this.#sim
    const tell = (verdict: ReceiptVerdict) => {
      sim.journal.note(sim.timeMs, asker.index, shard.index, `receipt ${verdict}`, `from n${auditor.index}`)
      const event = { kind: 'receipt', shard: shard.shard.key, node, auditor: auditor.id, verdict } as const
      sim.dispatch(asker, event)
    }
    if (!sim.network.canTalk(asker, auditor)) {
      sim.later(sim.options.parameters.auditTimeoutMs, asker, () => tell('none'))
      return
    }
    sim.later(ROUND_TRIP_MS, asker, () => {
      this.receiptsAsked++
      const receipt = auditor.up ? auditor.failures.get(auditKey(shard.shard.key, node)) : undefined
      const verdict = receipt === undefined ? 'none' : this.#verdict(receipt, shard, asker.disk, notBeforeMs)
      if (receipt !== undefined && asker.disk.holds(shard))
        sim.invariants.receiptSeen(asker, auditor, shard, verdict)
      tell(verdict)
    })
  }

  #verdict(receipt: Receipt, shard: SimShard, disk: Disk, notBeforeMs = 0): Exclude<ReceiptVerdict, 'none'> {
    const opened = openReceipt(receipt, shard.shard, this.#sim.ring.verify)
    if (!opened.ok || opened.value.askedAtMs < notBeforeMs) return 'invalid'
    if (!disk.holds(shard)) return 'unknown'
    const proofs = this.prove(disk, shard, opened.value.nonce, opened.value.ranges)
    return proofs === null ? 'unknown' : judgeReceipt(opened.value, proofs)
  }
}

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
} from '../../protocol/audit/messages.ts'
import { equalBytes } from '../../protocol/codec/bytes.ts'
import type { AuditOutcome } from '../../protocol/manifest/entry.ts'
import { openAuditAnswer, openAuditChallenge } from '../../protocol/manifest/trust.ts'
import { ownShard } from './core-view.ts'
import type { Machine } from './machine.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

const ROUND_TRIP_MS = 400

type Then = (outcome: AuditOutcome) => void

export class Audits {
  readonly #sim: Simulation
  asked = 0

  constructor(sim: Simulation) {
    this.#sim = sim
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
        this.#report(auditor, shard, node, 'offline', null, then),
      )
      return
    }
    sim.later(ROUND_TRIP_MS, auditor, () => {
      const reply = node.up ? this.#answer(node, auditor, sealed) : null
      const outcome =
        reply === null ? 'offline' : this.#judge(auditor, shard, node, { nonce, ranges, sealed }, reply)
      const receipt = reply === null ? null : { challenge: sealed, answer: reply }
      this.#report(auditor, shard, node, outcome, receipt, then)
    })
  }

  /** The audited side; null when it refuses. */
  #answer(node: Machine, from: Machine, sealed: Uint8Array): Uint8Array | null {
    const { ring, upstream, timeMs } = this.#sim
    const opened = openAuditChallenge(sealed, ring.verify)
    if (!opened.ok || node.state === null) return null
    const challenge = opened.value
    if (challenge.node !== node.id || challenge.auditor !== from.id) return null
    const shard = upstream.get(challenge.shard)
    const own = ownShard(node.state, challenge.shard)
    let hashes: Uint8Array[] | null = []
    if (own?.held === true) hashes = this.#prove(node, shard, challenge.nonce, challenge.ranges)
    // What is asked for is not there: an honest node looks at its copy again, a liar makes something up.
    if (hashes === null && node.honest) this.#sim.checkSoon(node, shard)
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
    const mine = this.#prove(auditor, shard, asked.nonce, asked.ranges)
    if (mine !== null && agree(mine, hashes)) return 'pass'
    // Only an auditor whose own bytes are right may say that the other failed.
    const whole = auditor.disk.holds(shard)
    if (!whole) this.#sim.checkSoon(auditor, shard)
    return whole ? 'fail' : 'unknown'
  }

  #prove(
    machine: Machine,
    shard: SimShard,
    nonce: Uint8Array,
    ranges: readonly AuditRange[],
  ): Uint8Array[] | null {
    const hashes: Uint8Array[] = []
    for (const range of ranges) {
      const content = machine.disk.readRange(shard, range)
      if (content === null) return null
      hashes.push(proveRange(nonce, content))
    }
    return hashes
  }

  #report(
    auditor: Machine,
    shard: SimShard,
    node: Machine,
    outcome: AuditOutcome,
    receipt: Receipt | null,
    then: Then,
  ): void {
    const sim = this.#sim
    sim.truth.audited({ auditor, shard, node, outcome, timeMs: sim.timeMs })
    if (outcome === 'fail' && receipt !== null) sim.metrics.failProven(node, this.convicts(receipt, shard))
    sim.journal.note(sim.timeMs, auditor.index, shard.index, `audit ${outcome}`, `of n${node.index}`)
    then(outcome)
  }

  /**
   * Does the receipt convince a third party that has the bytes? Everything is taken from the two sealed messages, nothing from
   * who reported it.
   */
  convicts(receipt: Receipt, shard: SimShard): boolean {
    const { verify } = this.#sim.ring
    const challenge = openAuditChallenge(receipt.challenge, verify)
    const answer = openAuditAnswer(receipt.answer, verify)
    if (!challenge.ok || !answer.ok) return false
    const { nonce, ranges, node } = challenge.value
    if (answer.signer !== node || answer.value.challenge !== challengeDigest(receipt.challenge)) return false
    const right = ranges.map((range) => {
      const content = this.#sim.truth.wholeDisk(shard).readRange(shard, range)
      return proveRange(nonce, content ?? new Uint8Array())
    })
    return answer.value.hashes.length > 0 && !agree(right, answer.value.hashes)
  }
}

export interface Receipt {
  readonly challenge: Uint8Array
  readonly answer: Uint8Array
}

function agree(mine: readonly Uint8Array[], theirs: readonly Uint8Array[]): boolean {
  return (
    mine.length === theirs.length &&
    mine.every((hash, at) => equalBytes(hash, theirs[at] ?? new Uint8Array()))
  )
}

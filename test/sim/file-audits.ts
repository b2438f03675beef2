/**
 * Audits by nodes that do not hold the shard (PROTOCOL 7), as `node/audit/file-auditor.ts`: a signed answer first, then the one file
 * from that node alone, over lines that are as slow as they are.
 */
import {
  type FileAudit,
  type FileFinding,
  judgeFileAudit,
  planFileAudit,
} from '../../protocol/audit/file-audit.ts'
import {
  AUDIT_CHALLENGE_DOMAIN,
  AUDIT_CHALLENGE_TYPE,
  challengeDigest,
  encodeAuditChallenge,
  NONCE_BYTES,
} from '../../protocol/audit/messages.ts'
import { equalBytes } from '../../protocol/codec/bytes.ts'
import type { Effect } from '../../protocol/core/effect.ts'
import type { Infohash } from '../../protocol/ids.ts'
import type { AuditOutcome } from '../../protocol/manifest/entry.ts'
import { openAuditAnswer } from '../../protocol/manifest/trust.ts'
import { ROUND_TRIP_MS } from './clock.ts'
import type { Machine } from './machine.ts'
import { hash3 } from './prng.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** One of so many files is exchanged on its way. */
const INTERCEPTED = 4

export class FileAudits {
  readonly #sim: Simulation
  asked = 0
  /** Of files that came. */
  bytes = 0

  constructor(sim: Simulation) {
    this.#sim = sim
  }

  /** What the core asked for, and what it is told of it. */
  audit(auditor: Machine, node: Machine, effect: Extract<Effect, { kind: 'audit-file' }>): void {
    const sim = this.#sim
    const shard = sim.upstream.get(effect.shard.key)
    const nonce = sim.rng.bytes(NONCE_BYTES)
    const plan = planFileAudit(shard.shard, nonce)
    const then = (outcome: AuditOutcome) =>
      sim.dispatch(auditor, { kind: 'audited', shard: shard.shard.key, node: effect.node, outcome })
    if (plan === null) {
      then('unknown')
      return
    }
    this.asked++
    const atMs = auditor.clock.read(sim.timeMs).wallMs
    const sealed = auditor.key.seal(
      AUDIT_CHALLENGE_DOMAIN,
      AUDIT_CHALLENGE_TYPE,
      encodeAuditChallenge({
        auditor: auditor.id,
        node: node.id,
        shard: shard.shard.key,
        nonce,
        ranges: plan.ranges,
        atMs,
      }),
    )
    let wasWhole = false
    const report = (outcome: AuditOutcome, reply: Uint8Array | null): void => {
      const receipt = reply === null ? null : { challenge: sealed, answer: reply }
      const byFile = { file: plan.file, wasWhole }
      sim.audits.report(auditor, shard, node, outcome, receipt, then, byFile)
    }
    if (!sim.network.canTalk(auditor, node)) {
      sim.later(sim.options.parameters.auditTimeoutMs, auditor, () => report('offline', null))
      return
    }
    sim.later(ROUND_TRIP_MS, auditor, () => {
      wasWhole = node.disk.holds(shard)
      const reply = node.up ? sim.audits.answer(node, auditor, sealed) : null
      if (reply === null) {
        report('offline', null)
        return
      }
      const opened = openAuditAnswer(reply, sim.ring.verify)
      const isAnswer =
        opened.ok && opened.signer === node.id && opened.value.challenge === challengeDigest(sealed)
      if (!isAnswer || opened.value.hashes.length === 0) {
        report('unknown', null)
        return
      }
      this.#fetch(auditor, shard, node, { ...effect, plan, nonce }, (found) =>
        report(judgeFileAudit(plan, opened.value.hashes, found), reply),
      )
    })
  }

  /** The file comes as fast as both lines allow, or what came by the end of the time is not whole. */
  #fetch(
    auditor: Machine,
    shard: SimShard,
    node: Machine,
    wanted: { infohash: Infohash; timeoutMs: number; plan: FileAudit; nonce: Uint8Array },
    then: (found: FileFinding) => void,
  ): void {
    const sim = this.#sim
    const { plan, nonce, timeoutMs } = wanted
    const sizeBytes = shard.shard.files[plan.file]?.sizeBytes ?? 0
    const upBytesPerSecond = Math.floor(node.profile.upBytesPerSecond / (node.uploads + 1))
    const downBytesPerSecond = Math.floor(auditor.profile.downBytesPerSecond / (auditor.downloads + 1))
    const bytesPerSecond = Math.min(upBytesPerSecond, downBytesPerSecond)
    const takesMs = bytesPerSecond === 0 ? timeoutMs : Math.ceil((sizeBytes / bytesPerSecond) * 1000)
    node.uploads++
    const { life } = node
    const comes = takesMs < timeoutMs && (auditor.profile.reachable || node.profile.reachable)
    sim.later(Math.min(takesMs, timeoutMs), auditor, () => then(comes ? find() : { kind: 'missing' }))
    sim.call(Math.min(takesMs, timeoutMs), () => node.uploads--)
    const find = (): FileFinding => {
      if (node.life !== life || !sim.network.canTalk(auditor, node)) return { kind: 'missing' }
      const theirs = sim.audits.proofsOf(node, shard, wanted.infohash, nonce, plan.ranges)
      if (theirs === null) return { kind: 'missing' }
      this.bytes += sizeBytes
      if (this.#isIntercepted(auditor, shard)) return { kind: 'other', proofs: [nonce] }
      const whole = { file: plan.file, offsetBytes: 0, lengthBytes: sizeBytes }
      const came = wanted.infohash === shard.infohash ? node.disk.readRange(shard, whole) : null
      const right = sim.truth.wholeDisk(shard).readRange(shard, whole)
      const isUpstreams = came !== null && right !== null && equalBytes(came, right)
      return { kind: isUpstreams ? 'whole' : 'other', proofs: theirs }
    }
  }

  /** Forgers sit on some lines too, and send garbage in the name of others. */
  #isIntercepted(auditor: Machine, shard: SimShard): boolean {
    const sim = this.#sim
    if (!sim.options.faults.has('forgers') || !sim.faulty) return false
    return hash3(auditor.index, shard.index, sim.timeMs) % INTERCEPTED === 0
  }
}

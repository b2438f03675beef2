/**
 * Audits over the network (PROTOCOL 7), both sides: asking a holder to prove ranges, which our own bytes can judge when we hold the
 * shard too, and answering such a challenge. Challenge and answer are sealed; together they are the receipt, which is stored.
 */
import { randomBytes } from 'node:crypto'
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
  hasRange,
  NONCE_BYTES,
  proveRange,
  sameHashes,
} from '../../protocol/audit/messages.ts'
import type { Receipt } from '../../protocol/audit/receipt.ts'
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import type { AuditOutcome } from '../../protocol/manifest/entry.ts'
import { openAuditAnswer, openAuditChallenge } from '../../protocol/manifest/trust.ts'
import type { Parameters } from '../../protocol/parameters.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Clock, Identity, Log, Network, Peer } from '../ports.ts'
import type { ReceiptStore } from '../store/receipts.ts'
import { dumpPath, readRange } from '../transfer/build-shard.ts'

export interface AuditorParts {
  readonly identity: Identity
  readonly network: Network
  readonly receipts: ReceiptStore
  readonly clock: Clock
  readonly log: Log
  /** Those that hold now. */
  readonly parameters: () => Pick<Parameters, 'auditRanges' | 'auditTimeoutMs'>
  /** The folder with verified shards. */
  readonly mirror: string
  /** The shard if this node holds it now. */
  readonly held: (key: ShardKey) => Shard | null
  /** Reads our own copy again; the damaged files. */
  readonly checkOwn: (shard: Shard) => Promise<readonly string[]>
}

/** What a challenge brought: the answer's hashes and the receipt, or why there are none. */
export type Answer =
  | { readonly kind: 'offline' | 'unknown' }
  | { readonly kind: 'answered'; readonly hashes: readonly Uint8Array[]; readonly receipt: Receipt }

export class Auditor {
  readonly #parts: AuditorParts

  constructor(parts: AuditorParts) {
    this.#parts = parts
    parts.network.handle('audit', (request, from) => this.#answer(request, from))
  }

  /** Asks `node` to prove its replica of a shard that this node holds. Never rejects: what goes wrong is an outcome. */
  async audit(shard: Shard, node: NodeId): Promise<AuditOutcome> {
    const ranges = chooseRanges(shard, randomBytes(8 * this.#parts.parameters().auditRanges))
    const nonce = randomBytes(NONCE_BYTES)
    const answer = await this.ask(shard, node, nonce, ranges)
    if (answer.kind !== 'answered') return answer.kind
    const outcome = await this.#judge(shard, nonce, ranges, answer.hashes)
    await this.tell(shard, node, answer.receipt, outcome)
    return outcome
  }

  /** Challenges a node and opens what it answers. Never rejects. */
  async ask(shard: Shard, node: NodeId, nonce: Uint8Array, ranges: readonly AuditRange[]): Promise<Answer> {
    const { identity, network, clock, log, parameters } = this.#parts
    const asked = { auditor: identity.nodeId, node, shard: shard.key, nonce, ranges, atMs: clock.wallMs() }
    const challenge = identity.seal(AUDIT_CHALLENGE_DOMAIN, AUDIT_CHALLENGE_TYPE, encodeAuditChallenge(asked))
    let answer: Uint8Array
    try {
      answer = await network.request(node, 'audit', challenge, { timeoutMs: parameters().auditTimeoutMs })
    } catch (error) {
      log.info({ shard: shard.key, node, error: String(error) }, 'an audited node did not answer')
      return { kind: 'offline' }
    }
    const opened = openAuditAnswer(answer, verifyEd25519)
    if (!opened.ok || opened.signer !== node || opened.value.challenge !== challengeDigest(challenge)) {
      log.warn({ shard: shard.key, node }, 'an audit answer was not one')
      return { kind: 'unknown' }
    }
    return { kind: 'answered', hashes: opened.value.hashes, receipt: { challenge, answer } }
  }

  /** Keeps the receipt of an audit, and says what came of it. */
  async tell(shard: Shard, node: NodeId, receipt: Receipt, outcome: AuditOutcome): Promise<void> {
    const { receipts, identity, clock, log } = this.#parts
    await receipts.keep(shard.key, node, receipt)
    if (outcome === 'fail') {
      const failure = { shard: shard.key, node, auditor: identity.nodeId, atMs: clock.wallMs() }
      await receipts.keepFailure(failure, receipt)
    }
    log.info({ shard: shard.key, node, outcome }, 'audited a replica')
  }

  /** What the bytes below `root` give for the ranges. Rejects when they cannot be read. */
  async prove(
    shard: Shard,
    root: string,
    nonce: Uint8Array,
    ranges: readonly AuditRange[],
  ): Promise<Uint8Array[]> {
    const hashes: Uint8Array[] = []
    for (const range of ranges) {
      const file = shard.files[range.file]
      if (file === undefined) throw new RangeError('no such file')
      const path = dumpPath(shard, root, file.path)
      hashes.push(proveRange(nonce, await readRange(path, range.offsetBytes, range.lengthBytes)))
    }
    return hashes
  }

  async #judge(
    shard: Shard,
    nonce: Uint8Array,
    ranges: readonly AuditRange[],
    hashes: readonly Uint8Array[],
  ): Promise<AuditOutcome> {
    // An honest node that does not hold it now says so with no hashes: nothing is proven either way.
    if (hashes.length === 0) return 'unknown'
    let mine: Uint8Array[]
    try {
      mine = await this.prove(shard, this.#parts.mirror, nonce, ranges)
    } catch (error) {
      this.#parts.log.warn(
        { shard: shard.key, error: String(error) },
        'could not read our own copy for an audit',
      )
      await this.#parts.checkOwn(shard)
      return 'unknown'
    }
    if (sameHashes(mine, hashes)) return 'pass'
    // Who is wrong? Only an auditor whose own bytes are right may say that the other failed.
    return (await this.#parts.checkOwn(shard)).length === 0 ? 'fail' : 'unknown'
  }

  async #answer(request: Uint8Array, from: Peer): Promise<Uint8Array> {
    const { identity, clock, held } = this.#parts
    const opened = openAuditChallenge(request, verifyEd25519)
    if (!opened.ok) throw new Error(`refused an audit challenge: ${opened.code}`)
    const challenge = opened.value
    if (challenge.node !== identity.nodeId || challenge.auditor !== from.nodeId) {
      throw new Error('refused an audit challenge that is meant for another node')
    }
    const shard = held(challenge.shard)
    let hashes: Uint8Array[] = []
    if (shard !== null && challenge.ranges.every((range) => hasRange(shard, range))) {
      const { nonce, ranges } = challenge
      hashes = await this.prove(shard, this.#parts.mirror, nonce, ranges).catch(async (error: unknown) => {
        this.#parts.log.warn(
          { shard: shard.key, error: String(error) },
          'could not read a copy that is being audited',
        )
        await this.#parts.checkOwn(shard)
        return []
      })
    }
    const answer = {
      node: identity.nodeId,
      challenge: challengeDigest(request),
      hashes,
      atMs: clock.wallMs(),
    }
    return identity.seal(AUDIT_ANSWER_DOMAIN, AUDIT_ANSWER_TYPE, encodeAuditAnswer(answer))
  }
}

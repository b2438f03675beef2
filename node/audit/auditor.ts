/**
 * Audits over the network (PROTOCOL 7), both sides: asking another holder to prove ranges that our own bytes can judge, and
 * answering such a challenge. Challenge and answer are sealed; together they are the receipt, which is stored.
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
  NONCE_BYTES,
  proveRange,
} from '../../protocol/audit/messages.ts'
import { equalBytes } from '../../protocol/codec/bytes.ts'
import { encodeCbor } from '../../protocol/codec/cbor.ts'
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import type { AuditOutcome } from '../../protocol/manifest/entry.ts'
import { openAuditAnswer, openAuditChallenge } from '../../protocol/manifest/trust.ts'
import type { Parameters } from '../../protocol/parameters.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Clock, Identity, Log, Network, Peer, Store } from '../ports.ts'
import { keyOf } from '../store/keyspace.ts'
import { dumpPath, readRange } from '../transfer/build-shard.ts'

export interface AuditorParts {
  readonly identity: Identity
  readonly network: Network
  readonly store: Store
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

export class Auditor {
  readonly #parts: AuditorParts

  constructor(parts: AuditorParts) {
    this.#parts = parts
    parts.network.handle('audit', (request, from) => this.#answer(request, from))
  }

  /** Asks `node` to prove its replica of a shard that this node holds. Never rejects: what goes wrong is an outcome. */
  async audit(shard: Shard, node: NodeId): Promise<AuditOutcome> {
    const { identity, network, clock, log, parameters } = this.#parts
    const { auditRanges, auditTimeoutMs } = parameters()
    const ranges = chooseRanges(shard, randomBytes(8 * auditRanges))
    const nonce = randomBytes(NONCE_BYTES)
    const challenge = {
      auditor: identity.nodeId,
      node,
      shard: shard.key,
      nonce,
      ranges,
      atMs: clock.wallMs(),
    }
    const sealed = identity.seal(
      AUDIT_CHALLENGE_DOMAIN,
      AUDIT_CHALLENGE_TYPE,
      encodeAuditChallenge(challenge),
    )
    let reply: Uint8Array
    try {
      reply = await network.request(node, 'audit', sealed, { timeoutMs: auditTimeoutMs })
    } catch (error) {
      log.info({ shard: shard.key, node, error: String(error) }, 'an audited node did not answer')
      return 'offline'
    }
    const opened = openAuditAnswer(reply, verifyEd25519)
    if (!opened.ok || opened.signer !== node || opened.value.challenge !== challengeDigest(sealed)) {
      log.warn({ shard: shard.key, node }, 'an audit answer was not one')
      return 'unknown'
    }
    const outcome = await this.#judge(shard, nonce, ranges, opened.value.hashes)
    await this.#keepReceipt(shard.key, node, sealed, reply)
    log.info({ shard: shard.key, node, outcome }, 'audited a replica')
    return outcome
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
      mine = await this.#prove(shard, nonce, ranges)
    } catch (error) {
      this.#parts.log.warn(
        { shard: shard.key, error: String(error) },
        'could not read our own copy for an audit',
      )
      await this.#parts.checkOwn(shard)
      return 'unknown'
    }
    const agrees =
      hashes.length === mine.length &&
      mine.every((hash, index) => equalBytes(hash, hashes[index] ?? new Uint8Array()))
    if (agrees) return 'pass'
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
    if (shard !== null && challenge.ranges.every((range) => fits(shard, range))) {
      hashes = await this.#prove(shard, challenge.nonce, challenge.ranges).catch(async (error: unknown) => {
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

  async #prove(shard: Shard, nonce: Uint8Array, ranges: readonly AuditRange[]): Promise<Uint8Array[]> {
    const hashes: Uint8Array[] = []
    for (const range of ranges) {
      const file = shard.files[range.file]
      if (file === undefined) throw new RangeError('no such file')
      const path = dumpPath(shard, this.#parts.mirror, file.path)
      hashes.push(proveRange(nonce, await readRange(path, range.offsetBytes, range.lengthBytes)))
    }
    return hashes
  }

  async #keepReceipt(
    shard: ShardKey,
    node: NodeId,
    challenge: Uint8Array,
    answer: Uint8Array,
  ): Promise<void> {
    const key = keyOf('receipts', shard, node)
    await this.#parts.store.batch([{ type: 'put', key, value: encodeCbor({ challenge, answer }) }])
  }
}

function fits(shard: Shard, range: AuditRange): boolean {
  const file = shard.files[range.file]
  return file !== undefined && range.offsetBytes + range.lengthBytes <= file.sizeBytes
}

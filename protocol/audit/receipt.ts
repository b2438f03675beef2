/**
 * A receipt (PROTOCOL 7): a sealed challenge and the sealed answer to it. What it says rests on two signatures and on the bytes,
 * on nobody's word: a third party that has the bytes finds the same verdict as the auditor.
 */
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import { bytes, record } from '../codec/shape.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import { type AuditPair, readNodeId, readShardKey } from '../manifest/entry.ts'
import { openAuditAnswer, openAuditChallenge, type VerifySignature } from '../manifest/trust.ts'
import type { Shard } from '../shard/shard.ts'
import {
  AUDIT_MESSAGE_BYTES_MAX,
  type AuditRange,
  challengeDigest,
  hasRange,
  sameHashes,
} from './messages.ts'

/** Both messages, sealed, and what CBOR adds. */
export const RECEIPT_BYTES_MAX = 2 * AUDIT_MESSAGE_BYTES_MAX + 1_024
const RECEIPT_REQUEST_BYTES_MAX = 4_096

export interface Receipt {
  readonly challenge: Uint8Array
  readonly answer: Uint8Array
}

/** Why two messages are no receipt of this shard. */
export type ReceiptProblem =
  /** Not a sealed challenge, or not a sealed answer. */
  | 'bad-challenge'
  | 'bad-answer'
  /** Signed by another node than the one that was challenged. */
  | 'other-node'
  /** Answers another challenge. */
  | 'other-challenge'
  | 'other-shard'
  /** Asks for bytes that the shard does not have, or for none. */
  | 'bad-ranges'
  /** The node said that it does not hold the shard now, which proves nothing. */
  | 'no-hashes'

export interface OpenedReceipt {
  readonly auditor: NodeId
  readonly node: NodeId
  readonly nonce: Uint8Array
  readonly ranges: readonly AuditRange[]
  readonly hashes: readonly Uint8Array[]
  /** Unix ms, as each of the two says. */
  readonly askedAtMs: number
  readonly answeredAtMs: number
}

export type OpenReceipt =
  | { readonly ok: true; readonly value: OpenedReceipt }
  | { readonly ok: false; readonly problem: ReceiptProblem; readonly detail: string }

/** Everything that can be said of a receipt without the shard's bytes. What it then holds can be judged by them. */
export function openReceipt(receipt: Receipt, shard: Shard, verify: VerifySignature): OpenReceipt {
  const no = (problem: ReceiptProblem, detail = ''): OpenReceipt => ({ ok: false, problem, detail })
  const challenge = openAuditChallenge(receipt.challenge, verify)
  if (!challenge.ok) return no('bad-challenge', challenge.code)
  const answer = openAuditAnswer(receipt.answer, verify)
  if (!answer.ok) return no('bad-answer', answer.code)
  const { auditor, node, nonce, ranges, atMs } = challenge.value
  if (answer.signer !== node || auditor === node) return no('other-node', answer.signer)
  if (answer.value.challenge !== challengeDigest(receipt.challenge)) return no('other-challenge')
  if (challenge.value.shard !== shard.key) return no('other-shard', challenge.value.shard)
  const { hashes } = answer.value
  const areGood = ranges.every((range) => range.lengthBytes > 0 && hasRange(shard, range))
  if (ranges.length === 0 || !areGood) return no('bad-ranges')
  if (hashes.length === 0) return no('no-hashes')
  const value = {
    auditor,
    node,
    nonce,
    ranges,
    hashes,
    askedAtMs: atMs,
    answeredAtMs: answer.value.atMs,
  }
  return { ok: true, value }
}

/** `proofs`: what the shard's true bytes give for each range under the nonce (`proveRange`). */
export function judgeReceipt(receipt: OpenedReceipt, proofs: readonly Uint8Array[]): 'pass' | 'fail' {
  return sameHashes(proofs, receipt.hashes) ? 'pass' : 'fail'
}

export function encodeReceipt({ challenge, answer }: Receipt): Uint8Array {
  return encodeCbor({ challenge, answer })
}

/** Throws ShapeError. What it holds is not verified yet: `openReceipt` does that. */
export function decodeReceipt(encoded: Uint8Array): Receipt {
  const fields = record(decodeCbor(encoded, 'receipt', RECEIPT_BYTES_MAX), 'receipt', ['challenge', 'answer'])
  return {
    challenge: bytes(fields.challenge, 'receipt.challenge', 1, AUDIT_MESSAGE_BYTES_MAX),
    answer: bytes(fields.answer, 'receipt.answer', 1, AUDIT_MESSAGE_BYTES_MAX),
  }
}

/** Request protocol `receipt`: the asked node's latest receipt for this replica. */
export function encodeReceiptRequest({ shard, node }: AuditPair): Uint8Array {
  return encodeCbor({ shard, node })
}

/** Throws ShapeError. */
export function decodeReceiptRequest(encoded: Uint8Array): { shard: ShardKey; node: NodeId } {
  const value = decodeCbor(encoded, 'request', RECEIPT_REQUEST_BYTES_MAX)
  const fields = record(value, 'request', ['shard', 'node'])
  return {
    shard: readShardKey(fields.shard, 'request.shard'),
    node: readNodeId(fields.node, 'request.node'),
  }
}

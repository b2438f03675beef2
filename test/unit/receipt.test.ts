import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../node/net/identity.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import {
  AUDIT_ANSWER_DOMAIN,
  AUDIT_ANSWER_TYPE,
  AUDIT_CHALLENGE_DOMAIN,
  AUDIT_CHALLENGE_TYPE,
  type AuditAnswer,
  type AuditChallenge,
  challengeDigest,
  encodeAuditAnswer,
  encodeAuditChallenge,
  proveRange,
} from '../../protocol/audit/messages.ts'
import {
  decodeReceipt,
  decodeReceiptRequest,
  encodeReceipt,
  encodeReceiptRequest,
  judgeReceipt,
  openReceipt,
  type Receipt,
} from '../../protocol/audit/receipt.ts'
import { testShard } from '../support/cores.ts'
import { testIdentity } from '../support/records.ts'
import { seededBytes } from '../support/shards.ts'

const [auditor, node, stranger] = [testIdentity(1), testIdentity(2), testIdentity(3)]
const bytes = seededBytes('tenwiki', 5_000)
const shard = testShard('tenwiki', bytes.length)
const nonce = new Uint8Array(32).fill(7)
const ranges = [
  { file: 0, offsetBytes: 0, lengthBytes: 100 },
  { file: 0, offsetBytes: 4_000, lengthBytes: 1_000 },
]
/** What a third party makes of its own bytes. */
const proofs = (of: Uint8Array, wanted = ranges) =>
  wanted.map((range) =>
    proveRange(nonce, of.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes)),
  )

function receipt(
  change: { challenge?: Partial<AuditChallenge>; answer?: Partial<AuditAnswer>; signer?: typeof node } = {},
): Receipt {
  const asked = { auditor: auditor.nodeId, node: node.nodeId, shard: shard.key, nonce, ranges, atMs: 10 }
  const challenge = auditor.seal(
    AUDIT_CHALLENGE_DOMAIN,
    AUDIT_CHALLENGE_TYPE,
    encodeAuditChallenge({ ...asked, ...change.challenge }),
  )
  const signer = change.signer ?? node
  const said = { node: signer.nodeId, challenge: challengeDigest(challenge), hashes: proofs(bytes), atMs: 20 }
  const answer = signer.seal(
    AUDIT_ANSWER_DOMAIN,
    AUDIT_ANSWER_TYPE,
    encodeAuditAnswer({ ...said, ...change.answer }),
  )
  return { challenge, answer }
}

function verdict(one: Receipt): string {
  const opened = openReceipt(one, shard, verifyEd25519)
  return opened.ok ? judgeReceipt(opened.value, proofs(bytes, [...opened.value.ranges])) : opened.problem
}

describe('a receipt, for a third party that has the bytes', () => {
  it('says who asked whom, when, and that the answer was right', () => {
    const opened = openReceipt(receipt(), shard, verifyEd25519)
    expect(opened).toMatchObject({
      ok: true,
      value: { auditor: auditor.nodeId, node: node.nodeId, askedAtMs: 10, answeredAtMs: 20 },
    })
    expect(verdict(receipt())).toBe('pass')
  })

  it('convicts a node that answered with other bytes, or with too few hashes', () => {
    const rotten = bytes.slice()
    rotten[4_500] = (rotten[4_500] ?? 0) ^ 1
    expect(verdict(receipt({ answer: { hashes: proofs(rotten) } }))).toBe('fail')
    expect(verdict(receipt({ answer: { hashes: proofs(bytes).slice(1) } }))).toBe('fail')
  })

  const small = identityFromSeed(new Uint8Array(32).fill(9))
  it.each<[string, string, Receipt]>([
    [
      'a challenge that is changed',
      'bad-challenge',
      { ...receipt(), challenge: changed(receipt().challenge) },
    ],
    ['an answer that is changed', 'bad-answer', { ...receipt(), answer: changed(receipt().answer) }],
    ['an answer that is a challenge', 'bad-answer', { ...receipt(), answer: receipt().challenge }],
    ['an answer of another node', 'other-node', receipt({ signer: stranger })],
    [
      'a node that audits itself',
      'other-node',
      receipt({ challenge: { node: auditor.nodeId }, signer: auditor }),
    ],
    [
      'an answer to another challenge',
      'other-challenge',
      receipt({ answer: { challenge: '00'.repeat(32) } }),
    ],
    ['another shard', 'other-shard', receipt({ challenge: { shard: testShard('yowiki').key } })],
    [
      'a file that is not there',
      'bad-ranges',
      receipt({ challenge: { ranges: [{ file: 1, offsetBytes: 0, lengthBytes: 1 }] } }),
    ],
    [
      'bytes behind the end',
      'bad-ranges',
      receipt({ challenge: { ranges: [{ file: 0, offsetBytes: 4_999, lengthBytes: 2 }] } }),
    ],
    [
      'no bytes',
      'bad-ranges',
      receipt({ challenge: { ranges: [{ file: 0, offsetBytes: 5, lengthBytes: 0 }] } }),
    ],
    ['no ranges', 'bad-ranges', receipt({ challenge: { ranges: [] } })],
    ['a node that said it does not hold the shard', 'no-hashes', receipt({ answer: { hashes: [] } })],
    ['a challenge to a third node', 'other-node', receipt({ challenge: { node: small.nodeId } })],
  ])('is none of %s', (_what, problem, one) => {
    expect(verdict(one)).toBe(problem)
  })

  it('comes over the wire and back, and other bytes do not', () => {
    const one = receipt()
    expect(decodeReceipt(encodeReceipt(one))).toEqual(one)
    const pair = { shard: shard.key, node: node.nodeId }
    expect(decodeReceiptRequest(encodeReceiptRequest(pair))).toEqual(pair)
    expect(() => decodeReceipt(encodeReceiptRequest(pair))).toThrow('receipt.node: expected no such field')
    expect(() => decodeReceipt(encodeReceipt({ ...one, answer: new Uint8Array(16_385) }))).toThrow(
      /receipt.answer/,
    )
    expect(() => decodeReceiptRequest(new Uint8Array(5_000))).toThrow()
  })
})

function changed(sealed: Uint8Array): Uint8Array {
  const copy = sealed.slice()
  const at = copy.length - 70
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

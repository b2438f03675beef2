/**
 * An audit between holders (PROTOCOL 7): a fresh nonce and random ranges of the shard's dump files; the answer is
 * sha256(nonce || bytes) per range, compared with the auditor's own bytes, so that nothing travels. Challenge and answer,
 * both signed, are a receipt that a third party with the bytes can check.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, equalBytes } from '../codec/bytes.ts'
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import { bytes, integer, list, type Reader, record, ShapeError } from '../codec/shape.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import { AUDIT_RANGE_BYTES_MAX, AUDIT_RANGES_MAX, SHARD_FILES_MAX } from '../limits.ts'
import { readNodeId, readShardKey } from '../manifest/entry.ts'
import type { Shard } from '../shard/shard.ts'

export const AUDIT_CHALLENGE_DOMAIN = 'wikiseed/audit-challenge/1'
export const AUDIT_CHALLENGE_TYPE = 'application/vnd.wikiseed.audit-challenge+cbor'
export const AUDIT_ANSWER_DOMAIN = 'wikiseed/audit-answer/1'
export const AUDIT_ANSWER_TYPE = 'application/vnd.wikiseed.audit-answer+cbor'
/** 64 ranges or hashes fit many times. */
export const AUDIT_MESSAGE_BYTES_MAX = 16 * 1024
export const NONCE_BYTES = 32

/** A range of one dump file of the shard. */
export interface AuditRange {
  /** Index into the shard's files. */
  readonly file: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

export interface AuditChallenge {
  readonly auditor: NodeId
  /** Whose replica is asked for. */
  readonly node: NodeId
  readonly shard: ShardKey
  readonly nonce: Uint8Array
  readonly ranges: readonly AuditRange[]
  readonly atMs: number
}

export interface AuditAnswer {
  readonly node: NodeId
  /** sha256 of the sealed challenge that this answers, hex. */
  readonly challenge: string
  /** sha256(nonce || bytes) per range, 32 bytes each; empty = "I do not hold it now". */
  readonly hashes: readonly Uint8Array[]
  readonly atMs: number
}

/**
 * Chooses ranges from random bytes given by the caller (chance is an argument): 8 bytes a range decide where it starts, in
 * proportion to file sizes. Deterministic. `random` holds 8 bytes for each range.
 */
export function chooseRanges(shard: Shard, random: Uint8Array): AuditRange[] {
  const count = Math.min(Math.floor(random.length / 8), AUDIT_RANGES_MAX)
  const view = new DataView(random.buffer, random.byteOffset, random.byteLength)
  const ranges: AuditRange[] = []
  for (let i = 0; i < count && shard.sizeBytes > 0; i++) {
    let at = Number(view.getBigUint64(i * 8) % BigInt(shard.sizeBytes))
    const file = shard.files.findIndex((one) => {
      if (at < one.sizeBytes) return true
      at -= one.sizeBytes
      return false
    })
    const sizeBytes = shard.files[file]?.sizeBytes ?? 0
    // A range that would run over the end is moved back, so that the tail of a file is asked for like the rest.
    const lengthBytes = Math.min(AUDIT_RANGE_LENGTH_BYTES, sizeBytes)
    const offsetBytes = Math.max(0, Math.min(at - (lengthBytes >> 1), sizeBytes - lengthBytes))
    ranges.push({ file, offsetBytes, lengthBytes })
  }
  return ranges
}

/** One range covers this much: enough that a few ranges see a damaged MiB, cheap enough to read. */
export const AUDIT_RANGE_LENGTH_BYTES = 256 * 1024

/** sha256(nonce || bytes), the proof for one range. */
export function proveRange(nonce: Uint8Array, rangeBytes: Uint8Array): Uint8Array {
  return sha256.create().update(nonce).update(rangeBytes).digest()
}

/** Is this the answer that the bytes give? As many hashes, and each the same. */
export function sameHashes(mine: readonly Uint8Array[], theirs: readonly Uint8Array[]): boolean {
  return (
    mine.length === theirs.length &&
    mine.every((hash, index) => equalBytes(hash, theirs[index] ?? new Uint8Array()))
  )
}

/** Does the shard have such a range? */
export function hasRange(shard: Shard, range: AuditRange): boolean {
  const file = shard.files[range.file]
  return file !== undefined && range.offsetBytes + range.lengthBytes <= file.sizeBytes
}

/** sha256 of a sealed challenge: what the answer binds itself to. */
export function challengeDigest(sealed: Uint8Array): string {
  return bytesToHex(sha256(sealed))
}

export function encodeAuditChallenge(challenge: AuditChallenge): Uint8Array {
  return encodeCbor({
    auditor: challenge.auditor,
    node: challenge.node,
    shard: challenge.shard,
    nonce: challenge.nonce,
    ranges: challenge.ranges.map((range) => [range.file, range.offsetBytes, range.lengthBytes]),
    at: challenge.atMs,
  })
}

/** Throws ShapeError. */
export function decodeAuditChallenge(payload: Uint8Array): AuditChallenge {
  const value = decodeCbor(payload, 'challenge', AUDIT_MESSAGE_BYTES_MAX)
  const fields = record(value, 'challenge', ['auditor', 'node', 'shard', 'nonce', 'ranges', 'at'])
  return {
    auditor: readNodeId(fields.auditor, 'challenge.auditor'),
    node: readNodeId(fields.node, 'challenge.node'),
    shard: readShardKey(fields.shard, 'challenge.shard'),
    nonce: bytes(fields.nonce, 'challenge.nonce', NONCE_BYTES),
    ranges: list(fields.ranges, 'challenge.ranges', AUDIT_RANGES_MAX, readRange),
    atMs: integer(fields.at, 'challenge.at'),
  }
}

export function encodeAuditAnswer(answer: AuditAnswer): Uint8Array {
  return encodeCbor({
    node: answer.node,
    challenge: answer.challenge,
    hashes: answer.hashes,
    at: answer.atMs,
  })
}

/** Throws ShapeError. */
export function decodeAuditAnswer(payload: Uint8Array): AuditAnswer {
  const value = decodeCbor(payload, 'answer', AUDIT_MESSAGE_BYTES_MAX)
  const fields = record(value, 'answer', ['node', 'challenge', 'hashes', 'at'])
  const challenge = fields.challenge
  if (typeof challenge !== 'string' || !/^[0-9a-f]{64}$/.test(challenge)) {
    throw new ShapeError('answer.challenge', 'a sha256')
  }
  return {
    node: readNodeId(fields.node, 'answer.node'),
    challenge,
    hashes: list(fields.hashes, 'answer.hashes', AUDIT_RANGES_MAX, (item, path) => bytes(item, path, 32)),
    atMs: integer(fields.at, 'answer.at'),
  }
}

const readRange: Reader<AuditRange> = (value, path) => {
  if (!Array.isArray(value) || value.length !== 3) throw new ShapeError(path, 'a list of 3')
  return {
    file: integer(value[0], `${path}.file`, 0, SHARD_FILES_MAX - 1),
    offsetBytes: integer(value[1], `${path}.offset`),
    lengthBytes: integer(value[2], `${path}.length`, 0, AUDIT_RANGE_BYTES_MAX),
  }
}

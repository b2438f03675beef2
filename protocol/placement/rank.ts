/** Rendezvous ranks (PROTOCOL 5): integers only, bit-exact everywhere, and nobody can grind the digest. */
import { sha256 } from '@noble/hashes/sha2.js'
import { compareBytes, concatBytes, hexToBytes, utf8ToBytes } from '../codec/bytes.ts'
import type { NodeId, ShardDigest } from '../ids.ts'

const GiB = 1024 ** 3

/**
 * T of PROTOCOL 5: how many tickets a node of this size draws. Declaring more inside a class gains nothing. It is of the newest
 * head, not of the cycle's first: who has heard the same words must come to the same order.
 */
export function tickets(bytesTotal: number): number {
  if (bytesTotal >= 10_240 * GiB) return 4
  if (bytesTotal >= 1_024 * GiB) return 3
  return bytesTotal >= 128 * GiB ? 2 : 1
}

/** 32 bytes, higher is better. */
export type Score = Uint8Array
export const compareScores: (a: Score, b: Score) => number = compareBytes

/** The first 48 bits of a score as a whole number: equal prefixes are decided by the whole scores. */
export function scorePrefix(whole: Score): number {
  let prefix = 0
  for (let i = 0; i < 6; i++) prefix = prefix * 256 + (whole[i] as number)
  return prefix
}

/** max over t = 1..T of sha256(digest || node || t). */
export function score(digest: ShardDigest, node: NodeId, ticketCount: number): Score {
  const input = concatBytes(hexToBytes(digest), utf8ToBytes(node), Uint8Array.of(1))
  let best = sha256(input)
  for (let t = 2; t <= ticketCount; t++) {
    input[input.length - 1] = t
    const next = sha256(input)
    if (compareBytes(next, best) > 0) best = next
  }
  return best
}

/**
 * How long a node of this rank waits before it claims (PROTOCOL 5): nothing below need; from there on one `waveMs` for each
 * doubling of the rank, and inside a doubling in proportion, so that no two ranks act at the same moment. Ms, whole; both
 * ranks are whole numbers, need >= 1.
 */
export function waitMs(rankIndex: number, need: number, waveMs: number): number {
  if (rankIndex < need) return 0
  let waves = 1
  let from = need
  while (rankIndex >= from * 2) {
    from *= 2
    waves++
  }
  return waves * waveMs + Math.floor((waveMs * (rankIndex - from)) / from)
}

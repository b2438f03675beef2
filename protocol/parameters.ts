/**
 * Federation parameters: the numbers that all nodes must share (PROTOCOL, introduction). They live in the signed
 * root document; a test federation runs with short times by having other parameters, not by other code.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from './codec/bytes.ts'
import { canonicalJsonBytes } from './codec/canonical-json.ts'
import { integer, type Reader, record, ShapeError } from './codec/shape.ts'

export interface Parameters {
  /** R: audited replicas wanted of a shard that counts as fresh (PROTOCOL 5). */
  readonly replicas: number
  /** Life of a node manifest, and when it is renewed. */
  readonly ttlMs: number
  readonly renewMs: number
  /** At most one manifest of a node is published in this time; changes in between are gathered. */
  readonly publishMinMs: number
  /** A node that just joined waits this long after its first peers before it claims. */
  readonly settleMs: number
  /** Wave k of the waiting claimants waits k times this (PROTOCOL 5). */
  readonly waveMs: number
  /** A claim dies after this without growth of `done`... */
  readonly claimStallMs: number
  /** ... or after bytes divided by this in all. */
  readonly claimBytesPerSecondMin: number
  /** No growth of the lead for this: the next rank leads (PROTOCOL 6). */
  readonly leadStallMs: number
  /** No infohash after leadStallMs + bytes divided by this: the next rank leads. */
  readonly leadBytesPerSecondMin: number
  /** Every replica is audited at least once in this time (PROTOCOL 7). */
  readonly auditEveryMs: number
  /** An audit counts for this long (30 days). */
  readonly auditValidMs: number
  /** An audit answer that takes longer counts as offline. */
  readonly auditTimeoutMs: number
  /** Random ranges asked for in one audit. */
  readonly auditRanges: number
  /** Replicas of a silent node rest for this long (home servers reboot). */
  readonly restMs: number
  /** A node is forgotten after this silence. */
  readonly goneMs: number
  /** A run is settled when this has passed since the newest `updated` (PROTOCOL 1). */
  readonly settledAfterMs: number
  /** Anti-entropy with one random peer. */
  readonly antiEntropyMs: number
  /** How far clocks may differ before a manifest is ignored (PROTOCOL 4). */
  readonly clockSkewMs: number
  /** No coordinator is known to have read upstream for this long: nodes read it and tell each other (PROTOCOL 1). */
  readonly observeAfterMs: number
  /** Then the nodes whose turn it is read it once in this time. */
  readonly observeEveryMs: number
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** The starting values of PROTOCOL for a real federation. */
export const DEFAULT_PARAMETERS: Parameters = {
  replicas: 3,
  ttlMs: 12 * HOUR,
  renewMs: 4 * HOUR,
  publishMinMs: 15 * SECOND,
  settleMs: 2 * MINUTE,
  waveMs: MINUTE,
  claimStallMs: 24 * HOUR,
  claimBytesPerSecondMin: 64 * 1024,
  leadStallMs: 10 * MINUTE,
  leadBytesPerSecondMin: 256 * 1024,
  auditEveryMs: 7 * DAY,
  auditValidMs: 30 * DAY,
  auditTimeoutMs: MINUTE,
  // A copy that lacks half of its bytes passes one audit with 2^-16.
  auditRanges: 16,
  restMs: 16 * HOUR,
  goneMs: 14 * DAY,
  settledAfterMs: DAY,
  antiEntropyMs: 5 * MINUTE,
  // Clocks that are each off by four minutes, the one late and the other early, still agree.
  clockSkewMs: 10 * MINUTE,
  observeAfterMs: 2 * DAY,
  observeEveryMs: DAY,
}

const KEYS = Object.keys(DEFAULT_PARAMETERS) as (keyof Parameters)[]
/** Roots that were signed before there were these do not have them. */
const LATER: readonly (keyof Parameters)[] = ['observeAfterMs', 'observeEveryMs']
/** No parameter is a time longer than this: sums of a few stay safe integers. */
const VALUE_MAX = 400 * DAY

/** Reads parameters from decoded JSON or CBOR: every key present but the latest ones, each a whole number >= 0. */
export const readParameters: Reader<Parameters> = (value, path) => {
  const fields = record(value, path, KEYS)
  const out = {} as Record<keyof Parameters, number>
  for (const key of KEYS) {
    const value = LATER.includes(key) ? (fields[key] ?? DEFAULT_PARAMETERS[key]) : fields[key]
    out[key] = integer(value, `${path}.${key}`, key === 'observeEveryMs' ? 1 : 0, VALUE_MAX)
  }
  if (out.replicas < 1 || out.replicas > 5) throw new ShapeError(`${path}.replicas`, 'a whole number in 1..5')
  return out
}

/** First 16 hex digits of the sha256 of the canonical JSON: a mismatch between two nodes warns. */
export function parametersFingerprint(parameters: Parameters): string {
  return bytesToHex(sha256(canonicalJsonBytes({ ...parameters }))).slice(0, 16)
}

/** One set of parameters and the moment from which it holds (unix ms). */
export interface ParameterChange {
  readonly activatesAtMs: number
  readonly values: Parameters
}

/** A set that holds from `fromMs` until before `untilMs` (unix ms), either of which may be infinite. */
export interface ActiveParameters {
  readonly values: Parameters
  readonly fingerprint: string
  readonly fromMs: number
  readonly untilMs: number
}

/**
 * The set that holds at a moment, by wall time alone: whoever reads the same schedule at the same time has the same set. Before
 * the first activation that is the first. `changes` are in growing order of activation, one at least.
 */
export function parametersAt(changes: readonly ParameterChange[], atMs: number): ActiveParameters {
  const at = Math.max(
    0,
    changes.findLastIndex((change) => change.activatesAtMs <= atMs),
  )
  const active = changes[at]
  if (active === undefined) throw new RangeError('a schedule has at least one set of parameters')
  return {
    values: active.values,
    fingerprint: parametersFingerprint(active.values),
    fromMs: at === 0 ? Number.NEGATIVE_INFINITY : active.activatesAtMs,
    untilMs: changes[at + 1]?.activatesAtMs ?? Number.POSITIVE_INFINITY,
  }
}

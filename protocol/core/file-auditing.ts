/**
 * Audits by nodes that do not hold the shard (PROTOCOL 7), when nobody who could does: a single replica has nobody beside it to
 * compare with. One whole file travels, so they are rare, bounded, and only made by those whose word counts for everybody.
 */
import { fileAuditBytes } from '../audit/file-audit.ts'
import { auditorRank, mayBeAmong } from '../audit/plan.ts'
import { pairOf } from '../ledger/ledger.ts'
import { AUDIT_FILE_BYTES_MAX } from '../limits.ts'
import { auditKey } from '../manifest/entry.ts'
import type { Shard } from '../shard/shard.ts'
import { askedAtMs } from './auditing.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { patienceMs } from './leading.ts'
import { bytesUsed, type CoreState } from './state.ts'
import { sweepEveryMs } from './wake.ts'

/** Under way at once here: each is a download. */
const FILE_AUDITS_AT_ONCE_MAX = 1
/** Of those who could audit a replica, so many may on one day: a holder that cannot send is not asked by everybody. */
const AUDITORS_A_DAY = 3
/** Replicas whose turns are worked out in one sweep and in one day; with a thousand auditors a sweep takes some 40 ms then. */
const PLACES_A_SWEEP_MAX = 2_000
const PLACES_A_DAY_MAX = 50_000
const DAY_MS = 86_400_000
const NEVER = Number.POSITIVE_INFINITY

interface Sweep {
  /** Live nodes whose audits count for everybody. */
  readonly auditors: readonly number[]
  placesLeft: number
}

interface Candidate {
  readonly shard: Shard
  readonly slot: number
  readonly pair: string
  readonly dueAtMs: number
  readonly bytes: number
}

/** Starts the audit that is due for longest. Looked at with each sweep: nothing of this is urgent. */
export function planFileAudits(state: CoreState, now: Now, out: Effect[]): void {
  if (state.leaving || state.fileAudits.size >= FILE_AUDITS_AT_ONCE_MAX) return
  if (!state.ledger.isListed(state.selfNumber)) return
  const next = mostOverdue(state, now)
  if (next === null) return
  const { shard, slot, pair, bytes } = next
  const node = state.ledger.slots.node(slot)
  const record = state.ledger.record(node)
  const infohash = record?.entries.get(shard.key)?.infohash
  if (record === undefined || infohash === undefined || infohash === null) return
  state.auditing.set(pair, askedAtMs(state, node, shard.key, now))
  state.fileAudits.set(pair, bytes)
  out.push({
    kind: 'audit-file',
    shard,
    node: record.node,
    infohash,
    peers: record.head.endpoints.bittorrent,
    timeoutMs: patienceMs(state, bytes),
  })
}

function mostOverdue(state: CoreState, now: Now): Candidate | null {
  const { ledger, fileTurns } = state
  const { slots } = ledger
  const day = Math.floor(now.wallMs / DAY_MS)
  if (fileTurns.day !== day) {
    fileTurns.day = day
    fileTurns.places.clear()
  }
  const auditors = [...ledger.listedNodes()].filter((node) => ledger.isLive(node, now.wallMs))
  const placesLeft = Math.min(PLACES_A_SWEEP_MAX, PLACES_A_DAY_MAX - fileTurns.places.size)
  const sweep = { auditors, placesLeft }
  const stepMs = patienceMs(state, AUDIT_FILE_BYTES_MAX) + sweepEveryMs(state)
  const freeBytes = state.bytesTotal - bytesUsed(state)
  let first: Candidate | null = null
  for (const [number, known] of state.catalog.entries()) {
    if (known === undefined || slots.first(number) < 0 || state.own.has(known.shard.key)) continue
    for (let slot = slots.first(number); slot >= 0; slot = slots.next(slot)) {
      if (!isAskable(state, slot, now)) continue
      const openAtMs = openFromMs(state, known.shard, number, slot, now)
      if (openAtMs > now.wallMs || (first !== null && first.dueAtMs <= openAtMs)) continue
      const dueAtMs = openAtMs + placeOf(state, sweep, known.shard, number, slot, now) * stepMs
      if (dueAtMs > now.wallMs || (first !== null && first.dueAtMs <= dueAtMs)) continue
      const pair = auditKey(known.shard.key, ledger.names.nodes.key(slots.node(slot)))
      if (state.auditing.has(pair) || (state.auditRests.get(pair)?.untilMs ?? 0) > now.monotonicMs) continue
      const bytes = fileAuditBytes(known.shard)
      if (bytes <= freeBytes) first = { shard: known.shard, slot, pair, dueAtMs, bytes }
    }
  }
  return first
}

/** A live replica that counts, can be connected to, and that our word counts about. */
function isAskable(state: CoreState, slot: number, now: Now): boolean {
  const { ledger, selfNumber } = state
  const replica = ledger.slots.node(slot)
  if (!ledger.slots.isHeld(slot) || !ledger.isLive(replica, now.wallMs)) return false
  return ledger.isReachable(replica) && ledger.offersRoom(replica) && ledger.counts(selfNumber, replica)
}

/** Another holder whose word counts can compare with its own bytes, which costs nobody anything. */
function hasHolderToAudit(state: CoreState, shard: number, slot: number, now: Now): boolean {
  const { ledger } = state
  const { slots } = ledger
  for (let one = slots.first(shard); one >= 0; one = slots.next(one)) {
    const node = slots.node(one)
    if (one === slot || !slots.isHeld(one) || !ledger.isLive(node, now.wallMs)) continue
    if (ledger.counts(node, slots.node(slot))) return true
  }
  return false
}

/**
 * Unix ms from when non-holders may audit a replica, each in its turn of the day. First comes the time that others need to fetch
 * the shard and to audit it as holders, and a day more while one could.
 */
function openFromMs(state: CoreState, shard: Shard, number: number, slot: number, now: Now): number {
  const { ledger, parameters } = state
  // A failure is an audit too: who failed repairs, and then the replica is another.
  const proof = ledger.proofOf(slot)
  const since = proof === 0 ? ledger.slots.changedAtMs(slot) : Math.abs(proof) + parameters.auditEveryMs
  const readyAtMs = since + patienceMs(state, shard.sizeBytes)
  const dayAtMs = state.fileTurns.day * DAY_MS
  const openAtMs = Math.max(readyAtMs, dayAtMs)
  // The walk over other holders comes last: most replicas are not due at all.
  if (openAtMs > now.wallMs || readyAtMs + DAY_MS <= dayAtMs) return openAtMs
  return hasHolderToAudit(state, number, slot, now) ? readyAtMs + DAY_MS : openAtMs
}

/** Our place among the auditors that do not hold it; NEVER when it is not one of the day's. */
function placeOf(
  state: CoreState,
  sweep: Sweep,
  shard: Shard,
  number: number,
  slot: number,
  now: Now,
): number {
  const { ledger, fileTurns, self, selfNumber } = state
  const { slots, names } = ledger
  const replica = slots.node(slot)
  const pair = pairOf(number, replica)
  const known = fileTurns.places.get(pair)
  if (known !== undefined) return known
  if (sweep.placesLeft <= 0) return NEVER
  sweep.placesLeft--
  const id = names.nodes.key(replica)
  const { auditors } = sweep
  let place = NEVER
  if (mayBeAmong(AUDITORS_A_DAY, auditors.length, shard.key, id, self, now.wallMs)) {
    const others = auditors
      .filter((node) => node !== selfNumber && slots.find(number, node) < 0 && ledger.counts(node, replica))
      .map((node) => names.nodes.key(node))
    const rank = auditorRank(shard.key, id, self, others, now.wallMs)
    if (rank < AUDITORS_A_DAY) place = rank
  }
  fileTurns.places.set(pair, place)
  return place
}

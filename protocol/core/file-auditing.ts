/**
 * Audits by nodes that do not hold the shard (PROTOCOL 7), when nobody who could does: a single replica has nobody beside it to
 * compare with. One whole file travels, so they are rare, bounded, and only made by those whose word counts for everybody.
 */
import { fileAuditBytes } from '../audit/file-audit.ts'
import { auditorRank } from '../audit/plan.ts'
import { AUDIT_FILE_BYTES_MAX } from '../limits.ts'
import { auditKey } from '../manifest/entry.ts'
import type { Shard } from '../shard/shard.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { patienceMs } from './leading.ts'
import { bytesUsed, type CoreState } from './state.ts'
import { sweepEveryMs } from './wake.ts'

/** Under way at once here: each is a download. */
const FILE_AUDITS_AT_ONCE_MAX = 1
/** Of those who could audit a replica, so many may on one day: a holder that cannot send is not asked by everybody. */
const AUDITORS_A_DAY = 3
const DAY_MS = 86_400_000
const NEVER = Number.POSITIVE_INFINITY

interface Candidate {
  readonly shard: Shard
  readonly slot: number
  readonly pair: string
  readonly dueAtMs: number
}

/** Starts the audit that is due for longest. Looked at with each sweep: nothing of this is urgent. */
export function planFileAudits(state: CoreState, now: Now, out: Effect[]): void {
  if (state.leaving || state.fileAudits.size >= FILE_AUDITS_AT_ONCE_MAX) return
  if (!state.ledger.isListed(state.selfNumber)) return
  const next = mostOverdue(state, now)
  if (next === null) return
  const { shard, slot, pair } = next
  const bytes = fileAuditBytes(shard)
  if (bytes > state.bytesTotal - bytesUsed(state)) return
  const node = state.ledger.slots.node(slot)
  const record = state.ledger.record(node)
  const infohash = record?.entries.get(shard.key)?.infohash
  if (record === undefined || infohash === undefined || infohash === null) return
  state.auditing.add(pair)
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
  const { ledger } = state
  const { slots } = ledger
  const { fileTurns } = state
  const day = Math.floor(now.wallMs / DAY_MS)
  if (fileTurns.day !== day) {
    fileTurns.day = day
    fileTurns.notBeforeMs.clear()
  }
  let first: Candidate | null = null
  for (const [number, known] of state.catalog.entries()) {
    if (known === undefined || slots.first(number) < 0 || state.own.has(known.shard.key)) continue
    for (let slot = slots.first(number); slot >= 0; slot = slots.next(slot)) {
      if (!isAskable(state, slot, now)) continue
      const pair = auditKey(known.shard.key, ledger.names.nodes.key(slots.node(slot)))
      if (state.auditing.has(pair) || (state.auditRests.get(pair)?.untilMs ?? 0) > now.monotonicMs) continue
      const dueAtMs = dueAt(state, known.shard, number, slot, pair, now)
      if (dueAtMs > now.wallMs || (first !== null && first.dueAtMs <= dueAtMs)) continue
      first = { shard: known.shard, slot, pair, dueAtMs }
    }
  }
  return first
}

/** A live replica that can be connected to and that our word counts about. */
function isAskable(state: CoreState, slot: number, now: Now): boolean {
  const { ledger, selfNumber } = state
  const replica = ledger.slots.node(slot)
  if (!ledger.slots.isHeld(slot) || !ledger.isLive(replica, now.wallMs)) return false
  return ledger.isReachable(replica) && ledger.counts(selfNumber, replica)
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
 * Unix ms when this node should. First comes the time that others need to fetch the shard and to audit it as holders, and a day
 * more while one could; then rank r of the day waits r times what an audit may take.
 */
function dueAt(state: CoreState, shard: Shard, number: number, slot: number, pair: string, now: Now): number {
  const { ledger, parameters } = state
  const { slots, names } = ledger
  const { notBeforeMs } = state.fileTurns
  if ((notBeforeMs.get(pair) ?? 0) > now.monotonicMs) return NEVER
  // A failure is an audit too: who failed repairs, and then the replica is another.
  const proof = ledger.proofOf(slot)
  const since = proof === 0 ? slots.changedAtMs(slot) : Math.abs(proof) + parameters.auditEveryMs
  const holdersMs = hasHolderToAudit(state, number, slot, now) ? DAY_MS : 0
  const openAtMs = Math.max(
    since + patienceMs(state, shard.sizeBytes) + holdersMs,
    state.fileTurns.day * DAY_MS,
  )
  if (openAtMs > now.wallMs) return openAtMs
  const replica = slots.node(slot)
  const others = []
  for (const node of ledger.listedNodes()) {
    if (node === state.selfNumber || slots.find(number, node) >= 0 || !ledger.isLive(node, now.wallMs))
      continue
    if (ledger.counts(node, replica)) others.push(names.nodes.key(node))
  }
  const rank = auditorRank(shard.key, names.nodes.key(replica), state.self, others, now.wallMs)
  const stepMs = patienceMs(state, AUDIT_FILE_BYTES_MAX) + sweepEveryMs(state)
  const dueAtMs = rank < AUDITORS_A_DAY ? openAtMs + rank * stepMs : NEVER
  notBeforeMs.set(pair, now.monotonicMs + (dueAtMs - now.wallMs))
  return dueAtMs
}

/** Audits of others' replicas, and what follows when others doubt ours (PROTOCOL 7). */
import { auditDueAtMs } from '../audit/plan.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import { type AuditOutcome, type AuditRecord, auditKey } from '../manifest/entry.ts'
import { backOffMs } from './back-off.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { type CoreState, changed, type Own } from './state.ts'

/** Audits under way at once: they read 2 MiB each on both sides. */
export const AUDITS_AT_ONCE_MAX = 4
/** Failure reports remembered; each is looked into once. */
const HEEDED_MAX = 10_000
/** Ranks of auditors change with the day, so every copy is looked at that often. */
const LOOK_AGAIN_MS = 86_400_000

export function planAudits(state: CoreState, now: Now, out: Effect[]): void {
  if (state.own.auditCheckAtMs > now.monotonicMs) return
  for (const own of state.own.values()) {
    if (own.state !== 'held' || own.auditCheckAtMs > now.monotonicMs) continue
    if (state.auditing.size >= AUDITS_AT_ONCE_MAX) return
    planAuditsOf(state, own, now, out)
  }
}

/** Starts what is due of one shard, and notes when the next audit of it is. */
function planAuditsOf(state: CoreState, own: Own, now: Now, out: Effect[]): void {
  const { ledger, parameters } = state
  const { slots } = ledger
  let nextMs = LOOK_AGAIN_MS
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    if (node === state.selfNumber || !slots.isHeld(slot) || !ledger.isLive(node, now.wallMs)) continue
    if (ledger.operatorNumber(node) === state.operatorNumber || !ledger.offersRoom(node)) continue
    const id = state.names.nodes.key(node)
    const pair = auditKey(own.shard.key, id)
    if (state.auditing.has(pair)) continue
    const restMs = (state.auditRests.get(pair)?.untilMs ?? 0) - now.monotonicMs
    const dueMs =
      auditDueAtMs(ledger, own.number, slot, state.selfNumber, parameters, now.wallMs) - now.wallMs
    const waitMs = Math.max(restMs, dueMs)
    if (waitMs > 0 || state.auditing.size >= AUDITS_AT_ONCE_MAX) {
      nextMs = Math.min(nextMs, Math.max(waitMs, 0))
      continue
    }
    state.auditing.set(pair, askedAtMs(state, node, own.shard.key, now))
    out.push({ kind: 'audit', shard: own.shard, node: id })
  }
  state.own.checkAudits(own, now.monotonicMs + nextMs)
}

/**
 * Wall ms that an audit is dated with: when it was asked for, or when its node says that the replica began, if that is later by no
 * more than clocks may differ. A replica that is there is not older than a proof of it.
 */
export function askedAtMs(state: CoreState, node: number, shard: ShardKey, now: Now): number {
  const sinceMs = state.ledger.record(node)?.entries.get(shard)?.sinceMs ?? 0
  return sinceMs <= now.wallMs + state.parameters.clockSkewMs ? Math.max(now.wallMs, sinceMs) : now.wallMs
}

export function recordAudit(
  state: CoreState,
  event: { shard: ShardKey; node: NodeId; outcome: AuditOutcome },
  now: Now,
): void {
  const pair = auditKey(event.shard, event.node)
  // What the replica is told to have shown it showed when it was asked: it may have been repaired since.
  const atMs = state.auditing.get(pair) ?? now.wallMs
  state.auditing.delete(pair)
  const isByFile = state.fileAudits.delete(pair)
  const own = state.own.get(event.shard)
  // That a proven replica passes once more is no news: the next renewal tells it, long before the older proof is too old.
  const isNews = event.outcome !== 'pass' || own === undefined || !isProven(state, own, event.node, now)
  // Whatever came out, the same pair is not asked again at once; one that does not pass again and again ever more rarely.
  const tries = event.outcome === 'pass' ? 0 : (state.auditRests.get(pair)?.tries ?? 0) + 1
  const { waveMs, renewMs, leadStallMs } = state.parameters
  // What cost somebody's line a file is not repeated as soon as what cost nothing.
  const restMs = isNews ? backOffMs(isByFile ? leadStallMs : waveMs, tries) : 2 * renewMs
  state.auditRests.set(pair, { untilMs: now.monotonicMs + restMs, tries })
  if (own !== undefined) state.own.checkAudits(own, now.monotonicMs)
  const last = state.audits.get(pair)
  // Being offline proves nothing about the bytes, so it does not replace a proof or a failure; and that a file did not come from
  // somewhere is nobody's business.
  const isDecisive = event.outcome === 'pass' || event.outcome === 'fail'
  if (!isDecisive && (last !== undefined || isByFile)) return
  state.audits.set(pair, { shard: event.shard, node: event.node, outcome: event.outcome, atMs })
  state.unpersisted = true
  if (isNews) state.unpublished = true
}

function isProven({ ledger, names }: CoreState, own: Own, node: NodeId, now: Now): boolean {
  const slot = ledger.slots.find(own.number, names.nodes.find(node))
  return slot >= 0 && ledger.provenAtMs(slot, now.wallMs) !== null
}

/** Somebody says that our replica failed: read it again, once for each report. */
export function heedFailures(
  state: CoreState,
  from: NodeId,
  audits: Iterable<AuditRecord>,
  out: Effect[],
): void {
  for (const audit of audits) {
    if (audit.node !== state.self || audit.outcome !== 'fail') continue
    const own = state.own.get(audit.shard)
    if (
      own === undefined ||
      own.state !== 'held' ||
      audit.atMs < own.sinceMs ||
      state.checking.has(audit.shard)
    )
      continue
    const report = `${from} ${audit.shard} ${audit.atMs}`
    if (state.heeded.has(report) || state.heeded.size >= HEEDED_MAX) continue
    state.heeded.add(report)
    state.checking.add(audit.shard)
    out.push({ kind: 'check', shard: own.shard })
  }
}

/** Audits older than they count, and of replicas that are gone, are no longer told (PROTOCOL 4). */
export function forgetOldAudits(state: CoreState, now: Now): void {
  const { slots } = state.ledger
  for (const [pair, audit] of state.audits) {
    const slot = slots.find(state.names.shards.find(audit.shard), state.names.nodes.find(audit.node))
    if (slot >= 0 && now.wallMs - audit.atMs <= state.parameters.auditValidMs) continue
    state.audits.delete(pair)
    changed(state)
  }
  // How often it did not pass is remembered for a while.
  for (const [pair, { untilMs, tries }] of state.auditRests)
    if (untilMs + (tries === 0 ? 0 : LOOK_AGAIN_MS) <= now.monotonicMs) state.auditRests.delete(pair)
}

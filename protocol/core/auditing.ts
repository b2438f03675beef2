/** Audits of others' replicas, and what follows when others doubt ours (PROTOCOL 7). */
import { auditOverdueMs } from '../audit/plan.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import type { NodeManifest } from '../manifest/node-manifest.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { auditKey, type CoreState, viewOf } from './state.ts'

/** Audits under way at once: they read 2 MiB each on both sides. */
const AUDITS_AT_ONCE_MAX = 4
/** Failure reports remembered; each is looked into once. */
const HEEDED_MAX = 10_000

export function planAudits(state: CoreState, now: Now, out: Effect[]): void {
  const view = viewOf(state, now)
  for (const own of state.own.values()) {
    if (own.state !== 'held') continue
    for (const placed of state.ledger.placed(own.shard.key)) {
      if (state.auditing.size >= AUDITS_AT_ONCE_MAX) return
      if (placed.node === state.self || placed.entry.state !== 'held') continue
      if (state.ledger.standing(placed.node, now.wallMs, state.parameters) !== 'live') continue
      if (state.ledger.operator(placed.node) === operatorOfSelf(state)) continue
      const pair = auditKey(own.shard.key, placed.node)
      if (state.auditing.has(pair) || (state.auditRests.get(pair) ?? 0) > now.monotonicMs) continue
      if (auditOverdueMs(own.shard.key, placed, view) < 0) continue
      state.auditing.add(pair)
      out.push({ kind: 'audit', shard: own.shard, node: placed.node })
    }
  }
}

const operatorOfSelf = (state: CoreState): string =>
  state.settings.operator === '' ? state.self : state.settings.operator

export function recordAudit(
  state: CoreState,
  event: { shard: ShardKey; node: NodeId; outcome: 'pass' | 'fail' | 'offline' | 'unknown' },
  now: Now,
): void {
  const pair = auditKey(event.shard, event.node)
  state.auditing.delete(pair)
  // Whatever came out, the same pair is not asked again at once.
  state.auditRests.set(pair, now.monotonicMs + state.parameters.waveMs)
  const last = state.audits.get(pair)
  // Being offline proves nothing about the bytes, so it does not replace a proof or a failure.
  if (last !== undefined && (event.outcome === 'offline' || event.outcome === 'unknown')) return
  state.audits.set(pair, { shard: event.shard, node: event.node, outcome: event.outcome, atMs: now.wallMs })
  state.unpersisted = true
  state.unpublished = true
}

/** Somebody says that our replica failed: read it again, once for each report. */
export function heedFailures(state: CoreState, manifest: NodeManifest, out: Effect[]): void {
  for (const audit of manifest.audits) {
    if (audit.node !== state.self || audit.outcome !== 'fail') continue
    const own = state.own.get(audit.shard)
    if (
      own === undefined ||
      own.state !== 'held' ||
      audit.atMs < own.sinceMs ||
      state.checking.has(audit.shard)
    )
      continue
    const report = `${manifest.node} ${audit.shard} ${audit.atMs}`
    if (state.heeded.has(report) || state.heeded.size >= HEEDED_MAX) continue
    state.heeded.add(report)
    state.checking.add(audit.shard)
    out.push({ kind: 'check', shard: own.shard })
  }
}

/** Audits older than they count, and of nodes that are gone, are no longer told (PROTOCOL 4). */
export function forgetOldAudits(state: CoreState, now: Now): void {
  for (const [pair, audit] of state.audits) {
    const old = now.wallMs - audit.atMs > state.parameters.auditValidMs
    if (old || state.ledger.placedBy(audit.shard, audit.node) === undefined) state.audits.delete(pair)
  }
  for (const [pair, untilMs] of state.auditRests)
    if (untilMs <= now.monotonicMs) state.auditRests.delete(pair)
}

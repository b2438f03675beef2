/** Who audits which replica when (PROTOCOL 7): auditors are ranked per (shard, replica, day). Pure. */
import { sha256 } from '@noble/hashes/sha2.js'
import { compareBytes, utf8ToBytes } from '../codec/bytes.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import { countedAuditAtMs, counts, type View } from '../ledger/health.ts'
import type { Placed } from '../ledger/ledger.ts'

const DAY_MS = 86_400_000

/** The place of `auditor` among those who can audit this replica on this day; 0 = first. */
export function auditorRank(
  shard: ShardKey,
  replica: NodeId,
  auditor: NodeId,
  others: readonly NodeId[],
  nowMs: number,
): number {
  const day = Math.floor(nowMs / DAY_MS)
  const score = (node: NodeId) => sha256(utf8ToBytes(`${shard} ${replica} ${node} ${day}`))
  const mine = score(auditor)
  return others.filter((node) => node !== auditor && compareBytes(score(node), mine) > 0).length
}

/**
 * Ms by which the audit of a replica by `view.self` is overdue; negative = not yet. The first ranked auditor acts when it is
 * due, rank r waits r waves longer. `self` is taken to hold the shard's bytes.
 */
export function auditOverdueMs(shard: ShardKey, replica: Placed, view: View): number {
  const { ledger, nowMs, parameters } = view
  const auditors = ledger
    .placed(shard)
    .filter(
      ({ node, entry }) => entry.state === 'held' && ledger.standing(node, nowMs, parameters) === 'live',
    )
    .map((placed) => placed.node)
    .filter((node) => node !== view.self && counts(node, replica.node, view))
  const turn = auditorRank(shard, replica.node, view.self, auditors, nowMs)
  const provenAtMs = countedAuditAtMs(shard, replica, view)
  const dueAtMs = provenAtMs === null ? replica.changedAtMs : provenAtMs + parameters.auditEveryMs
  return nowMs - dueAtMs - turn * parameters.waveMs
}

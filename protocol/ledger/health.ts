/** How well a shard is kept, by the definitions of PROTOCOL 0: replica, audited, safe. One place, for all who ask. */
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import type { Parameters } from '../parameters.ts'
import type { Ledger, Placed, Standing } from './ledger.ts'

/** Everything outside the ledger that the definitions need. */
export interface View {
  readonly ledger: Ledger
  readonly nowMs: number
  readonly parameters: Parameters
  /** Listed operators by node: only their audits and one's own count for `safe` (PROTOCOL 7). */
  readonly listed: ReadonlyMap<NodeId, string>
  /** Who asks: own audits count. */
  readonly self: NodeId
}

export interface Replica {
  readonly node: NodeId
  readonly operator: string
  readonly infohash: Infohash | null
  readonly standing: Standing
  readonly audited: boolean
  /** Unix ms of the newest audit that counts, else null. */
  readonly auditedAtMs: number | null
  readonly reachable: boolean
}

export interface Health {
  /** Held, live or resting. */
  readonly replicas: readonly Replica[]
  readonly claims: readonly Placed[]
  /** Distinct operators with an audited replica. */
  readonly audited: number
  /** PROTOCOL 0: >= R audited replicas, at least one reachable; or a verified archive copy plus one such replica. */
  readonly safe: boolean
}

/** `archiveVerifiedAtMs`: when the Internet Archive copy was last re-verified by hash, else null. */
export function health(shard: ShardKey, view: View, archiveVerifiedAtMs: number | null): Health {
  const { ledger, nowMs, parameters } = view
  const replicas: Replica[] = []
  const claims: Placed[] = []
  for (const placed of ledger.placed(shard)) {
    const standing = ledger.standing(placed.node, nowMs, parameters)
    if (standing !== 'live' && standing !== 'resting') continue
    if (placed.entry.state === 'claimed') {
      if (standing === 'live') claims.push(placed)
      continue
    }
    const auditedAtMs = countedAuditAtMs(shard, placed, view)
    replicas.push({
      node: placed.node,
      operator: ledger.operator(placed.node),
      infohash: placed.entry.infohash,
      standing,
      audited: auditedAtMs !== null,
      auditedAtMs,
      reachable: ledger.manifest(placed.node)?.reachable ?? false,
    })
  }
  const proven = replicas.filter((replica) => replica.audited)
  const audited = new Set(proven.map((replica) => replica.operator)).size
  const someReachable = proven.some((replica) => replica.reachable)
  const archived = archiveVerifiedAtMs !== null && nowMs - archiveVerifiedAtMs <= parameters.auditValidMs
  return { replicas, claims, audited, safe: someReachable && (audited >= parameters.replicas || archived) }
}

/**
 * When the replica was last proven by an audit that counts, or null: a pass by a listed operator other than the holder's, or
 * one's own, not older than auditValidMs nor than the replica itself, and no such auditor reported a failure since.
 */
export function countedAuditAtMs(shard: ShardKey, placed: Placed, view: View): number | null {
  let passedAtMs = -1
  let failedAtMs = -1
  for (const { auditor, audit } of view.ledger.audits(shard, placed.node)) {
    if (!counts(auditor, placed.node, view)) continue
    if (audit.atMs < placed.entry.sinceMs || audit.atMs > view.nowMs + view.parameters.clockSkewMs) continue
    if (view.nowMs - audit.atMs > view.parameters.auditValidMs) continue
    if (audit.outcome === 'pass') passedAtMs = Math.max(passedAtMs, audit.atMs)
    if (audit.outcome === 'fail') failedAtMs = Math.max(failedAtMs, audit.atMs)
  }
  return passedAtMs > failedAtMs ? passedAtMs : null
}

/** Does this auditor's word about that node count? (PROTOCOL 7) */
export function counts(auditor: NodeId, node: NodeId, view: View): boolean {
  if (auditor === node) return false
  const operator = view.listed.get(auditor)
  if (operator === undefined && auditor !== view.self) return false
  return (operator ?? view.ledger.operator(auditor)) !== view.ledger.operator(node)
}

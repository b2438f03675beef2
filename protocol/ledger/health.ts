/** How well a shard is kept, by the definitions of PROTOCOL 0: replica, audited, safe. One place, for all who ask. */
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import type { Parameters } from '../parameters.ts'
import { countPlaces } from '../placement/places.ts'
import type { Ledger, Placed, Standing } from './ledger.ts'

/** Everything outside the ledger that the definitions need. */
export interface View {
  readonly ledger: Ledger
  readonly nowMs: number
  readonly parameters: Parameters
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
  /** Held by live or resting nodes that offer room: those of a node that leaves or collects do not count (PROTOCOL 8, 9). */
  readonly replicas: readonly Replica[]
  readonly claims: readonly Placed[]
  /** Independent places, by operator and network, with an audited replica (PROTOCOL 5). */
  readonly audited: number
  /** PROTOCOL 0: >= R audited replicas, at least one reachable; or a verified archive copy plus one such replica. */
  readonly safe: boolean
}

/** PROTOCOL 0: a verification of the archive's copy counts for as long as an audit, and not before its time. */
export function isArchived(
  verifiedAtMs: number | null | undefined,
  nowMs: number,
  { auditValidMs, clockSkewMs }: Pick<Parameters, 'auditValidMs' | 'clockSkewMs'>,
): boolean {
  if (verifiedAtMs === null || verifiedAtMs === undefined) return false
  return nowMs - verifiedAtMs <= auditValidMs && verifiedAtMs - nowMs <= clockSkewMs
}

/** `archiveVerifiedAtMs`: when the Internet Archive copy was last re-verified by hash, if that is known. */
export function health(shard: ShardKey, view: View, archiveVerifiedAtMs: number | null | undefined): Health {
  const { ledger, nowMs, parameters } = view
  const number = ledger.names.shards.find(shard)
  const replicas: Replica[] = []
  const claims: Placed[] = []
  for (const placed of ledger.placed(shard)) {
    const standing = ledger.standing(placed.node, nowMs)
    if (standing !== 'live' && standing !== 'resting') continue
    const node = ledger.names.nodes.find(placed.node)
    if (!ledger.offersRoom(node)) continue
    if (placed.entry.state === 'claimed') {
      if (standing === 'live') claims.push(placed)
      continue
    }
    const slot = ledger.slots.find(number, node)
    const auditedAtMs = ledger.provenAtMs(slot, nowMs)
    replicas.push({
      node: placed.node,
      operator: ledger.operator(placed.node),
      infohash: placed.entry.infohash,
      standing,
      audited: auditedAtMs !== null,
      auditedAtMs,
      reachable: ledger.isReachable(node),
    })
  }
  const proven = replicas.filter((replica) => replica.audited)
  const numbers = proven.map((replica) => ledger.names.nodes.find(replica.node))
  const audited = countPlaces(
    numbers.map((node) => ledger.operatorNumber(node)),
    numbers.map((node) => ledger.networkNumber(node)),
  )
  const someReachable = proven.some((replica) => replica.reachable)
  const archived = isArchived(archiveVerifiedAtMs, nowMs, parameters)
  return { replicas, claims, audited, safe: someReachable && (audited >= parameters.replicas || archived) }
}

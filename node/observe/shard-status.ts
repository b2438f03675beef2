/** One row for each shard, the same for node and coordinator: how well it is kept, and what this process does for it. */
import { type CoreState, doneSixteenths, type Own } from '../../protocol/core/state.ts'
import {
  type Cycle,
  cycleOf,
  type Infohash,
  type NodeId,
  type ShardId,
  type ShardKey,
} from '../../protocol/ids.ts'
import { health, isArchived, type Replica } from '../../protocol/ledger/health.ts'
import type { Standing } from '../../protocol/ledger/ledger.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { readStatusJson } from '../../protocol/shard/status-json.ts'
import type { ShardStructure } from './findings.ts'

export interface ShardStatus {
  readonly id: ShardId
  readonly key: ShardKey
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
  readonly cycle: Cycle
  readonly infohash: Infohash | null
  /** Sum of the dump files' sizes. */
  readonly bytes: number
  /** Distinct operators whose replica was proven by an audit that counts (PROTOCOL 7). */
  readonly replicas: number
  /** Nodes that say they hold it, or claim it. */
  readonly held: number
  readonly claimed: number
  /** By the definition of PROTOCOL 0, and nothing weaker. */
  readonly safe: boolean
  /** The Internet Archive's copy was verified by hash, and not too long ago. */
  readonly archived: boolean
  readonly published: boolean
  /** Nodes observed it; no coordinator's catalog names it (PROTOCOL 1). */
  readonly observed: boolean
  /** Jobs of its run that failed at Wikimedia: it is kept as what it is, and is not a whole dump. */
  readonly failedJobs: readonly string[]
  readonly archiveItem: string | null
  /** What this process has itself; `done` in sixteenths, 16 only for all of it. */
  readonly own: Own['state'] | null
  readonly done: number
  /** This process fetched it from origin. */
  readonly led: boolean
  readonly fromOriginBytes: number
  readonly fromSwarmBytes: number
  /** What the form of its files said, if this process fetched it since its start and looked. It changes nothing else. */
  readonly structure: ShardStructure | null
  readonly holders: readonly Holder[]
}

export interface Holder {
  readonly node: NodeId
  readonly operator: string
  readonly standing: Standing
  readonly reachable: boolean
  readonly audited: boolean
  readonly auditedAtMs: number | null
}

/** What is known of a shard beside manifests and catalogs: a coordinator's ledger. A node knows nothing of the kind. */
export interface OutsideFacts {
  /** The infohash that the coordinators accepted. */
  readonly infohash: Infohash | null
  readonly archiveItem: string | null
  /** Unix ms when the archive's copy was last verified by hash. */
  readonly archiveVerifiedAtMs: number | null
  readonly published: boolean
}
export type Outside = (shard: ShardKey) => OutsideFacts | null

/** What a process knows beside its core. */
export interface Beside {
  readonly outside?: Outside
  readonly structureOf?: (shard: ShardKey) => ShardStructure | null
}

const NOTHING: OutsideFacts = {
  infohash: null,
  archiveItem: null,
  archiveVerifiedAtMs: null,
  published: false,
}
const HOLDERS_MAX = 256

/** All shards of the catalogs, in order of id. */
export function shardStatuses(
  state: Pick<
    CoreState,
    'self' | 'parameters' | 'ledger' | 'listed' | 'archived' | 'shards' | 'named' | 'own'
  >,
  nowMs: number,
  { outside = () => null, structureOf = () => null }: Beside = {},
): ShardStatus[] {
  const view = { ...state, nowMs }
  const shards = [...state.shards.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  return shards.map((shard) => {
    const facts = outside(shard.key) ?? NOTHING
    // A coordinator knows it before its index tells the others.
    const archiveVerifiedAtMs = facts.archiveVerifiedAtMs ?? state.archived.get(shard.key)
    const found = health(shard.key, view, archiveVerifiedAtMs)
    const own = state.own.get(shard.key)
    return {
      ...nameOf(shard),
      infohash: facts.infohash ?? own?.infohash ?? agreedInfohash(found.replicas),
      bytes: shard.sizeBytes,
      replicas: found.audited,
      held: found.replicas.length,
      claimed: found.claims.length,
      safe: found.safe,
      archived: isArchived(archiveVerifiedAtMs, nowMs, state.parameters),
      published: facts.published,
      observed: !state.named.has(shard.key),
      failedJobs: failedJobs(shard),
      archiveItem: facts.archiveItem,
      own: own?.state ?? null,
      done: own === undefined ? 0 : doneSixteenths(own),
      led: own?.led ?? false,
      fromOriginBytes: own?.fromOriginBytes ?? 0,
      fromSwarmBytes: own?.fromSwarmBytes ?? 0,
      structure: structureOf(shard.key),
      holders: found.replicas.slice(0, HOLDERS_MAX).map(holderOf),
    }
  })
}

/** A shard never changes, and reading STATUS.json of thousands for each look would be slow. */
const failedJobsOf = new WeakMap<Shard, readonly string[]>()

function failedJobs(shard: Shard): readonly string[] {
  const known = failedJobsOf.get(shard)
  if (known !== undefined) return known
  const jobs = [...readStatusJson(shard.statusJson, 'STATUS.json')]
  const failed = jobs.filter(([, job]) => job.status === 'failed').map(([name]) => name)
  failedJobsOf.set(shard, failed)
  return failed
}

function nameOf(shard: Shard): Pick<ShardStatus, 'id' | 'key' | 'wiki' | 'date' | 'cycle'> {
  const { id, key, wiki, date } = shard
  return { id, key, wiki, date, cycle: cycleOf(date) }
}

function holderOf({ node, operator, standing, reachable, audited, auditedAtMs }: Replica): Holder {
  return { node, operator, standing, reachable, audited, auditedAtMs }
}

/** The one that most replicas have, proven ones first; null when there is none, or no telling. */
function agreedInfohash(replicas: readonly Replica[]): Infohash | null {
  const votes = new Map<Infohash, number>()
  for (const { infohash, audited } of replicas) {
    if (infohash !== null) votes.set(infohash, (votes.get(infohash) ?? 0) + (audited ? 1_000_000 : 1))
  }
  const [first, second] = [...votes].sort((a, b) => b[1] - a[1])
  return first === undefined || first[1] === second?.[1] ? null : first[0]
}

/** The state of one node's core. Changed in place by `step` only; everybody else reads. */
import type { Project } from '../dump/project.ts'
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import type { View } from '../ledger/health.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Names } from '../ledger/names.ts'
import type { AuditRecord, Endpoint } from '../manifest/entry.ts'
import type { ParameterChange, Parameters } from '../parameters.ts'
import type { RankCache } from '../placement/rank-cache.ts'
import type { Shard } from '../shard/shard.ts'
import type { FetchSource } from './effect.ts'
import type { FetchFailure, Now } from './event.ts'
import type { Observations } from './observations.ts'
import type { OwnShards } from './own-shards.ts'
import type { Shortages } from './shortages.ts'

/**
 * volunteer: claims, holds and is counted. collector: a coordinator, which fetches every shard from the swarm to preserve and
 * audit it, claims nothing, never touches origin for bytes, and is no replica (PROTOCOL 9).
 */
export type Role = 'volunteer' | 'collector'

/** What the volunteer chose: a setting of this node, not of the federation. */
export interface Settings {
  readonly role: Role
  readonly agent: string
  readonly operator: string
  /** Language codes; wikis of these languages are taken first (PROTOCOL 5). */
  readonly languages: readonly string[]
  /** Projects that are taken first. Not told to others. */
  readonly projects: readonly Project[]
  /** Bytes that this node may fill. */
  readonly bytesTotal: number
  /** Claims under way at once. */
  readonly claimsMax: number
  /** Fetches under way at once. */
  readonly fetchesMax: number
  /** May take over from a lead that stalls. Off: only the best ranked claimant ever touches origin. */
  readonly originFallback: boolean
}

/** A lead that this node waits for, or did (PROTOCOL 6). */
export interface WatchedLead {
  /** Monotonic ms since when. */
  readonly sinceMs: number
  /** Unix ms when it was passed over because it stalled; 0: it was not. */
  passedAtMs: number
}

/** A shard that this node claims or holds. */
export interface Own {
  readonly shard: Shard
  readonly number: number
  /** Changed by `OwnShards.restate` only. */
  state: 'claimed' | 'held'
  infohash: Infohash | null
  /** Unix ms since when it is in this state. */
  sinceMs: number
  doneBytes: number
  /** Monotonic ms. */
  claimedAtMs: number
  grewAtMs: number
  fetch: FetchSource | null
  /** Monotonic ms when the present fetch began. */
  fetchSinceMs: number
  /** Leads that were waited for, by node number; null: none was. Most shards are held, and have neither of these. */
  leads: Map<number, WatchedLead> | null
  /** Holders from whom nothing came, by node number: until then (monotonic ms) they are not tried again; null: none. */
  dry: Map<number, number> | null
  /** Monotonic ms when the audits of the other replicas are looked at next. Changed by `OwnShards.checkAudits` only. */
  auditCheckAtMs: number
  /** Unix ms until when we promised somebody to keep it; 0: no promise. */
  promisedUntilMs: number
  /** Being let go: who promised when (monotonic ms, by node number). */
  dropping: { readonly sinceMs: number; readonly promised: Map<number, number> } | null
  /** A held copy was found damaged and is fetched again. */
  repairing: boolean
  /** Origin was the source when this node held it first. */
  led: boolean
  fromOriginBytes: number
  fromSwarmBytes: number
}

export interface Failure {
  readonly code: FetchFailure
  readonly detail: string
  readonly atMs: number
  readonly attempts: number
  /** Monotonic ms before which it is not claimed again. */
  readonly retryAtMs: number
}

/** A failure that somebody reported, whose receipt is to be looked at. */
export interface WantedReceipt {
  readonly shard: ShardKey
  readonly node: NodeId
  readonly auditor: NodeId
  /** When it says that it audited, unix ms. */
  readonly atMs: number
}

/** A damaged copy, kept for the status page: what was found and when it was whole again. */
export interface Damage {
  readonly shard: ShardKey
  readonly files: readonly string[]
  readonly foundAtMs: number
  readonly repairedAtMs: number | null
}

export interface Catalogued {
  readonly shard: Shard
  /** Replicas wanted (PROTOCOL 5). */
  readonly target: number
  /** How well it fits what the volunteer chose; more comes first. */
  readonly preference: number
  /** Unix ms when the archive's copy was last verified by hash, 0 when that is not known. */
  readonly archivedAtMs: number
}

/** What all cores of a process may share: numbers for names, and rendezvous orders. */
export interface Shared {
  readonly names: Names
  readonly ranks: RankCache
}

export interface CoreState {
  readonly self: NodeId
  /** Number of `self` among the names. */
  readonly selfNumber: number
  readonly operatorNumber: number
  /** Of the network that its own endpoints are in, -1 when that is not known. */
  networkNumber: number
  /** What the federation agreed on, by when it holds; of it the set that holds now, and from when until before when (unix ms). */
  readonly schedule: readonly ParameterChange[]
  parameters: Parameters
  parametersFingerprint: string
  parametersFromMs: number
  parametersUntilMs: number
  readonly settings: Settings
  readonly names: Names
  readonly ranks: RankCache
  readonly ledger: Ledger
  /** Shards that this node acts on: those that catalogs name, and observed ones. */
  shards: ReadonlyMap<ShardKey, Shard>
  /** Those that catalogs name, as a list as it came and by key. */
  catalogs: readonly Shard[]
  named: ReadonlyMap<ShardKey, Shard>
  /** Unix ms when a coordinator last read upstream, as far as this node heard; 0: it heard of none. */
  catalogReadAtMs: number
  readonly observations: Observations
  /** By shard number. */
  catalog: readonly (Catalogued | undefined)[]
  listed: ReadonlyMap<NodeId, string>
  /** Unix ms when the archive's copy was last verified by hash, as coordinators say. */
  archived: ReadonlyMap<ShardKey, number>
  /** Unix ms when the next of these verifications begins or ceases to count. */
  retargetAtMs: number
  readonly own: OwnShards
  readonly refuted: Map<ShardKey, Set<Infohash>>
  readonly failures: Map<ShardKey, Failure>
  readonly damages: Damage[]
  /** Own audits of others, by `auditKey`. */
  readonly audits: Map<string, AuditRecord>
  /** Audits just tried: monotonic ms until when this pair rests, and how often in a row it did not pass, by `auditKey`. */
  readonly auditRests: Map<string, { readonly untilMs: number; readonly tries: number }>
  /** Audits under way, by `auditKey`: when each began (unix ms), which is what it then tells of. */
  readonly auditing: Map<string, number>
  /** Of those the audits by whole file, by `auditKey`: bytes that each may take on disk. */
  readonly fileAudits: Map<string, number>
  /** Own place among those who may audit a replica by whole file, of a day (unix day): by shard and node number. */
  readonly fileTurns: { day: number; readonly places: Map<number, number> }
  /** Receipts that are asked for or wait to be, by `auditor shard node`, and when one was last asked for (monotonic ms). */
  readonly receipts: {
    readonly waiting: Map<string, WantedReceipt>
    readonly asking: Set<string>
    readonly askedAtMs: Map<string, number>
  }
  /** Own copies being read again. */
  readonly checking: Set<ShardKey>
  /** Failure reports about own replicas that were already looked into: `auditor shard at`. */
  readonly heeded: Set<string>
  /** Nodes that said two things under one sequence: their claims do not count (PROTOCOL 4). */
  readonly frozen: Set<number>
  /** Bytes that this node may fill now; the volunteer may change it. */
  bytesTotal: number
  /** It hands everything over and takes nothing more. */
  leaving: boolean
  sequence: number
  connections: number
  /** Monotonic ms when the first peer was there; null before. */
  joinedAtMs: number | null
  reachable: boolean
  libp2p: readonly string[]
  bittorrent: readonly Endpoint[]
  readonly short: Shortages
  /** Monotonic ms of the last tick: turns that came since were not looked at. */
  tickedAtMs: number
  /** Monotonic ms of the last look for silent nodes. */
  sweptAtMs: number
  /** Unix ms until when it was looked what stopped counting by the passing of time alone. */
  expiredUntilMs: number
  publishedAtMs: number | null
  /** Monotonic ms since when the others were told that this node has room for another claim; null: they were not. */
  offeredAtMs: number | null
  /** Something that others should know changed since the last publish. */
  unpublished: boolean
  /** A lead grew since the last publish: said soon, not at once. */
  grewUnpublished: boolean
  /** Something that must survive a crash changed since the last persist. */
  unpersisted: boolean
}

/**
 * Sixteenths of a shard that are there, 0..16; 16 only for all of it, and at least 1 once its fetch from origin has begun
 * (PROTOCOL 4: `done`).
 */
export function doneSixteenths(own: Pick<Own, 'state' | 'shard' | 'doneBytes' | 'fetch'>): number {
  if (own.state === 'held') return 16
  const size = own.shard.sizeBytes
  const sixteenths = size === 0 ? 0 : Math.min(15, Math.floor((own.doneBytes * 16) / size))
  return own.fetch?.kind === 'origin' ? Math.max(1, sixteenths) : sixteenths
}

/** Bytes that a shard may take on disk: its dump files and a generous bound for the three metadata files. */
export function reservedBytes(shard: Shard): number {
  return shard.sizeBytes + shard.statusJson.length + 512 * shard.fileCount + 16_384
}

export function bytesUsed(state: Pick<CoreState, 'own' | 'fileAudits'>): number {
  let sum = state.own.bytesUsed
  for (const bytes of state.fileAudits.values()) sum += bytes
  return sum
}

/** What the definitions of `ledger/health` need to know of this node. */
export function viewOf(state: Pick<CoreState, 'ledger' | 'parameters'>, now: Pick<Now, 'wallMs'>): View {
  return { ledger: state.ledger, parameters: state.parameters, nowMs: now.wallMs }
}

/** Remembers a failure; the shard is not claimed, nor asked of origin, before `retryAtMs`. */
export function noteFailure(
  state: CoreState,
  shard: ShardKey,
  what: { code: FetchFailure; detail: string },
  now: Now,
  retryAtMs: (attempts: number) => number,
): void {
  const attempts = (state.failures.get(shard)?.attempts ?? 0) + 1
  state.failures.set(shard, { ...what, atMs: now.wallMs, attempts, retryAtMs: retryAtMs(attempts) })
}

export function refute(state: CoreState, shard: ShardKey, infohash: Infohash): void {
  const known = state.refuted.get(shard) ?? new Set<Infohash>()
  state.refuted.set(shard, known.add(infohash))
}

/** Something changed that others should know and that must survive a crash. */
export function changed(state: CoreState): void {
  state.unpersisted = true
  state.unpublished = true
}

export function newOwn(state: Pick<CoreState, 'names'>, shard: Shard, now: Now): Own {
  return {
    shard,
    number: state.names.shards.number(shard.key),
    state: 'claimed',
    infohash: null,
    sinceMs: now.wallMs,
    doneBytes: 0,
    claimedAtMs: now.monotonicMs,
    grewAtMs: now.monotonicMs,
    fetch: null,
    fetchSinceMs: 0,
    leads: null,
    dry: null,
    auditCheckAtMs: 0,
    promisedUntilMs: 0,
    dropping: null,
    repairing: false,
    led: false,
    fromOriginBytes: 0,
    fromSwarmBytes: 0,
  }
}

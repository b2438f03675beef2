/** The state of one node's core. Changed in place by `step` only; everybody else reads. */
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import type { View } from '../ledger/health.ts'
import { Ledger } from '../ledger/ledger.ts'
import type { AuditRecord, Endpoint } from '../manifest/node-manifest.ts'
import type { Parameters } from '../parameters.ts'
import type { Shard } from '../shard/shard.ts'
import type { FetchSource } from './effect.ts'
import type { FetchFailure, Now } from './event.ts'

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
  readonly languages: readonly string[]
  /** Bytes that this node may fill. */
  readonly bytesTotal: number
  /** Claims under way at once. */
  readonly claimsMax: number
  /** Fetches under way at once. */
  readonly fetchesMax: number
  /** May take over from a lead that stalls. Off: only the best ranked claimant ever touches origin. */
  readonly originFallback: boolean
}

/** A shard that this node claims or holds. */
export interface Own {
  readonly shard: Shard
  state: 'claimed' | 'held'
  infohash: Infohash | null
  /** Unix ms since when it is in this state. */
  sinceMs: number
  doneBytes: number
  /** Monotonic ms. */
  claimedAtMs: number
  grewAtMs: number
  fetch: FetchSource | null
  /** The lead that is waited for, and since when (monotonic ms). */
  lead: { node: NodeId; sinceMs: number } | null
  /** Leads that were passed over because they stalled. */
  readonly passedOver: Set<NodeId>
  /** The swarm made no progress: until then (monotonic ms) it is not tried again. */
  swarmRestsUntilMs: number
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

/** A damaged copy, kept for the status page: what was found and when it was whole again. */
export interface Damage {
  readonly shard: ShardKey
  readonly files: readonly string[]
  readonly foundAtMs: number
  readonly repairedAtMs: number | null
}

export interface CoreState {
  readonly self: NodeId
  readonly parameters: Parameters
  readonly parametersFingerprint: string
  readonly settings: Settings
  readonly ledger: Ledger
  shards: Map<ShardKey, Shard>
  listed: ReadonlyMap<NodeId, string>
  readonly own: Map<ShardKey, Own>
  readonly refuted: Map<ShardKey, Set<Infohash>>
  readonly failures: Map<ShardKey, Failure>
  readonly damages: Damage[]
  /** Own audits of others, by `auditKey`. */
  readonly audits: Map<string, AuditRecord>
  /** Audits under way or just tried: monotonic ms until when this pair rests, by `auditKey`. */
  readonly auditRests: Map<string, number>
  readonly auditing: Set<string>
  /** Own copies being read again. */
  readonly checking: Set<ShardKey>
  /** Failure reports about own replicas that were already looked into: `auditor shard at`. */
  readonly heeded: Set<string>
  sequence: number
  connections: number
  /** Monotonic ms when the first peer was there; null before. */
  joinedAtMs: number | null
  reachable: boolean
  libp2p: readonly string[]
  bittorrent: readonly Endpoint[]
  /** When a shard was first seen short, monotonic ms (PROTOCOL 5: waves). */
  readonly shortSince: Map<ShardKey, number>
  publishedAtMs: number | null
  /** Something that others should know changed since the last publish. */
  unpublished: boolean
  /** Something that must survive a crash changed since the last persist. */
  unpersisted: boolean
}

/** What survives a restart. Claims and replicas come back; progress is found on disk. */
export interface Kept {
  readonly sequence: number
  readonly own: readonly {
    readonly shard: Shard
    readonly state: 'claimed' | 'held'
    readonly infohash: Infohash | null
    readonly sinceMs: number
    readonly repairing: boolean
    readonly led: boolean
    readonly fromOriginBytes: number
    readonly fromSwarmBytes: number
  }[]
  readonly refuted: readonly { readonly shard: ShardKey; readonly infohash: Infohash }[]
  readonly audits: readonly AuditRecord[]
  readonly damages: readonly Damage[]
}

export const auditKey = (shard: ShardKey, node: NodeId): string => `${shard} ${node}`

/** Sixteenths of a shard that are there, 0..16; 16 only for all of it (PROTOCOL 4: `done`). */
export function doneSixteenths(own: Own): number {
  if (own.state === 'held') return 16
  const size = own.shard.sizeBytes
  return size === 0 ? 0 : Math.min(15, Math.floor((own.doneBytes * 16) / size))
}

/** Bytes that a shard may take on disk: its dump files and a generous bound for the three metadata files. */
export function reservedBytes(shard: Shard): number {
  return shard.sizeBytes + shard.statusJson.length + 512 * shard.files.length + 16_384
}

export function bytesUsed(state: Pick<CoreState, 'own'>): number {
  let sum = 0
  for (const own of state.own.values()) sum += reservedBytes(own.shard)
  return sum
}

/** What the definitions of `ledger/health` need to know of this node. */
export function viewOf(state: CoreState, now: Now): View {
  const { ledger, parameters, listed, self } = state
  return { ledger, parameters, listed, self, nowMs: now.wallMs }
}

export function initialState(
  init: { self: NodeId; parameters: Parameters; parametersFingerprint: string; settings: Settings },
  kept: Kept | null,
  now: Now,
): CoreState {
  const state: CoreState = {
    ...init,
    ledger: new Ledger(),
    shards: new Map(),
    listed: new Map(),
    own: new Map(),
    refuted: new Map(),
    failures: new Map(),
    damages: [...(kept?.damages ?? [])],
    audits: new Map((kept?.audits ?? []).map((audit) => [auditKey(audit.shard, audit.node), audit])),
    auditRests: new Map(),
    auditing: new Set(),
    checking: new Set(),
    heeded: new Set(),
    sequence: kept?.sequence ?? 0,
    connections: 0,
    joinedAtMs: null,
    reachable: false,
    libp2p: [],
    bittorrent: [],
    shortSince: new Map(),
    publishedAtMs: null,
    unpublished: true,
    unpersisted: false,
  }
  for (const one of kept?.own ?? []) state.own.set(one.shard.key, revive(one, now))
  for (const { shard, infohash } of kept?.refuted ?? []) refute(state, shard, infohash)
  return state
}

export function refute(state: CoreState, shard: ShardKey, infohash: Infohash): void {
  const known = state.refuted.get(shard) ?? new Set<Infohash>()
  state.refuted.set(shard, known.add(infohash))
}

export function keptOf(state: CoreState): Kept {
  return {
    sequence: state.sequence,
    own: [...state.own.values()].map((own) => ({
      shard: own.shard,
      state: own.state,
      infohash: own.infohash,
      sinceMs: own.sinceMs,
      repairing: own.repairing,
      led: own.led,
      fromOriginBytes: own.fromOriginBytes,
      fromSwarmBytes: own.fromSwarmBytes,
    })),
    refuted: [...state.refuted].flatMap(([shard, all]) => [...all].map((infohash) => ({ shard, infohash }))),
    audits: [...state.audits.values()],
    damages: state.damages,
  }
}

function revive(one: Kept['own'][number], now: Now): Own {
  return { ...newOwn(one.shard, now), ...one, doneBytes: one.state === 'held' ? one.shard.sizeBytes : 0 }
}

export function newOwn(shard: Shard, now: Now): Own {
  return {
    shard,
    state: 'claimed',
    infohash: null,
    sinceMs: now.wallMs,
    doneBytes: 0,
    claimedAtMs: now.monotonicMs,
    grewAtMs: now.monotonicMs,
    fetch: null,
    lead: null,
    passedOver: new Set(),
    swarmRestsUntilMs: 0,
    repairing: false,
    led: false,
    fromOriginBytes: 0,
    fromSwarmBytes: 0,
  }
}

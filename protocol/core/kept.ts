/** How a core begins, and what of it survives a restart. */
import type { Infohash, NodeId, ShardKey } from '../ids.ts'
import { Ledger } from '../ledger/ledger.ts'
import { type AuditRecord, auditKey } from '../manifest/entry.ts'
import { type ParameterChange, parametersAt } from '../parameters.ts'
import type { Shard } from '../shard/shard.ts'
import type { Now } from './event.ts'
import { type KeptObservations, Observations } from './observations.ts'
import { OwnShards } from './own-shards.ts'
import { Shortages } from './shortages.ts'
import { type CoreState, type Damage, newOwn, type Own, refute, type Settings, type Shared } from './state.ts'

/** What survives a restart. Claims and replicas come back, with what was done of them; the rest of it is found on disk. */
export interface Kept {
  readonly sequence: number
  readonly own: readonly {
    readonly shard: Shard
    readonly state: 'claimed' | 'held'
    readonly infohash: Infohash | null
    readonly sinceMs: number
    /** As of the last time that it was stored. */
    readonly doneBytes: number
    readonly promisedUntilMs: number
    readonly repairing: boolean
    readonly led: boolean
    readonly fromOriginBytes: number
    readonly fromSwarmBytes: number
  }[]
  readonly refuted: readonly { readonly shard: ShardKey; readonly infohash: Infohash }[]
  readonly audits: readonly AuditRecord[]
  readonly damages: readonly Damage[]
  readonly observations: KeptObservations
}

export interface CoreInit extends Shared {
  readonly self: NodeId
  /** In growing order of activation, one at least. */
  readonly schedule: readonly ParameterChange[]
  readonly settings: Settings
}

export function initialState(init: CoreInit, kept: Kept | null, now: Now): CoreState {
  const { names, settings, self } = init
  const active = parametersAt(init.schedule, now.wallMs)
  const state: CoreState = {
    ...init,
    selfNumber: names.nodes.number(self),
    operatorNumber: names.operators.number(settings.operator === '' ? self : settings.operator),
    networkNumber: -1,
    parameters: active.values,
    parametersFingerprint: active.fingerprint,
    parametersFromMs: active.fromMs,
    parametersUntilMs: active.untilMs,
    ledger: new Ledger(init, active.values, self),
    shards: new Map(),
    catalogs: [],
    named: new Map(),
    catalogReadAtMs: 0,
    observations: new Observations(kept?.observations ?? null, now.wallMs),
    catalog: [],
    listed: new Map(),
    archived: new Map(),
    retargetAtMs: Number.POSITIVE_INFINITY,
    own: new OwnShards(),
    refuted: new Map(),
    failures: new Map(),
    damages: [...(kept?.damages ?? [])],
    audits: new Map((kept?.audits ?? []).map((audit) => [auditKey(audit.shard, audit.node), audit])),
    auditRests: new Map(),
    auditing: new Map(),
    fileAudits: new Map(),
    fileTurns: { day: 0, places: new Map() },
    receipts: { waiting: new Map(), asking: new Set(), askedAtMs: new Map() },
    checking: new Set(),
    heeded: new Set(),
    frozen: new Set(),
    bytesTotal: settings.bytesTotal,
    leaving: false,
    // A store that was lost cannot tell what was signed. Two clocks that are each right within the skew signed nothing above this.
    sequence: kept?.sequence ?? now.wallMs + 2 * active.values.clockSkewMs,
    connections: 0,
    joinedAtMs: null,
    reachable: false,
    libp2p: [],
    bittorrent: [],
    short: new Shortages(),
    tickedAtMs: Number.NEGATIVE_INFINITY,
    sweptAtMs: now.monotonicMs,
    expiredUntilMs: now.wallMs,
    publishedAtMs: null,
    offeredAtMs: null,
    unpublished: true,
    grewUnpublished: false,
    unpersisted: false,
  }
  for (const one of kept?.own ?? []) state.own.set(one.shard.key, revive(state, one, now))
  for (const { shard, infohash } of kept?.refuted ?? []) refute(state, shard, infohash)
  return state
}

export function keptOf(state: CoreState): Kept {
  return {
    sequence: state.sequence,
    own: [...state.own.values()].map((own) => ({
      shard: own.shard,
      state: own.state,
      infohash: own.infohash,
      sinceMs: own.sinceMs,
      doneBytes: own.doneBytes,
      promisedUntilMs: own.promisedUntilMs,
      repairing: own.repairing,
      led: own.led,
      fromOriginBytes: own.fromOriginBytes,
      fromSwarmBytes: own.fromSwarmBytes,
    })),
    refuted: [...state.refuted].flatMap(([shard, all]) => [...all].map((infohash) => ({ shard, infohash }))),
    audits: [...state.audits.values()],
    damages: [...state.damages],
    observations: state.observations.kept(),
  }
}

function revive(state: CoreState, one: Kept['own'][number], now: Now): Own {
  return { ...newOwn(state, one.shard, now), ...one }
}

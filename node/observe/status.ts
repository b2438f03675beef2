/**
 * The read-only snapshot behind the API, the status page and the metrics (HOUSE: a status request's trip). Pure: state and
 * time in, plain values out. Every list has a bound.
 */
import { isStale } from '../../protocol/core/observing.ts'
import { bytesUsed, type CoreState } from '../../protocol/core/state.ts'
import { type FederationId, type NodeId, parseShardKey, type ShardId } from '../../protocol/ids.ts'
import type { Standing } from '../../protocol/ledger/ledger.ts'
import type { AuditOutcome } from '../../protocol/manifest/entry.ts'
import type { Discovery, EngineAbout, TorrentStats } from '../ports.ts'
import type { PortStatus } from '../runtime/reach.ts'
import type { BadSource } from '../sources/web-files.ts'
import type { BundleStatus } from './bundle-status.ts'
import { engineProblem } from './engine-status.ts'
import { type FetchStatus, fetches } from './fetch-status.ts'
import { badSource, type PaceStatus, paused } from './pace-status.ts'
import { notForwarded } from './port-status.ts'
import { type Outside, type ShardStatus, shardStatuses } from './shard-status.ts'

export type { PaceStatus } from './pace-status.ts'
export { type Outside, type ShardStatus, shardStatuses } from './shard-status.ts'

export interface NodeStatus {
  readonly version: string
  readonly node: NodeId
  /** Empty: the node stands for itself. */
  readonly operator: string
  readonly role: 'node' | 'coordinator'
  readonly federation: FederationId
  readonly startedAtMs: number
  readonly nowMs: number
  readonly parametersFingerprint: string
  /** A dial-back from another node reached it. */
  readonly reachable: boolean
  /** Connected now. */
  readonly peers: number
  readonly addresses: readonly string[]
  /** Where the seeds are reached, what seeds: `own 0.1.0`, `qBittorrent 4.5.2`, and how peers are found besides trackers. */
  readonly bittorrent: { readonly port: number; readonly engine: string; readonly discovery: Discovery }
  readonly ports: readonly PortStatus[]
  readonly capacity: { readonly bytesTotal: number; readonly bytesUsed: number }
  readonly catalog: CatalogStatus
  readonly counts: StatusCounts
  readonly traffic: StatusTraffic
  readonly pace: PaceStatus
  readonly fetches: readonly FetchStatus[]
  /** Cycle bundles that a coordinator makes; a node makes none. */
  readonly bundles: readonly BundleStatus[]
  /** What is wrong now, then what was wrong and is mended; newest first. */
  readonly problems: readonly Problem[]
  readonly nodes: readonly KnownNode[]
}

/** Where it is known from which dumps there are. */
export interface CatalogStatus {
  /** `observed`: no coordinator is heard of, so nodes read upstream for each other (PROTOCOL 1). `none`: nothing is known yet. */
  readonly source: 'none' | 'coordinator' | 'observed'
  /** Unix ms when a coordinator last read upstream; null: none is known to have. */
  readonly readAtMs: number | null
  /** Shards that only nodes observed. */
  readonly observed: number
}

export interface StatusCounts {
  /** In the catalogs that are trusted. */
  readonly shards: number
  /** Of these, of runs with jobs that failed at Wikimedia. */
  readonly flawed: number
  /** Of these, safe by PROTOCOL 0; with a verified archive copy; published. */
  readonly safe: number
  readonly archived: number
  readonly published: number
  /** What this node does itself. */
  readonly claimed: number
  readonly fetching: number
  readonly held: number
  /** Own replicas that somebody else proved. */
  readonly audited: number
  /** This node's latest audits of others' replicas. */
  readonly audits: Readonly<Record<AuditOutcome, number>>
  readonly nodesLive: number
}

export interface StatusTraffic {
  /** Body bytes from Wikimedia since the start. */
  readonly originBytes: number
  /** Dump files from mirrors and the Internet Archive since the start. */
  readonly elsewhereBytes: number
  /** Payload by BitTorrent: of all that is held, and of what is on its way. */
  readonly swarmDownBytes: number
  /** Payload given since the start of each torrent. */
  readonly swarmUpBytes: number
}

export interface Problem {
  readonly shard: ShardId | null
  /** A FetchFailure, `damaged`, or a word of whoever adds problems of its own. */
  readonly code: string
  /** One sentence for people. */
  readonly detail: string
  /** Damaged files, each with the reason. */
  readonly files: readonly string[]
  readonly atMs: number
  readonly resolvedAtMs: number | null
}

export interface KnownNode {
  readonly node: NodeId
  readonly operator: string
  readonly standing: Standing
  readonly held: number
  readonly claimed: number
  readonly reachable: boolean
  readonly agent: string
  readonly self: boolean
  /** Its audits count for `safe` (PROTOCOL 7). */
  readonly listed: boolean
}

/** What a snapshot needs of the state; a coordinator has no core, and gives the same parts. */
export type StatusState = Pick<
  CoreState,
  | 'self'
  | 'parameters'
  | 'parametersFingerprint'
  | 'settings'
  | 'ledger'
  | 'shards'
  | 'named'
  | 'catalogReadAtMs'
  | 'listed'
  | 'archived'
  | 'own'
  | 'failures'
  | 'damages'
  | 'audits'
  | 'fileAudits'
  | 'reachable'
>

/** What the process knows beside its core. */
export interface StatusExtra {
  readonly version: string
  readonly role: 'node' | 'coordinator'
  readonly federation: FederationId
  readonly startedAtMs: number
  readonly nowMs: number
  readonly peers: number
  readonly addresses: readonly string[]
  readonly ports: readonly PortStatus[]
  readonly bittorrentPort: number
  readonly engine: EngineAbout
  readonly discovery: Discovery
  readonly originBytes: number
  readonly elsewhereBytes: number
  readonly pace: PaceStatus
  readonly badSources: readonly BadSource[]
  readonly torrents: readonly Pick<TorrentStats, 'state' | 'downloadedBytes' | 'uploadedBytes' | 'failure'>[]
  /** For example what upstream broke. */
  readonly problems?: readonly Problem[]
  readonly outside?: Outside
  readonly bundles?: readonly BundleStatus[]
}

const PROBLEMS_MAX = 500
const NODES_MAX = 2_000
const FETCHES_MAX = 500
const BUNDLES_MAX = 2_000

export function nodeStatus(state: StatusState, extra: StatusExtra): NodeStatus {
  const nodes = knownNodes(state, extra.nowMs)
  const rows = shardStatuses(
    state,
    extra.nowMs,
    extra.outside === undefined ? {} : { outside: extra.outside },
  )
  return {
    version: extra.version,
    node: state.self,
    operator: state.settings.operator,
    role: extra.role,
    federation: extra.federation,
    startedAtMs: extra.startedAtMs,
    nowMs: extra.nowMs,
    parametersFingerprint: state.parametersFingerprint,
    reachable: state.reachable,
    peers: extra.peers,
    addresses: extra.addresses,
    bittorrent: {
      port: extra.bittorrentPort,
      engine: `${extra.engine.name} ${extra.engine.version}`,
      discovery: extra.discovery,
    },
    ports: extra.ports,
    capacity: { bytesTotal: state.settings.bytesTotal, bytesUsed: bytesUsed(state) },
    catalog: catalogStatus(state, extra.nowMs),
    counts: counts(state, rows, nodes),
    traffic: traffic(state, extra),
    pace: extra.pace,
    fetches: fetches(state).slice(0, FETCHES_MAX),
    bundles: (extra.bundles ?? []).slice(-BUNDLES_MAX),
    problems: problems(state, [
      ...(extra.problems ?? []),
      ...paused(extra),
      ...engineProblem(extra),
      ...notForwarded(extra),
      ...extra.badSources.map(badSource),
    ]).slice(0, PROBLEMS_MAX),
    nodes: nodes.slice(0, NODES_MAX),
  }
}

function catalogStatus(state: StatusState, nowMs: number): CatalogStatus {
  const { catalogReadAtMs, shards, named } = state
  const isKnown = catalogReadAtMs > 0
  const source = isStale(state, { wallMs: nowMs }) ? 'observed' : isKnown ? 'coordinator' : 'none'
  return { source, readAtMs: isKnown ? catalogReadAtMs : null, observed: shards.size - named.size }
}

function counts(state: StatusState, rows: readonly ShardStatus[], nodes: readonly KnownNode[]): StatusCounts {
  const own = [...state.own.values()]
  const audits: Record<AuditOutcome, number> = { pass: 0, fail: 0, offline: 0, unknown: 0 }
  for (const audit of state.audits.values()) audits[audit.outcome]++
  return {
    shards: state.shards.size,
    flawed: rows.filter((row) => row.failedJobs.length > 0).length,
    safe: rows.filter((row) => row.safe).length,
    archived: rows.filter((row) => row.archived).length,
    published: rows.filter((row) => row.published).length,
    claimed: own.filter((one) => one.state === 'claimed').length,
    fetching: own.filter((one) => one.fetch !== null).length,
    held: own.filter((one) => one.state === 'held').length,
    audited: rows.filter((row) => row.holders.some((one) => one.node === state.self && one.audited)).length,
    audits,
    nodesLive: nodes.filter((one) => one.standing === 'live').length,
  }
}

function traffic(state: StatusState, { originBytes, elsewhereBytes, torrents }: StatusExtra): StatusTraffic {
  let swarmDownBytes = 0
  let swarmUpBytes = 0
  for (const own of state.own.values()) swarmDownBytes += own.fromSwarmBytes
  for (const torrent of torrents) {
    if (torrent.state === 'fetching') swarmDownBytes += torrent.downloadedBytes
    swarmUpBytes += torrent.uploadedBytes
  }
  return { originBytes, elsewhereBytes, swarmDownBytes, swarmUpBytes }
}

function problems(state: StatusState, others: readonly Problem[]): Problem[] {
  const all: Problem[] = [...others]
  for (const [key, { code, detail, atMs }] of state.failures) {
    all.push({ shard: parseShardKey(key).id, code, detail, files: [], atMs, resolvedAtMs: null })
  }
  for (const { shard, files, foundAtMs, repairedAtMs } of state.damages) {
    all.push({
      shard: parseShardKey(shard).id,
      code: 'damaged',
      detail: `${files.length === 1 ? 'A file' : `${files.length} files`} of our own copy changed on the disk.`,
      files: files.slice(0, PROBLEMS_MAX),
      atMs: foundAtMs,
      resolvedAtMs: repairedAtMs,
    })
  }
  const open = (problem: Problem) => (problem.resolvedAtMs === null ? 0 : 1)
  return all.sort((a, b) => open(a) - open(b) || b.atMs - a.atMs)
}

function knownNodes(state: StatusState, nowMs: number): KnownNode[] {
  const out: KnownNode[] = []
  for (const { node, entries, head } of state.ledger.nodes()) {
    let held = 0
    for (const entry of entries.values()) if (entry.state === 'held') held++
    out.push({
      node,
      operator: state.ledger.operator(node),
      standing: state.ledger.standing(node, nowMs),
      held,
      claimed: entries.size - held,
      reachable: head.reachable,
      agent: head.agent,
      self: node === state.self,
      listed: state.listed.has(node),
    })
  }
  return out.sort((a, b) => compare(a.operator, b.operator) || compare(a.node, b.node))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

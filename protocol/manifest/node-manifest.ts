/** What ONE node says about all it claims and holds (PROTOCOL 4). Encoded as dag-cbor; sealed in an envelope. */

import { bytesToHex, hexToBytes } from '../codec/bytes.ts'
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import {
  boolean,
  branded,
  bytes,
  integer,
  list,
  oneOf,
  type Reader,
  record,
  ShapeError,
  text,
} from '../codec/shape.ts'
import { type Infohash, isNodeId, isShardKey, type NodeId, type ShardKey } from '../ids.ts'
import {
  ENDPOINTS_MAX,
  LANGUAGES_MAX,
  NODE_MANIFEST_AUDITS_MAX,
  NODE_MANIFEST_BYTES_MAX,
  NODE_MANIFEST_ENTRIES_MAX,
  TEXT_BYTES_MAX,
} from '../limits.ts'

export const NODE_MANIFEST_DOMAIN = 'wikiseed/node-manifest/1'
export const NODE_MANIFEST_TYPE = 'application/vnd.wikiseed.node-manifest+cbor'

export const ENTRY_STATES = ['claimed', 'held', 'dropped'] as const
/** `dropped` names an infohash whose bytes failed the upstream digests (PROTOCOL 6). */
export type EntryState = (typeof ENTRY_STATES)[number]

export const AUDIT_OUTCOMES = ['pass', 'fail', 'offline', 'unknown'] as const
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number]

export interface Entry {
  readonly shard: ShardKey
  readonly state: EntryState
  readonly infohash: Infohash | null
  /** Sixteenths of the bytes that are there, 0..16. */
  readonly done: number
  /** Unix ms since when it is in this state. Audits before do not count. */
  readonly sinceMs: number
}

export interface AuditRecord {
  readonly shard: ShardKey
  /** Whose replica was audited. */
  readonly node: NodeId
  readonly outcome: AuditOutcome
  /** Unix ms. */
  readonly atMs: number
}

export interface Endpoint {
  readonly host: string
  readonly port: number
}

export interface NodeManifest {
  readonly node: NodeId
  readonly sequence: number
  readonly issuedAtMs: number
  readonly ttlMs: number
  /** Fingerprint of the federation parameters it runs with. */
  readonly parameters: string
  readonly capacity: { readonly bytesTotal: number; readonly bytesUsed: number }
  /** Software and version. */
  readonly agent: string
  /** Who runs it; empty: the node stands for itself. */
  readonly operator: string
  readonly languages: readonly string[]
  readonly endpoints: { readonly libp2p: readonly string[]; readonly bittorrent: readonly Endpoint[] }
  /** A dial-back from another node reached it. */
  readonly reachable: boolean
  readonly entries: readonly Entry[]
  readonly audits: readonly AuditRecord[]
}

const KEYS = [
  'node',
  'sequence',
  'issuedAt',
  'ttl',
  'parameters',
  'capacity',
  'agent',
  'operator',
  'languages',
  'endpoints',
  'reachable',
  'entries',
  'audits',
] as const

/** The longest ttl that is believed: a claim that never expires would be a lock. */
const TTL_MS_MAX = 48 * 3_600_000

export function encodeNodeManifest(manifest: NodeManifest): Uint8Array {
  return encodeCbor({
    node: manifest.node,
    sequence: manifest.sequence,
    issuedAt: manifest.issuedAtMs,
    ttl: manifest.ttlMs,
    parameters: manifest.parameters,
    capacity: [manifest.capacity.bytesTotal, manifest.capacity.bytesUsed],
    agent: manifest.agent,
    operator: manifest.operator,
    languages: manifest.languages,
    endpoints: {
      libp2p: manifest.endpoints.libp2p,
      bittorrent: manifest.endpoints.bittorrent.map((endpoint) => [endpoint.host, endpoint.port]),
    },
    reachable: manifest.reachable,
    entries: manifest.entries.map((entry) => [
      entry.shard,
      ENTRY_STATES.indexOf(entry.state),
      entry.infohash === null ? null : hexToBytes(entry.infohash),
      entry.done,
      entry.sinceMs,
    ]),
    audits: manifest.audits.map((audit) => [
      audit.shard,
      audit.node,
      AUDIT_OUTCOMES.indexOf(audit.outcome),
      audit.atMs,
    ]),
  })
}

/** Throws ShapeError with the path that failed. */
export function decodeNodeManifest(payload: Uint8Array): NodeManifest {
  const fields = record(decodeCbor(payload, 'manifest', NODE_MANIFEST_BYTES_MAX), 'manifest', KEYS)
  const capacity = list(fields.capacity, 'manifest.capacity', 2, readCount)
  const endpoints = record(fields.endpoints, 'manifest.endpoints', ['libp2p', 'bittorrent'])
  const [bytesTotal, bytesUsed] = capacity
  if (bytesTotal === undefined || bytesUsed === undefined)
    throw new ShapeError('manifest.capacity', 'two counts')
  const entries = list(fields.entries, 'manifest.entries', NODE_MANIFEST_ENTRIES_MAX, readEntry)
  refuseTwice(entries)
  return {
    node: readNodeId(fields.node, 'manifest.node'),
    sequence: integer(fields.sequence, 'manifest.sequence', 1),
    issuedAtMs: integer(fields.issuedAt, 'manifest.issuedAt'),
    ttlMs: integer(fields.ttl, 'manifest.ttl', 1, TTL_MS_MAX),
    parameters: readText(fields.parameters, 'manifest.parameters'),
    capacity: { bytesTotal, bytesUsed },
    agent: readText(fields.agent, 'manifest.agent'),
    operator: readText(fields.operator, 'manifest.operator'),
    languages: list(fields.languages, 'manifest.languages', LANGUAGES_MAX, readText),
    endpoints: {
      libp2p: list(endpoints.libp2p, 'manifest.endpoints.libp2p', ENDPOINTS_MAX, readText),
      bittorrent: list(endpoints.bittorrent, 'manifest.endpoints.bittorrent', ENDPOINTS_MAX, readEndpoint),
    },
    reachable: boolean(fields.reachable, 'manifest.reachable'),
    entries,
    audits: list(fields.audits, 'manifest.audits', NODE_MANIFEST_AUDITS_MAX, readAudit),
  }
}

export const readNodeId = branded(isNodeId, 'a peer id')
export const readShardKey = branded(isShardKey, 'a shard key')
const readText: Reader<string> = (value, path) => text(value, path, TEXT_BYTES_MAX)
const readCount: Reader<number> = (value, path) => integer(value, path)

const readEntry: Reader<Entry> = (value, path) => {
  const [shard, state, infohash, done, since] = tuple(value, path, 5)
  return {
    shard: readShardKey(shard, `${path}.shard`),
    state: oneOf(ENTRY_STATES[integer(state, `${path}.state`, 0, 2)], path, ENTRY_STATES),
    infohash: infohash === null ? null : (bytesToHex(bytes(infohash, `${path}.infohash`, 20)) as Infohash),
    done: integer(done, `${path}.done`, 0, 16),
    sinceMs: integer(since, `${path}.since`),
  }
}

const readAudit: Reader<AuditRecord> = (value, path) => {
  const [shard, node, outcome, at] = tuple(value, path, 4)
  return {
    shard: readShardKey(shard, `${path}.shard`),
    node: readNodeId(node, `${path}.node`),
    outcome: oneOf(AUDIT_OUTCOMES[integer(outcome, `${path}.outcome`, 0, 3)], path, AUDIT_OUTCOMES),
    atMs: integer(at, `${path}.at`),
  }
}

const readEndpoint: Reader<Endpoint> = (value, path) => {
  const [host, port] = tuple(value, path, 2)
  return { host: readText(host, `${path}.host`), port: integer(port, `${path}.port`, 1, 65_535) }
}

function tuple(value: unknown, path: string, length: number): unknown[] {
  if (!Array.isArray(value) || value.length !== length) throw new ShapeError(path, `a list of ${length}`)
  return value
}

/** One node says one thing about a shard: at most one claimed or held entry a key. */
function refuseTwice(entries: readonly Entry[]): void {
  const seen = new Set<ShardKey>()
  for (const entry of entries) {
    if (entry.state === 'dropped') continue
    if (seen.has(entry.shard)) throw new ShapeError(`manifest.entries.${entry.shard}`, 'one entry a shard')
    seen.add(entry.shard)
  }
}

/**
 * What one node says about one shard (PROTOCOL 4): the rows that node updates, buckets and the ledger are made of. A row
 * stands on the wire as a dag-cbor list, so that a thousand of them repeat no field names.
 */
import { bytesToHex, hexToBytes } from '../codec/bytes.ts'
import { branded, bytes, integer, oneOf, type Reader, ShapeError, text } from '../codec/shape.ts'
import { type Infohash, isNodeId, isShardKey, type NodeId, type ShardKey } from '../ids.ts'
import { TEXT_BYTES_MAX } from '../limits.ts'

export const ENTRY_STATES = ['claimed', 'held'] as const
export type EntryState = (typeof ENTRY_STATES)[number]

/** A claim or a replica; at most one a shard. */
export interface Entry {
  readonly shard: ShardKey
  readonly state: EntryState
  /** Null while it is claimed. */
  readonly infohash: Infohash | null
  /** Sixteenths of the bytes that are there, 0..16. */
  readonly done: number
  /** Unix ms since when it is in this state. Audits before do not count. */
  readonly sinceMs: number
  /** Unix ms until when the node promised to keep it (PROTOCOL 8); 0: no promise. */
  readonly promisedUntilMs: number
}

/** An infohash that the node found not to stand for the shard's bytes (PROTOCOL 6). */
export interface Refutation {
  readonly shard: ShardKey
  readonly infohash: Infohash
}

export const AUDIT_OUTCOMES = ['pass', 'fail', 'offline', 'unknown'] as const
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number]

/** Names one audited replica. */
export interface AuditPair {
  readonly shard: ShardKey
  /** Whose replica was audited. */
  readonly node: NodeId
}

/** The latest audit of one replica by the node that says so. */
export interface AuditRecord extends AuditPair {
  readonly outcome: AuditOutcome
  /** Unix ms. */
  readonly atMs: number
}

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** Key of an audit in a map: shard and audited node. */
export const auditKey = (shard: ShardKey, node: NodeId): string => `${shard} ${node}`

/** Names a refutation among others: sorts them. */
export const refutationKey = ({ shard, infohash }: Refutation): string => `${shard} ${infohash}`

export const readNodeId = branded(isNodeId, 'a peer id')
export const readShardKey = branded(isShardKey, 'a shard key')
export const readText: Reader<string> = (value, path) => text(value, path, TEXT_BYTES_MAX)

/** `[shard, state, infohash | null, done, since]`, and promisedUntil as a sixth when there is a promise. */
export function entryToValue(entry: Entry): unknown[] {
  const { shard, state, infohash, done, sinceMs, promisedUntilMs } = entry
  const row = [
    shard,
    ENTRY_STATES.indexOf(state),
    infohash === null ? null : hexToBytes(infohash),
    done,
    sinceMs,
  ]
  return promisedUntilMs === 0 ? row : [...row, promisedUntilMs]
}

/** Throws ShapeError. */
export const readEntry: Reader<Entry> = (value, path) => {
  const row = tuple(value, path, 5, 6)
  const [shard, state, infohash, done, since, promisedUntil] = row
  return {
    shard: readShardKey(shard, `${path}.shard`),
    state: oneOf(ENTRY_STATES[integer(state, `${path}.state`, 0, 1)], path, ENTRY_STATES),
    infohash: infohash === null ? null : readInfohash(infohash, `${path}.infohash`),
    done: integer(done, `${path}.done`, 0, 16),
    sinceMs: integer(since, `${path}.since`),
    promisedUntilMs: row.length === 5 ? 0 : integer(promisedUntil, `${path}.promisedUntil`, 1),
  }
}

/** `[shard, infohash]` */
export function refutationToValue(refutation: Refutation): unknown[] {
  return [refutation.shard, hexToBytes(refutation.infohash)]
}

/** Throws ShapeError. */
export const readRefutation: Reader<Refutation> = (value, path) => {
  const [shard, infohash] = tuple(value, path, 2)
  return {
    shard: readShardKey(shard, `${path}.shard`),
    infohash: readInfohash(infohash, `${path}.infohash`),
  }
}

/** `[shard, audited node, outcome, at]` */
export function auditToValue(audit: AuditRecord): unknown[] {
  return [audit.shard, audit.node, AUDIT_OUTCOMES.indexOf(audit.outcome), audit.atMs]
}

/** Throws ShapeError. */
export const readAudit: Reader<AuditRecord> = (value, path) => {
  const [shard, node, outcome, at] = tuple(value, path, 4)
  return {
    shard: readShardKey(shard, `${path}.shard`),
    node: readNodeId(node, `${path}.node`),
    outcome: oneOf(AUDIT_OUTCOMES[integer(outcome, `${path}.outcome`, 0, 3)], path, AUDIT_OUTCOMES),
    atMs: integer(at, `${path}.at`),
  }
}

/** Throws ShapeError. `[shard, audited node]` */
export const readAuditPair: Reader<AuditPair> = (value, path) => {
  const [shard, node] = tuple(value, path, 2)
  return { shard: readShardKey(shard, `${path}.shard`), node: readNodeId(node, `${path}.node`) }
}

/** Throws ShapeError. `[host, port]` */
export const readEndpoint: Reader<Endpoint> = (value, path) => {
  const [host, port] = tuple(value, path, 2)
  return { host: readText(host, `${path}.host`), port: integer(port, `${path}.port`, 1, 65_535) }
}

export function sameEntry(a: Entry, b: Entry): boolean {
  return (
    a.shard === b.shard &&
    a.state === b.state &&
    a.infohash === b.infohash &&
    a.done === b.done &&
    a.sinceMs === b.sinceMs &&
    a.promisedUntilMs === b.promisedUntilMs
  )
}

export function sameAudit(a: AuditRecord, b: AuditRecord): boolean {
  return a.shard === b.shard && a.node === b.node && a.outcome === b.outcome && a.atMs === b.atMs
}

const readInfohash: Reader<Infohash> = (value, path) => bytesToHex(bytes(value, path, 20)) as Infohash

/** A list of at least `min` and at most `max` values. Throws ShapeError. */
export function tuple(value: unknown, path: string, min: number, max = min): unknown[] {
  if (!Array.isArray(value) || value.length < min || value.length > max) {
    throw new ShapeError(path, `a list of ${min}${max > min ? ` to ${max}` : ''}`)
  }
  return value
}

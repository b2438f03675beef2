/** What the core keeps over a restart, in dag-cbor. */
import { readRunReference } from '../../protocol/catalog/observation.ts'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import {
  branded,
  integer,
  list,
  oneOf,
  optional,
  type Reader,
  record,
  text,
} from '../../protocol/codec/shape.ts'
import type { Kept } from '../../protocol/core/kept.ts'
import type { Damage } from '../../protocol/core/state.ts'
import { isInfohash } from '../../protocol/ids.ts'
import { AUDIT_OUTCOMES, type AuditRecord, readNodeId, readShardKey } from '../../protocol/manifest/entry.ts'
import { readShard, shardToValue } from '../../protocol/shard/cut.ts'
import type { Store, StoreOperation } from '../ports.ts'
import { keyOf, prefixOf } from './keyspace.ts'

/** All but the rows of shards and of audits, which have keys of their own: 10,000 held shards are 15 MB, and little of it changes. */
const KEY = keyOf('own', 'kept')
const KEPT_BYTES_MAX = 1024 ** 3
const ROW_BYTES_MAX = 64 * 1024 ** 2
const ROWS_MAX = 1_000_000

type OwnRow = Kept['own'][number]

export class KeptStore {
  readonly #store: Store
  /** What is stored under each key, as far as it can change; null: not looked at yet. */
  #stored: Map<string, string> | null = null

  constructor(store: Store) {
    this.#store = store
  }

  /** null at the first start. Throws ShapeError when a stored value is not one of ours. */
  async load(): Promise<Kept | null> {
    const value = await this.#store.get(KEY)
    const stored = new Map<string, string>()
    const own: OwnRow[] = []
    for await (const row of this.#store.list(prefixOf('ownEntries'))) {
      const one = readOwn(decodeCbor(row.value, row.key, ROW_BYTES_MAX), row.key)
      own.push(one)
      stored.set(row.key, markOfOwn(one))
    }
    const audits: AuditRecord[] = []
    for await (const row of this.#store.list(prefixOf('audits'))) {
      const one = readAudit(decodeCbor(row.value, row.key, ROW_BYTES_MAX), row.key)
      audits.push(one)
      stored.set(row.key, markOfAudit(one))
    }
    this.#stored = stored
    if (value === null) return null
    const fields = record(decodeCbor(value, 'kept', KEPT_BYTES_MAX), 'kept')
    return {
      sequence: integer(fields.sequence, 'kept.sequence'),
      // Earlier builds kept the rows in this value; the next save moves them.
      own: own.concat(optional(fields.own, 'kept.own', listOf(readOwn)) ?? []),
      refuted: list(fields.refuted, 'kept.refuted', ROWS_MAX, readRefuted),
      audits: audits.concat(optional(fields.audits, 'kept.audits', listOf(readAudit)) ?? []),
      damages: list(fields.damages, 'kept.damages', ROWS_MAX, readDamage),
      // Folders of earlier builds have none.
      observations: optional(fields.observations, 'kept.observations', readObservations) ?? {
        observedAtMs: 0,
        counted: [],
      },
    }
  }

  /** All or nothing; writes what differs from what is stored. One at a time. */
  async save(kept: Kept): Promise<void> {
    if (this.#stored === null) await this.load()
    const before = this.#stored ?? new Map<string, string>()
    const after = new Map<string, string>()
    const operations: StoreOperation[] = []
    const keep = (key: string, mark: string, value: () => unknown) => {
      after.set(key, mark)
      if (before.get(key) !== mark) operations.push({ type: 'put', key, value: encodeCbor(value()) })
    }
    for (const own of kept.own) {
      const key = keyOf('ownEntries', own.shard.key)
      keep(key, markOfOwn(own), () => ({ ...own, shard: shardToValue(own.shard) }))
    }
    for (const audit of kept.audits)
      keep(keyOf('audits', audit.shard, audit.node), markOfAudit(audit), () => audit)
    for (const key of before.keys()) if (!after.has(key)) operations.push({ type: 'del', key })
    const { sequence, refuted, damages, observations } = kept
    const value = encodeCbor({
      sequence,
      refuted,
      damages,
      observations: {
        observedAtMs: observations.observedAtMs,
        counted: observations.counted.map(({ reference: { run, sha256, sizeBytes }, basis, day }) => ({
          reference: [run, sha256, sizeBytes],
          basis,
          day,
        })),
      },
    })
    await this.#store.batch([...operations, { type: 'put', key: KEY, value }])
    this.#stored = after
  }
}

/** A shard's key fixes all of it; the rest is what may change of a row. */
function markOfOwn({ shard: _, ...rest }: OwnRow): string {
  return Object.values(rest).join(' ')
}

const markOfAudit = ({ outcome, atMs }: AuditRecord): string => `${outcome} ${atMs}`

const listOf =
  <T>(read: Reader<T>): Reader<T[]> =>
  (value, path) =>
    list(value, path, ROWS_MAX, read)

const readInfohash = branded(isInfohash, 'an infohash')

const readOwn: Reader<Kept['own'][number]> = (value, path) => {
  const fields = record(value, path)
  return {
    shard: readShard(fields.shard, `${path}.shard`),
    state: oneOf(fields.state, `${path}.state`, ['claimed', 'held']),
    infohash: fields.infohash === null ? null : readInfohash(fields.infohash, `${path}.infohash`),
    sinceMs: integer(fields.sinceMs, `${path}.sinceMs`),
    doneBytes: integer(fields.doneBytes, `${path}.doneBytes`),
    promisedUntilMs: integer(fields.promisedUntilMs, `${path}.promisedUntilMs`),
    repairing: fields.repairing === true,
    led: fields.led === true,
    fromOriginBytes: integer(fields.fromOriginBytes, `${path}.fromOriginBytes`),
    fromSwarmBytes: integer(fields.fromSwarmBytes, `${path}.fromSwarmBytes`),
  }
}

const readObservations: Reader<Kept['observations']> = (value, path) => {
  const fields = record(value, path)
  return {
    observedAtMs: integer(fields.observedAtMs, `${path}.observedAtMs`),
    counted: list(fields.counted, `${path}.counted`, ROWS_MAX, readCounted),
  }
}

const readCounted: Reader<Kept['observations']['counted'][number]> = (value, path) => {
  const fields = record(value, path)
  return {
    reference: readRunReference(fields.reference, `${path}.reference`),
    basis: oneOf(fields.basis, `${path}.basis`, ['own', 'listed', 'open']),
    day: integer(fields.day, `${path}.day`),
  }
}

const readRefuted: Reader<Kept['refuted'][number]> = (value, path) => {
  const fields = record(value, path)
  return {
    shard: readShardKey(fields.shard, `${path}.shard`),
    infohash: readInfohash(fields.infohash, `${path}.infohash`),
  }
}

const readAudit: Reader<AuditRecord> = (value, path) => {
  const fields = record(value, path)
  return {
    shard: readShardKey(fields.shard, `${path}.shard`),
    node: readNodeId(fields.node, `${path}.node`),
    outcome: oneOf(fields.outcome, `${path}.outcome`, AUDIT_OUTCOMES),
    atMs: integer(fields.atMs, `${path}.atMs`),
  }
}

const readDamage: Reader<Damage> = (value, path) => {
  const fields = record(value, path)
  return {
    shard: readShardKey(fields.shard, `${path}.shard`),
    files: list(fields.files, `${path}.files`, ROWS_MAX, (item, at) => text(item, at, 4_096)),
    foundAtMs: integer(fields.foundAtMs, `${path}.foundAtMs`),
    repairedAtMs: fields.repairedAtMs === null ? null : integer(fields.repairedAtMs, `${path}.repairedAtMs`),
  }
}

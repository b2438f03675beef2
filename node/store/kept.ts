/** What the core keeps over a restart, as one dag-cbor value under one key. */
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
import type { Store } from '../ports.ts'
import { keyOf } from './keyspace.ts'

const KEY = keyOf('own', 'kept')
const KEPT_BYTES_MAX = 1024 ** 3
const ROWS_MAX = 1_000_000

export async function saveKept(store: Store, kept: Kept): Promise<void> {
  const value = encodeCbor({
    sequence: kept.sequence,
    own: kept.own.map((own) => ({ ...own, shard: shardToValue(own.shard) })),
    refuted: kept.refuted,
    audits: kept.audits,
    damages: kept.damages,
    observations: {
      observedAtMs: kept.observations.observedAtMs,
      counted: kept.observations.counted.map(({ reference: { run, sha256, sizeBytes }, basis, day }) => ({
        reference: [run, sha256, sizeBytes],
        basis,
        day,
      })),
    },
  })
  await store.batch([{ type: 'put', key: KEY, value }])
}

/** null at the first start. Throws ShapeError when the stored value is not one of ours. */
export async function loadKept(store: Store): Promise<Kept | null> {
  const value = await store.get(KEY)
  if (value === null) return null
  const fields = record(decodeCbor(value, 'kept', KEPT_BYTES_MAX), 'kept')
  return {
    sequence: integer(fields.sequence, 'kept.sequence'),
    own: list(fields.own, 'kept.own', ROWS_MAX, readOwn),
    refuted: list(fields.refuted, 'kept.refuted', ROWS_MAX, readRefuted),
    audits: list(fields.audits, 'kept.audits', ROWS_MAX, readAudit),
    damages: list(fields.damages, 'kept.damages', ROWS_MAX, readDamage),
    // Folders of earlier builds have none.
    observations: optional(fields.observations, 'kept.observations', readObservations) ?? {
      observedAtMs: 0,
      counted: [],
    },
  }
}

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

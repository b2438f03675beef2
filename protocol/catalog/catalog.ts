/**
 * The catalog: which shards exist (PROTOCOL 1). A coordinator signs a small index, which is gossiped; it names each cycle's
 * catalog by sha256, so a catalog can be pulled from anybody, in slices. The index also lists the operators whose audits
 * count for `safe` (PROTOCOL 7).
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '../codec/bytes.ts'
import { decodeCbor, decodeCborList, encodeCbor } from '../codec/cbor.ts'
import { branded, integer, list, optional, type Reader, record, ShapeError, text } from '../codec/shape.ts'
import { type Cycle, cycleOf, isCycle, isFederationId, type NodeId, type ShardKey } from '../ids.ts'
import {
  ARCHIVE_LIST_BYTES_MAX,
  CATALOG_BYTES_MAX,
  CATALOG_INDEX_BYTES_MAX,
  CATALOG_INDEX_CYCLES_MAX,
  CATALOG_OPERATORS_MAX,
  CATALOG_SHARDS_MAX,
  TEXT_BYTES_MAX,
} from '../limits.ts'
import { readNodeId } from '../manifest/entry.ts'
import type { Parameters } from '../parameters.ts'
import { readShard, shardToValue } from '../shard/cut.ts'
import type { Shard } from '../shard/shard.ts'

export const CATALOG_INDEX_DOMAIN = 'wikiseed/catalog-index/1'
export const CATALOG_INDEX_TYPE = 'application/vnd.wikiseed.catalog-index+cbor'

/** Of the time after which nodes take over, an index is signed anew so many times though nothing changed (PROTOCOL 1). */
const SIGNATURES_A_SILENCE = 4

/** Ms after which a coordinator that read upstream again says so, though nothing changed. */
export function signedAnewAfterMs({ observeAfterMs }: Pick<Parameters, 'observeAfterMs'>): number {
  return observeAfterMs / SIGNATURES_A_SILENCE
}

export interface CatalogReference {
  readonly cycle: Cycle
  /** sha256 of the catalog's bytes, hex. */
  readonly sha256: string
  readonly sizeBytes: number
}

export interface CatalogIndex {
  /** The coordinator that signed it. */
  readonly coordinator: NodeId
  readonly sequence: number
  readonly issuedAtMs: number
  /** Unix ms when the coordinator last read upstream: the catalogs tell of everything that was settled then. */
  readonly readAtMs: number
  readonly catalogs: readonly CatalogReference[]
  /** What is archived, by cycle: lists that are content-addressed as catalogs are (archive-list.ts). */
  readonly archives: readonly CatalogReference[]
  /** Listed operators by node: their audits count for `safe`. */
  readonly operators: readonly { readonly node: NodeId; readonly operator: string }[]
}

export interface Catalog {
  readonly cycle: Cycle
  readonly shards: readonly Shard[]
}

const INDEX_KEYS = [
  'coordinator',
  'sequence',
  'issuedAt',
  'readAt',
  'catalogs',
  'operators',
  'archives',
] as const

export function encodeCatalogIndex(index: CatalogIndex): Uint8Array {
  return encodeCbor({
    coordinator: index.coordinator,
    sequence: index.sequence,
    issuedAt: index.issuedAtMs,
    readAt: index.readAtMs,
    catalogs: index.catalogs.map(referenceToValue),
    operators: index.operators.map((one) => [one.node, one.operator]),
    ...(index.archives.length > 0 ? { archives: index.archives.map(referenceToValue) } : {}),
  })
}

/** Throws ShapeError. */
export function decodeCatalogIndex(payload: Uint8Array): CatalogIndex {
  const value = decodeCbor(payload, 'index', CATALOG_INDEX_BYTES_MAX)
  const fields = record(value, 'index', INDEX_KEYS)
  const archives = optional(fields.archives, 'index.archives', (found, path) =>
    list(found, path, CATALOG_INDEX_CYCLES_MAX, referenceReader(ARCHIVE_LIST_BYTES_MAX)),
  )
  // One encoding: a list that says nothing is left out.
  if (archives?.length === 0) throw new ShapeError('index.archives', 'at least one list')
  const issuedAtMs = integer(fields.issuedAt, 'index.issuedAt')
  return {
    coordinator: readNodeId(fields.coordinator, 'index.coordinator'),
    sequence: integer(fields.sequence, 'index.sequence', 1),
    issuedAtMs,
    // Indexes of earlier builds, which were signed after a reading, do not say it.
    readAtMs:
      fields.readAt === undefined ? issuedAtMs : integer(fields.readAt, 'index.readAt', 0, issuedAtMs),
    catalogs: list(
      fields.catalogs,
      'index.catalogs',
      CATALOG_INDEX_CYCLES_MAX,
      referenceReader(CATALOG_BYTES_MAX),
    ),
    archives: archives ?? [],
    operators: list(fields.operators, 'index.operators', CATALOG_OPERATORS_MAX, readOperator),
  }
}

export function encodeCatalog(catalog: Catalog): Uint8Array {
  return encodeCbor({ cycle: catalog.cycle, shards: catalog.shards.map(shardToValue) })
}

export function referenceOf(cycle: Cycle, bytes: Uint8Array): CatalogReference {
  return { cycle, sha256: bytesToHex(sha256(bytes)), sizeBytes: bytes.length }
}

/**
 * Checks the bytes against the signed reference, then decodes. Throws ShapeError. `known`: a shard that is in memory anyway; a key fixes
 * all of it, so none is kept twice.
 */
export function openCatalog(
  bytes: Uint8Array,
  reference: CatalogReference,
  known: (key: ShardKey) => Shard | undefined = () => undefined,
): Catalog {
  const actual = referenceOf(reference.cycle, bytes)
  if (actual.sha256 !== reference.sha256 || actual.sizeBytes !== reference.sizeBytes) {
    throw new ShapeError('catalog', `bytes with sha256 ${reference.sha256}`)
  }
  const { map, count, items } = decodeCborList(bytes, 'catalog', CATALOG_BYTES_MAX, 'shards')
  const fields = record(map, 'catalog', ['cycle', 'shards'])
  const cycle = readCycle(fields.cycle, 'catalog.cycle')
  if (cycle !== reference.cycle) throw new ShapeError('catalog.cycle', reference.cycle)
  if (count > CATALOG_SHARDS_MAX)
    throw new ShapeError('catalog.shards', `a list of at most ${CATALOG_SHARDS_MAX}`)
  const shards: Shard[] = []
  for (const item of items) {
    const shard = readShard(item, `catalog.shards[${shards.length}]`)
    if (cycleOf(shard.date) !== cycle) throw new ShapeError(`catalog.shards.${shard.id}`, `a run of ${cycle}`)
    shards.push(known(shard.key) ?? shard)
  }
  return { cycle, shards }
}

const readCycle = branded(isCycle, 'YYYY-MM')

const referenceToValue = (one: CatalogReference) => [one.cycle, one.sha256, one.sizeBytes]

const referenceReader =
  (sizeBytesMax: number): Reader<CatalogReference> =>
  (value, path) => {
    if (!Array.isArray(value) || value.length !== 3) throw new ShapeError(path, 'a list of 3')
    return {
      cycle: readCycle(value[0], `${path}.cycle`),
      sha256: branded(isFederationId, 'a sha256')(value[1], `${path}.sha256`),
      sizeBytes: integer(value[2], `${path}.size`, 1, sizeBytesMax),
    }
  }

const readOperator: Reader<{ node: NodeId; operator: string }> = (value, path) => {
  if (!Array.isArray(value) || value.length !== 2) throw new ShapeError(path, 'a list of 2')
  return {
    node: readNodeId(value[0], `${path}.node`),
    operator: text(value[1], `${path}.operator`, TEXT_BYTES_MAX),
  }
}

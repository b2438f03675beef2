/**
 * What is archived (PROTOCOL 1): for each cycle the shards whose copy at the Internet Archive a coordinator verified by hash, and
 * when. The signed catalog index names it by sha256, so it can be pulled from anybody.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '../codec/bytes.ts'
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import { branded, integer, list, type Reader, record, ShapeError } from '../codec/shape.ts'
import {
  type Cycle,
  cycleOf,
  isCycle,
  isShardKey,
  parseShardId,
  parseShardKey,
  type ShardKey,
} from '../ids.ts'
import { ARCHIVE_LIST_BYTES_MAX, CATALOG_SHARDS_MAX } from '../limits.ts'
import type { CatalogReference } from './catalog.ts'

export interface Verification {
  readonly shard: ShardKey
  /** Unix ms when the archive's copy was last verified by hash. */
  readonly verifiedAtMs: number
}

export interface ArchiveList {
  readonly cycle: Cycle
  /** In order of key, each once. */
  readonly verified: readonly Verification[]
}

export function encodeArchiveList({ cycle, verified }: ArchiveList): Uint8Array {
  return encodeCbor({ cycle, verified: verified.map((one) => [one.shard, one.verifiedAtMs]) })
}

/** Checks the bytes against the signed reference, then decodes. Throws ShapeError. */
export function openArchiveList(bytes: Uint8Array, reference: CatalogReference): ArchiveList {
  if (bytes.length !== reference.sizeBytes || bytesToHex(sha256(bytes)) !== reference.sha256) {
    throw new ShapeError('archive', `bytes with sha256 ${reference.sha256}`)
  }
  const fields = record(decodeCbor(bytes, 'archive', ARCHIVE_LIST_BYTES_MAX), 'archive', [
    'cycle',
    'verified',
  ])
  const cycle = branded(isCycle, 'YYYY-MM')(fields.cycle, 'archive.cycle')
  if (cycle !== reference.cycle) throw new ShapeError('archive.cycle', reference.cycle)
  const verified = list(fields.verified, 'archive.verified', CATALOG_SHARDS_MAX, readVerification)
  for (const [at, { shard }] of verified.entries()) {
    if (cycleOf(parseShardId(parseShardKey(shard).id).date) !== cycle)
      throw new ShapeError(`archive.verified.${shard}`, `a run of ${cycle}`)
    if (at > 0 && shard <= (verified[at - 1] as Verification).shard)
      throw new ShapeError('archive.verified', 'growing keys')
  }
  return { cycle, verified }
}

const readVerification: Reader<Verification> = (value, path) => {
  if (!Array.isArray(value) || value.length !== 2) throw new ShapeError(path, 'a list of 2')
  return {
    shard: branded(isShardKey, 'a shard key')(value[0], `${path}.shard`),
    verifiedAtMs: integer(value[1], `${path}.verifiedAt`),
  }
}

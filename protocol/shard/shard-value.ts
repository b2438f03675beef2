/**
 * A shard as a plain value inside a catalog, minimal: `{id, bundle, files: [[path, size, {md5?, sha1?, sha256?}], ...], status}`.
 * Digest, key, name and total are not in it: the reader computes them, so they cannot be lied about.
 */
import { branded, integer, list, type Reader, record, ShapeError, text } from '../codec/shape.ts'
import { isDigest } from '../dump/dump-status.ts'
import { isShardId, parseShardId } from '../ids.ts'
import { PATH_BYTES_MAX, SHARD_FILES_MAX, STATUS_JSON_BYTES_MAX } from '../limits.ts'
import { makeShard } from './make-shard.ts'
import { FILE_BYTES_MAX } from './paths.ts'
import { ALGORITHMS, type Algorithm, type Digests, type Shard, type ShardFile } from './shard.ts'

export interface ShardValue {
  readonly id: string
  readonly bundle: number
  readonly files: readonly (readonly [string, number, Digests])[]
  readonly status: string
}

/** The form above; fits dag-cbor and JSON alike. */
export function shardToValue(shard: Shard): ShardValue {
  return {
    id: shard.id,
    bundle: shard.bundleVersion,
    files: shard.files.map((file) => [file.path, file.sizeBytes, { ...file.digests }]),
    status: shard.statusJson,
  }
}

/** Checks every bound and recomputes digest and key. Throws ShapeError, for example for the path `../../x`. */
export const readShard: Reader<Shard> = (value, path) => {
  const fields = record(value, path, ['id', 'bundle', 'files', 'status'])
  return makeShard(
    {
      ...parseShardId(branded(isShardId, 'a shard id')(fields.id, `${path}.id`)),
      bundleVersion: integer(fields.bundle, `${path}.bundle`, 1),
      files: list(fields.files, `${path}.files`, SHARD_FILES_MAX, readShardFile),
      statusJson: text(fields.status, `${path}.status`, STATUS_JSON_BYTES_MAX),
    },
    path,
  )
}

const readShardFile: Reader<ShardFile> = (value, path) => {
  if (!Array.isArray(value) || value.length !== 3)
    throw new ShapeError(path, 'a list of path, size and digests')
  return {
    path: text(value[0], `${path}.path`, PATH_BYTES_MAX),
    sizeBytes: integer(value[1], `${path}.size`, 0, FILE_BYTES_MAX),
    digests: readDigests(value[2], `${path}.digests`),
  }
}

const readDigests: Reader<Digests> = (value, path) => {
  const fields = record(value, path, ALGORITHMS)
  const digests: { [A in Algorithm]?: string } = {}
  for (const algorithm of ALGORITHMS) {
    const hex = fields[algorithm]
    if (hex === undefined) continue
    if (typeof hex !== 'string' || !isDigest(algorithm, hex))
      throw new ShapeError(`${path}.${algorithm}`, 'lower-case hex')
    digests[algorithm] = hex
  }
  return digests
}

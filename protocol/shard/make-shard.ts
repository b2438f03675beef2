/**
 * Digest and key of a shard (PROTOCOL 1). The digest is the sha256 of these bytes, all ASCII, in this order:
 *
 *     one row per dump file, in raw-byte order of path:
 *         <path> TAB <size in decimal> TAB <digests> LF
 *         <digests> = every known `<algorithm>:<lower-case hex>` joined by commas, in the order md5, sha1, sha256;
 *                     `none` when upstream never hashed the file
 *     the bytes of STATUS.json (it begins with `{`, which no path does, and ends with LF)
 *     bundle-version TAB <version in decimal> LF
 *
 * Paths are those inside the torrent, relative to its name: `20260101/tenwiki-20260101-....bz2`.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, compareBytes, utf8ToBytes } from '../codec/bytes.ts'
import { integer, ShapeError } from '../codec/shape.ts'
import { isRunDate } from '../dump/dates.ts'
import { isDigest } from '../dump/dump-status.ts'
import { type ShardDigest, type ShardKey, type ShardName, shardId } from '../ids.ts'
import { SHARD_BYTES_MAX, SHARD_FILES_MAX } from '../limits.ts'
import { PackedShard, rowsOf } from './packed-shard.ts'
import { checkRunPath, FILE_BYTES_MAX, fileNameOf, torrentName } from './paths.ts'
import { ALGORITHMS, type Shard, type ShardFile } from './shard.ts'
import { readStatusJson } from './status-json.ts'

/** The only form of the three metadata files so far; the catalog names it (PROTOCOL 2). */
export const BUNDLE_VERSION = 1

export interface ShardParts extends ShardName {
  /** In raw-byte order of path. */
  readonly files: readonly ShardFile[]
  readonly statusJson: string
  readonly bundleVersion: number
}

/**
 * Checks every bound and computes digest and key. The only door to a Shard: one made here from upstream's status and one
 * read from a stranger's catalog pass the same checks. Throws ShapeError, whose path begins with `where`.
 */
export function makeShard(parts: ShardParts, where = 'shard'): Shard {
  if (!isRunDate(parts.date)) throw new ShapeError(`${where}.date`, 'YYYYMMDD')
  if (parts.bundleVersion !== BUNDLE_VERSION) throw new ShapeError(`${where}.bundle`, `${BUNDLE_VERSION}`)
  const sizeBytes = checkFiles(parts, where)
  checkStatus(parts, where)
  const { dataset, wiki, date, bundleVersion, statusJson } = parts
  const id = shardId(parts)
  const rows = rowsOf(parts.files)
  // Joined, so that it is one flat text and no chain of halves: it is kept for as long as the shard is known.
  const key = [id, shardDigest(rows, statusJson, bundleVersion)].join('@') as ShardKey
  const facts = { id, dataset, wiki, date, name: torrentName(parts), bundleVersion, sizeBytes }
  return new PackedShard(facts, key, rows, statusJson)
}

/** The digest of the layout above. */
function shardDigest(rows: readonly string[], statusJson: string, bundleVersion: number): ShardDigest {
  const hash = sha256.create()
  for (const row of rows) hash.update(utf8ToBytes(row))
  hash.update(utf8ToBytes(statusJson))
  hash.update(utf8ToBytes(`bundle-version\t${bundleVersion}\n`))
  return bytesToHex(hash.digest()) as ShardDigest
}

/** Returns the sum of sizes. */
function checkFiles(parts: ShardParts, where: string): number {
  const { files } = parts
  if (files.length < 1 || files.length > SHARD_FILES_MAX) {
    throw new ShapeError(`${where}.files`, `1..${SHARD_FILES_MAX} files`)
  }
  let sizeBytes = 0
  let before: Uint8Array | null = null
  files.forEach((file, index) => {
    const at = `${where}.files[${index}]`
    const path = utf8ToBytes(checkRunPath(file.path, parts, `${at}.path`))
    if (before !== null && compareBytes(before, path) >= 0)
      throw new ShapeError(`${at}.path`, 'raw-byte order, each path once')
    before = path
    sizeBytes += integer(file.sizeBytes, `${at}.size`, 0, FILE_BYTES_MAX)
    for (const algorithm of ALGORITHMS) {
      const hex = file.digests[algorithm]
      if (hex !== undefined && !isDigest(algorithm, hex))
        throw new ShapeError(`${at}.${algorithm}`, `${algorithm} in hex`)
    }
  })
  if (files.length > 1 && sizeBytes > SHARD_BYTES_MAX) {
    throw new ShapeError(`${where}.files`, `at most ${SHARD_BYTES_MAX} bytes, or one file`)
  }
  return sizeBytes
}

/** STATUS.json names the files of the shard, all of them and no others. */
function checkStatus(parts: ShardParts, where: string): void {
  const held = new Set(parts.files.map((file) => fileNameOf(file.path)))
  const named = new Set<string>()
  for (const job of readStatusJson(parts.statusJson, `${where}.status`).values()) {
    for (const name of job.files) named.add(name)
  }
  if (held.size !== named.size || [...named].some((name) => !held.has(name))) {
    throw new ShapeError(`${where}.status`, 'the names of the files of the shard')
  }
}

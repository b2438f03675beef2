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
import { type ShardDigest, type ShardName, shardId, shardKey } from '../ids.ts'
import { SHARD_BYTES_MAX, SHARD_FILES_MAX } from '../limits.ts'
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
  const id = shardId(parts)
  const digest = shardDigest(parts)
  return {
    id,
    digest,
    key: shardKey(id, digest),
    dataset: parts.dataset,
    wiki: parts.wiki,
    date: parts.date,
    name: torrentName(parts),
    bundleVersion: parts.bundleVersion,
    files: parts.files,
    statusJson: parts.statusJson,
    sizeBytes,
  }
}

/** The digest of the layout above; checks nothing. */
export function shardDigest(parts: Pick<ShardParts, 'files' | 'statusJson' | 'bundleVersion'>): ShardDigest {
  const hash = sha256.create()
  for (const file of parts.files) hash.update(utf8ToBytes(row(file)))
  hash.update(utf8ToBytes(parts.statusJson))
  hash.update(utf8ToBytes(`bundle-version\t${parts.bundleVersion}\n`))
  return bytesToHex(hash.digest()) as ShardDigest
}

function row(file: ShardFile): string {
  const known = ALGORITHMS.flatMap((algorithm) => {
    const hex = file.digests[algorithm]
    return hex === undefined ? [] : [`${algorithm}:${hex}`]
  })
  return `${file.path}\t${file.sizeBytes}\t${known.length === 0 ? 'none' : known.join(',')}\n`
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

/**
 * `manifest.json`, the merged manifest as a plain file (PROTOCOL 3, 9): what is archived, for people and programs that know
 * nothing of TUF. It stands beside `manifest.json.minisig`; check that signature before reading.
 */
import { utf8FromBytes } from '../codec/bytes.ts'
import { branded, integer, list, optional, record, ShapeError, text } from '../codec/shape.ts'
import {
  type Cycle,
  type FederationId,
  type Infohash,
  isFederationId,
  isInfohash,
  isShardDigest,
  isShardId,
  isShardKey,
  type ShardDigest,
  type ShardId,
  type ShardKey,
} from '../ids.ts'
import {
  BUNDLE_FILES_MAX,
  CATALOG_SHARDS_MAX,
  ENDPOINTS_MAX,
  PATH_BYTES_MAX,
  SHARD_FILES_MAX,
  TEXT_BYTES_MAX,
} from '../limits.ts'

import { cycleOfBundle } from '../torrent/bundle.ts'

export const MERGED_MANIFEST_VERSION = 1
export const MERGED_MANIFEST_BYTES_MAX = 64 * 1024 * 1024
/** Dump files and the three metadata files. */
const FILES_MAX = SHARD_FILES_MAX + 3
const MAGNET_LENGTH_MAX = 2_048
const BUNDLES_MAX = 2_000
const REPLICAS_MAX = 1_000_000

export interface MergedManifestFile {
  /** Inside the torrent, without its name: `20260101/tenwiki-20260101-....bz2`. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly md5?: string
  readonly sha1?: string
  readonly sha256: string
}

export interface MergedManifestShard {
  readonly id: ShardId
  readonly digest: ShardDigest
  readonly infohash: Infohash
  /** Name of the torrent = its folder: `tenwiki`. */
  readonly name: string
  readonly sizeBytes: number
  readonly files: readonly MergedManifestFile[]
  /** Audited replicas, as the publisher saw them. */
  readonly replicas: number
  /** The verified copy in the Internet Archive; `verifiedAt` in ISO 8601. */
  readonly archive: { readonly item: string; readonly verifiedAt: string } | null
  /** Where the .torrent file lies, relative to `manifest.json`. */
  readonly torrent: string
  /** With the peers as `x.pe` (BEP 9). */
  readonly magnet: string
  /** `[host, port]` of BitTorrent peers that held it when this was published; left out when there are none. */
  readonly peers?: readonly (readonly [host: string, port: number])[]
}

/** A torrent over many small runs of one cycle (PROTOCOL 2). */
export interface BundleFacts {
  /** Of the torrent = its folder: `wikiseed-2026-01`. */
  readonly name: string
  readonly cycle: Cycle
  readonly infohash: Infohash
  /** Of all files of the torrent, metadata files too. */
  readonly sizeBytes: number
  /** In torrent order. */
  readonly shards: readonly ShardKey[]
}

/** Each of its shards stands in `shards` of the manifest. */
export interface MergedManifestBundle extends BundleFacts {
  /** As of a shard. */
  readonly torrent: string
  readonly magnet: string
  readonly peers?: readonly (readonly [host: string, port: number])[]
}

export interface MergedManifest {
  readonly version: number
  readonly federation: FederationId
  /** Grows with every change; the trusted comment of the signature repeats it. */
  readonly sequence: number
  /** ISO 8601, UTC. */
  readonly issuedAt: string
  /** In the order of ids, then digests. */
  readonly shards: readonly MergedManifestShard[]
  /** In order of name; left out when there are none. */
  readonly bundles?: readonly MergedManifestBundle[]
}

/** Reads a verified `manifest.json`. Throws ShapeError. */
export function readMergedManifest(bytes: Uint8Array): MergedManifest {
  if (bytes.length > MERGED_MANIFEST_BYTES_MAX) {
    throw new ShapeError('manifest', `at most ${MERGED_MANIFEST_BYTES_MAX} bytes`)
  }
  const fields = record(parse(bytes), 'manifest')
  const bundles = optional(fields.bundles, 'manifest.bundles', (value, path) =>
    list(value, path, BUNDLES_MAX, readBundle),
  )
  return {
    version: integer(fields.version, 'manifest.version', MERGED_MANIFEST_VERSION, MERGED_MANIFEST_VERSION),
    federation: branded(isFederationId, 'a federation id')(fields.federation, 'manifest.federation'),
    sequence: integer(fields.sequence, 'manifest.sequence'),
    issuedAt: isoDate(fields.issuedAt, 'manifest.issuedAt'),
    shards: list(fields.shards, 'manifest.shards', CATALOG_SHARDS_MAX, readShard),
    ...(bundles === undefined ? {} : { bundles }),
  }
}

/** What a bundle is, wherever it is told of. Throws ShapeError. */
export function readBundleFacts(fields: Readonly<Record<string, unknown>>, path: string): BundleFacts {
  const name = text(fields.name, `${path}.name`, TEXT_BYTES_MAX)
  const cycle = cycleOfBundle(name)
  if (cycle === null || fields.cycle !== cycle) throw new ShapeError(`${path}.name`, 'the name of a bundle')
  return {
    name,
    cycle,
    infohash: branded(isInfohash, 'an infohash')(fields.infohash, `${path}.infohash`),
    sizeBytes: integer(fields.sizeBytes, `${path}.sizeBytes`),
    shards: list(fields.shards, `${path}.shards`, BUNDLE_FILES_MAX, branded(isShardKey, 'a shard key')),
  }
}

function readBundle(value: unknown, path: string): MergedManifestBundle {
  const fields = record(value, path)
  const peers = optional(fields.peers, `${path}.peers`, readPeers)
  return {
    ...readBundleFacts(fields, path),
    torrent: relativePath(fields.torrent, `${path}.torrent`),
    magnet: text(fields.magnet, `${path}.magnet`, MAGNET_LENGTH_MAX),
    ...(peers === undefined ? {} : { peers }),
  }
}

function readShard(value: unknown, path: string): MergedManifestShard {
  const fields = record(value, path)
  const peers = optional(fields.peers, `${path}.peers`, readPeers)
  return {
    id: branded(isShardId, 'a shard id')(fields.id, `${path}.id`),
    digest: branded(isShardDigest, 'a shard digest')(fields.digest, `${path}.digest`),
    infohash: branded(isInfohash, 'an infohash')(fields.infohash, `${path}.infohash`),
    name: relativePath(fields.name, `${path}.name`),
    sizeBytes: integer(fields.sizeBytes, `${path}.sizeBytes`),
    files: list(fields.files, `${path}.files`, FILES_MAX, readFile),
    replicas: integer(fields.replicas, `${path}.replicas`, 0, REPLICAS_MAX),
    archive: fields.archive === null ? null : readArchive(fields.archive, `${path}.archive`),
    torrent: relativePath(fields.torrent, `${path}.torrent`),
    magnet: text(fields.magnet, `${path}.magnet`, MAGNET_LENGTH_MAX),
    ...(peers === undefined ? {} : { peers }),
  }
}

function readPeers(value: unknown, path: string): [string, number][] {
  return list(value, path, ENDPOINTS_MAX, (item, at) => {
    const [host, port, ...rest] = list(item, at, 2, (part) => part)
    if (typeof host !== 'string' || !isPeerHost(host) || rest.length > 0)
      throw new ShapeError(at, 'a host and a port')
    return [host, integer(port, at, 1, 65_535)]
  })
}

/** A name or an address: nothing that has a meaning of its own in a magnet link or an address. */
export const isPeerHost = (host: string): boolean => /^[0-9A-Za-z.:_-]{1,64}$/.test(host)

function readFile(value: unknown, path: string): MergedManifestFile {
  const fields = record(value, path)
  const md5 = optional(fields.md5, `${path}.md5`, hex(32))
  const sha1 = optional(fields.sha1, `${path}.sha1`, hex(40))
  return {
    path: relativePath(fields.path, `${path}.path`),
    size: integer(fields.size, `${path}.size`),
    ...(md5 === undefined ? {} : { md5 }),
    ...(sha1 === undefined ? {} : { sha1 }),
    sha256: hex(64)(fields.sha256, `${path}.sha256`),
  }
}

function readArchive(value: unknown, path: string): { item: string; verifiedAt: string } {
  const fields = record(value, path)
  return {
    item: text(fields.item, `${path}.item`, TEXT_BYTES_MAX),
    verifiedAt: isoDate(fields.verifiedAt, `${path}.verifiedAt`),
  }
}

function hex(digits: number) {
  return (value: unknown, path: string): string => {
    const found = text(value, path, digits)
    if (found.length !== digits || !/^[0-9a-f]+$/.test(found))
      throw new ShapeError(path, `${digits} hex digits`)
    return found
  }
}

/** Never a way out of a folder: no absolute path, no empty, `.` or `..` element, no backslash, no control character. */
function relativePath(value: unknown, path: string): string {
  const found = text(value, path, PATH_BYTES_MAX)
  const bad = found.split('/').some((element) => element === '' || element === '.' || element === '..')
  if (bad || !/^[\x20-\x5b\x5d-\x7e]+$/.test(found)) throw new ShapeError(path, 'a relative path')
  return found
}

function isoDate(value: unknown, path: string): string {
  const found = text(value, path, 32)
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(found) || Number.isNaN(Date.parse(found))) {
    throw new ShapeError(path, 'a date in ISO 8601, UTC')
  }
  return found
}

function parse(bytes: Uint8Array): unknown {
  const json = utf8FromBytes(bytes)
  if (json === null) throw new ShapeError('manifest', 'UTF-8')
  try {
    return JSON.parse(json)
  } catch {
    throw new ShapeError('manifest', 'JSON')
  }
}

/** What the trusted comment of a minisign signature says: binds a plain file to its name, federation and sequence. */
export function signedComment(federation: FederationId, file: string, sequence: number): string {
  return `federation:${federation}\tfile:${file}\tsequence:${sequence}`
}

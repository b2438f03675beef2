/**
 * The v1 info dictionary of a shard (PROTOCOL 2, BEP 3): exactly `files`, `name`, `piece length`, `pieces`. Two nodes that
 * never met write the same bytes from the same upstream files, and so the same infohash.
 */
import { sha1 } from '@noble/hashes/legacy.js'
import {
  type Bencoded,
  type BencodedMap,
  BencodeError,
  type BencodeLimits,
  bdecode,
  bencode,
} from '../codec/bencode.ts'
import { bytesToHex, utf8FromBytes } from '../codec/bytes.ts'
import type { Infohash } from '../ids.ts'
import {
  BUNDLE_FILES_MAX,
  INFO_BYTES_MAX,
  PATH_BYTES_MAX,
  PIECE_LENGTH_MAX,
  SHARD_FILES_MAX,
} from '../limits.ts'
import { metadataFileList } from '../shard/metadata-files.ts'
import type { Shard, TorrentFile } from '../shard/shard.ts'
import { pieceCount, pieceLengthFor } from './piece-length.ts'

/** SHA-1: bytes of one piece's hash. */
export const PIECE_HASH_BYTES = 20

/** An info dictionary. */
export interface Info {
  readonly name: string
  /** In the order they are concatenated. Paths are relative to `name`, `/` between elements. */
  readonly files: readonly TorrentFile[]
  readonly pieceLengthBytes: number
  /** SHA-1 of each piece, one after the other. */
  readonly pieces: Uint8Array
}

/** All files of a shard's torrent in order: dump files, then HASH.json, STATUS.json, README.txt. Needs no digests. */
export function torrentFiles(shard: Shard): TorrentFile[] {
  const dumps = shard.files.map(({ path, sizeBytes }) => ({ path, sizeBytes }))
  return [...dumps, ...metadataFileList(shard)]
}

/** Piece length of a shard's torrent. */
export function shardPieceLength(shard: Shard): number {
  return pieceLengthFor(totalBytes(torrentFiles(shard)))
}

/** The info dictionary of a shard, given its piece hashes over `torrentFiles(shard)` in order. */
export function shardInfo(shard: Shard, pieces: Uint8Array): Uint8Array {
  return encodeInfo({
    name: shard.name,
    files: torrentFiles(shard),
    pieceLengthBytes: shardPieceLength(shard),
    pieces,
  })
}

/** What a torrent holds: a shard, or many small runs of one cycle (bundle.ts). A stranger's shard keeps the narrower bounds. */
export type InfoKind = 'shard' | 'bundle'

/** Bencodes an info dictionary. Throws RangeError when it breaks a bound or the pieces do not fit the files. */
export function encodeInfo(info: Info, kind: InfoKind = 'shard'): Uint8Array {
  const problem = problemOf(info, BOUNDS[kind])
  if (problem !== null) throw new RangeError(`info dictionary: ${problem}`)
  return bencode({
    files: info.files.map((file) => ({ length: file.sizeBytes, path: file.path.split('/') })),
    name: info.name,
    'piece length': info.pieceLengthBytes,
    pieces: info.pieces,
  })
}

/**
 * Reads a stranger's info dictionary, or null when it is not one of the form above within its bounds: other keys, an
 * unsafe name or path (`..`, an absolute path, a backslash), pieces that do not fit the files.
 */
export function decodeInfo(bytes: Uint8Array, kind: InfoKind = 'shard'): Info | null {
  const bounds = BOUNDS[kind]
  const map = decodeMap(bytes, bounds)
  if (map === null || !hasExactly(map, ['files', 'name', 'piece length', 'pieces'])) return null
  const name = textOf(map.get('name'))
  const pieceLengthBytes = map.get('piece length')
  const pieces = map.get('pieces')
  const entries = map.get('files')
  if (name === null || typeof pieceLengthBytes !== 'number' || !(pieces instanceof Uint8Array)) return null
  if (!isList(entries) || entries.length > bounds.filesMax) return null
  const files: TorrentFile[] = []
  for (const entry of entries) {
    const file = decodeFile(entry)
    if (file === null) return null
    files.push(file)
  }
  const info = { name, files, pieceLengthBytes, pieces }
  return problemOf(info, bounds) === null ? info : null
}

/** SHA-1 of the exact bytes (BEP 3). */
export function infohashOf(infoBytes: Uint8Array): Infohash {
  return bytesToHex(sha1(infoBytes)) as Infohash
}

/**
 * Does this info dictionary describe this shard? Name, every path and size in order (the metadata files' sizes follow from
 * the shard, so they are exact too) and piece length are compared; the piece hashes are proven by the bytes later.
 */
export function infoMatchesShard(infoBytes: Uint8Array, shard: Shard): boolean {
  const info = decodeInfo(infoBytes)
  if (info === null || info.name !== shard.name) return false
  const expected = torrentFiles(shard)
  return (
    info.pieceLengthBytes === pieceLengthFor(totalBytes(expected)) &&
    info.files.length === expected.length &&
    expected.every(
      (file, i) => file.path === info.files[i]?.path && file.sizeBytes === info.files[i]?.sizeBytes,
    )
  )
}

export function totalBytes(files: readonly TorrentFile[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes, 0)
}

interface Bounds {
  readonly filesMax: number
  readonly pathBytesMax: number
}

const BOUNDS: Readonly<Record<InfoKind, Bounds>> = {
  // The dump files of a part and the three metadata files.
  shard: { filesMax: SHARD_FILES_MAX + 3, pathBytesMax: PATH_BYTES_MAX },
  // A shard's name, which is a wiki's or a dataset's, stands before each path.
  bundle: { filesMax: BUNDLE_FILES_MAX, pathBytesMax: PATH_BYTES_MAX + 65 },
}
const PATH_ELEMENTS_MAX = 16
/** Printable ASCII but for the separators of any system, and never a name with a meaning of its own. */
const SAFE_ELEMENT = /^(?!\.{1,2}$)[ -.0-9;-[\]-~]{1,255}$/

function problemOf(info: Info, { filesMax, pathBytesMax }: Bounds): string | null {
  if (!SAFE_ELEMENT.test(info.name)) return 'an unsafe name'
  if (info.files.length < 1 || info.files.length > filesMax) return `1..${filesMax} files are expected`
  const seen = new Set<string>()
  for (const { path, sizeBytes } of info.files) {
    const elements = path.split('/')
    if (path.length > pathBytesMax || elements.length > PATH_ELEMENTS_MAX) return 'a path too long'
    if (!elements.every((element) => SAFE_ELEMENT.test(element))) return 'an unsafe path'
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) return `a size that is none: ${path}`
    if (seen.has(path)) return `a path that comes twice: ${path}`
    seen.add(path)
  }
  const { pieceLengthBytes, pieces } = info
  const powerOfTwo = Number.isSafeInteger(pieceLengthBytes) && Number.isInteger(Math.log2(pieceLengthBytes))
  if (!powerOfTwo || pieceLengthBytes > PIECE_LENGTH_MAX) return 'a piece length that is no power of two'
  const total = totalBytes(info.files)
  if (!Number.isSafeInteger(total) || total < 1) return 'no bytes'
  if (pieces.length !== pieceCount(total, pieceLengthBytes) * PIECE_HASH_BYTES)
    return 'pieces that do not fit the files'
  return null
}

function decodeMap(bytes: Uint8Array, { filesMax }: Bounds): BencodedMap | null {
  // A file costs a map, its length, a list and a few path elements.
  const itemsMax = filesMax * (PATH_ELEMENTS_MAX + 4)
  const limits: BencodeLimits = { bytesMax: INFO_BYTES_MAX, itemsMax, depthMax: 4 }
  try {
    const value = bdecode(bytes, limits)
    return value instanceof Map ? value : null
  } catch (error) {
    if (error instanceof BencodeError) return null
    throw error
  }
}

function decodeFile(entry: Bencoded): TorrentFile | null {
  if (!(entry instanceof Map) || !hasExactly(entry, ['length', 'path'])) return null
  const sizeBytes: Bencoded | undefined = entry.get('length')
  const path: Bencoded | undefined = entry.get('path')
  if (typeof sizeBytes !== 'number' || !isList(path) || path.length === 0) return null
  const elements = path.map(textOf)
  return elements.some((element) => element === null || element.includes('/'))
    ? null
    : { path: elements.join('/'), sizeBytes }
}

function hasExactly(map: BencodedMap, keys: readonly string[]): boolean {
  return map.size === keys.length && keys.every((key) => map.has(key))
}

function isList(value: Bencoded | undefined): value is readonly Bencoded[] {
  return Array.isArray(value)
}

function textOf(value: Bencoded | undefined): string | null {
  return value instanceof Uint8Array && value.length <= PATH_BYTES_MAX ? utf8FromBytes(value) : null
}

/**
 * Cycle bundles (PROTOCOL 2): the small runs of one cycle as one torrent, over the same bytes on disk as their own. Runs in raw-byte
 * order of `<name>/<first path>`, so the files of one wiki lie together, packed greedily; no run is split. Who holds the same shards
 * makes the same bytes.
 */
import { type Cycle, cycleOf, isCycle, parseShardId } from '../ids.ts'
import { BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, BUNDLE_INFO_BYTES_MAX } from '../limits.ts'
import type { Shard, TorrentFile } from '../shard/shard.ts'
import { encodeInfo, PIECE_HASH_BYTES, torrentFiles, totalBytes } from './info.ts'
import { pieceCount, pieceLengthFor } from './piece-length.ts'

export interface CycleBundle {
  /** `wikiseed-2026-01`; further ones of the cycle `wikiseed-2026-01~2`, `~3`. */
  readonly name: string
  readonly cycle: Cycle
  /** In torrent order. */
  readonly shards: readonly Shard[]
  /** All files of all their torrents in order, each path with the shard's name before it: `tenwiki/20260101/...`. */
  readonly files: readonly TorrentFile[]
  /** Of all files. */
  readonly sizeBytes: number
  readonly pieceLengthBytes: number
}

/** A bundle may have at most so much. */
export interface BundleBounds {
  readonly bytesMax: number
  readonly filesMax: number
  readonly infoBytesMax: number
}

const BOUNDS: BundleBounds = {
  bytesMax: BUNDLE_BYTES_MAX,
  filesMax: BUNDLE_FILES_MAX,
  infoBytesMax: BUNDLE_INFO_BYTES_MAX,
}

/** A run that is one shard (PROTOCOL 1), of this cycle. */
export function isBundled(shard: Shard, cycle: Cycle): boolean {
  return parseShardId(shard.id).part === 0 && cycleOf(shard.date) === cycle
}

/**
 * The bundles of a cycle from its shards, in any order; what is no small run of it is left out. A bundle is closed by the first run
 * that would take it over a bound. Throws RangeError when two revisions of one run are given.
 */
export function cycleBundles(
  cycle: Cycle,
  shards: Iterable<Shard>,
  bounds: BundleBounds = BOUNDS,
): CycleBundle[] {
  const small = [...shards].filter((shard) => isBundled(shard, cycle))
  const twice = small.length - new Set(small.map((shard) => shard.id)).size
  if (twice > 0) throw new RangeError(`${twice} runs of ${cycle} are given twice`)
  // Paths are ASCII, so the order of text is raw-byte order.
  const inOrder = small
    .map((shard) => {
      const files = bundleFiles(shard)
      const entryBytes = files.reduce((sum, file) => sum + fileEntryBytes(file), 0)
      return { shard, files, sizeBytes: totalBytes(files), entryBytes }
    })
    .sort((a, b) => (firstPath(a.files) < firstPath(b.files) ? -1 : 1))
  const bundles: CycleBundle[] = []
  let open = emptyBundle()
  const close = () => {
    const { shards: members, files, sizeBytes } = open
    const name = bundleName(cycle, bundles.length + 1)
    const pieceLengthBytes = pieceLengthFor(sizeBytes)
    if (members.length > 0) bundles.push({ name, cycle, shards: members, files, sizeBytes, pieceLengthBytes })
    open = emptyBundle()
  }
  for (const { shard, files, sizeBytes, entryBytes } of inOrder) {
    const name = bundleName(cycle, bundles.length + 1)
    const isFull =
      open.sizeBytes + sizeBytes > bounds.bytesMax ||
      open.files.length + files.length > bounds.filesMax ||
      infoBytes(name, open.entryBytes + entryBytes, open.sizeBytes + sizeBytes) > bounds.infoBytesMax
    if (isFull) close()
    open.shards.push(shard)
    open.files.push(...files)
    open.sizeBytes += sizeBytes
    open.entryBytes += entryBytes
  }
  close()
  return bundles
}

/** The info dictionary, given the piece hashes over `files` in order. */
export function bundleInfo(bundle: CycleBundle, pieces: Uint8Array): Uint8Array {
  const { name, files, pieceLengthBytes } = bundle
  return encodeInfo({ name, files, pieceLengthBytes, pieces }, 'bundle')
}

/** All files of a shard's torrent as they lie in a bundle, and in a mirror. */
export function bundleFiles(shard: Shard): TorrentFile[] {
  return torrentFiles(shard).map(({ path, sizeBytes }) => ({ path: `${shard.name}/${path}`, sizeBytes }))
}

/** `number` from 1 on. */
export function bundleName(cycle: Cycle, number: number): string {
  return `wikiseed-${cycle}${number > 1 ? `~${number}` : ''}`
}

/** The cycle of a bundle's name; null when it is none. */
export function cycleOfBundle(name: string): Cycle | null {
  const [, cycle = ''] = /^wikiseed-(\d{4}-\d\d)(?:~(?:[2-9]|[1-9]\d{1,3}))?$/.exec(name) ?? []
  return isCycle(cycle) ? cycle : null
}

interface OpenBundle {
  readonly shards: Shard[]
  readonly files: TorrentFile[]
  sizeBytes: number
  entryBytes: number
}

function emptyBundle(): OpenBundle {
  return { shards: [], files: [], sizeBytes: 0, entryBytes: 0 }
}

const firstPath = (files: readonly TorrentFile[]): string => files[0]?.path ?? ''

/** Bytes of bencoded text. */
const textBytes = (length: number): number => String(length).length + 1 + length

/** Bytes that a file takes in the bencoded list: `d6:lengthi5e4:pathl7:tenwiki8:20260101...ee`. */
function fileEntryBytes({ path, sizeBytes }: TorrentFile): number {
  const elements = path.split('/').reduce((sum, element) => sum + textBytes(element.length), 0)
  return `d6:lengthi${sizeBytes}e4:pathlee`.length + elements
}

/** Bytes of the whole info dictionary. */
function infoBytes(name: string, entryBytes: number, sizeBytes: number): number {
  const pieceLengthBytes = pieceLengthFor(sizeBytes)
  const pieces = textBytes(pieceCount(sizeBytes, pieceLengthBytes) * PIECE_HASH_BYTES)
  const keys = `d5:filesle4:name12:piece lengthi${pieceLengthBytes}e6:piecese`.length
  return keys + entryBytes + textBytes(name.length) + pieces
}

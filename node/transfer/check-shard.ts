/** Reads a held shard again and says which of its files are not what they should be (PROTOCOL 7: repair). */
import { readFile, stat } from 'node:fs/promises'
import { equalBytes } from '../../protocol/codec/bytes.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { metadataPaths } from '../../protocol/shard/metadata-files.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import {
  infohashOf,
  PIECE_HASH_BYTES,
  shardInfo,
  shardPieceLength,
  torrentFiles,
  totalBytes,
} from '../../protocol/torrent/info.ts'
import type { Hasher } from '../ports.ts'
import { buildShard, dumpPath } from './build-shard.ts'

/** Each damaged file with the reason, as one text; empty when the copy is whole and stands for this infohash. */
export async function checkShard(
  shard: Shard,
  root: string,
  infohash: Infohash,
  hasher: Hasher,
): Promise<string[]> {
  const damaged = await wrongSizes(shard, root)
  if (damaged.length > 0) return damaged
  if (await hasPieces(shard, root, infohash, hasher)) return []
  // Something is wrong: what it is, digests say.
  const result = await buildShard(shard, root, hasher)
  if (!result.ok) return result.wrong.map(({ path, reason }) => `${path}: ${reason}`)
  const { built } = result
  for (const file of built.metadata) {
    const bytes = await readFile(dumpPath(shard, root, file.path))
    if (!equalBytes(bytes, file.bytes)) damaged.push(`${file.path}: not what follows from the dump files`)
  }
  if (damaged.length === 0 && built.infohash !== infohash) {
    damaged.push(`${metadataPaths(shard)[0]}: the torrent is ${built.infohash}, not ${infohash}`)
  }
  return damaged
}

/** All bytes are what the infohash stands for, which was taken of verified files. */
async function hasPieces(shard: Shard, root: string, infohash: Infohash, hasher: Hasher): Promise<boolean> {
  const files = torrentFiles(shard)
  const pieceLengthBytes = shardPieceLength(shard)
  const paths = files.map(({ path }) => dumpPath(shard, root, path))
  const pieces = await hasher.pieces(paths, { pieceLengthBytes })
  // Files that grew or shrank since their sizes were looked at may have another number of pieces.
  const count = Math.ceil(totalBytes(files) / pieceLengthBytes)
  return pieces.length === count * PIECE_HASH_BYTES && infohashOf(shardInfo(shard, pieces)) === infohash
}

/** What can be said without reading. */
async function wrongSizes(shard: Shard, root: string): Promise<string[]> {
  const wrong: string[] = []
  for (const file of torrentFiles(shard)) {
    const size = await stat(dumpPath(shard, root, file.path)).then(
      (stats) => stats.size,
      (error: NodeJS.ErrnoException) => error.code ?? 'unreadable',
    )
    if (size !== file.sizeBytes) {
      wrong.push(
        `${file.path}: ${typeof size === 'number' ? `${size} bytes, should be ${file.sizeBytes}` : size}`,
      )
    }
  }
  return wrong
}

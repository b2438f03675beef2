/**
 * From a shard that the coordinator rebuilt itself to what is said about it in public (PROTOCOL 9.2). The digests are read
 * back from the HASH.json that was written when the bytes were verified.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dumpPath } from '../node/transfer/build-shard.ts'
import type { ShardFiles } from '../node/transfer/shard-files.ts'
import { record, ShapeError } from '../protocol/codec/shape.ts'
import type { Infohash } from '../protocol/ids.ts'
import { hashJson, metadataPaths } from '../protocol/shard/metadata-files.ts'
import type { FullDigests, Shard } from '../protocol/shard/shard.ts'
import type { MergedFile } from './publish/merged-shard.ts'

export interface LocalShard {
  readonly shard: Shard
  readonly infohash: Infohash
  /** Every file of the torrent, in torrent order. */
  readonly files: readonly (MergedFile & { readonly diskPath: string })[]
  readonly torrent: Uint8Array
}

/** Rejects with ShapeError when HASH.json is not the one that follows from its own digests, or with the disk's error. */
export async function readLocalShard(
  shard: Shard,
  infohash: Infohash,
  files: ShardFiles,
): Promise<LocalShard> {
  const [hashPath] = metadataPaths(shard)
  const text = await readFile(dumpPath(shard, files.mirror, hashPath), 'utf8')
  const rows = record(record(JSON.parse(text), 'HASH').files, 'HASH.files')
  const digests = new Map(shard.files.map(({ path }) => [path, rows[path] as FullDigests]))
  if (hashJson(shard, digests) !== text) throw new ShapeError('HASH', 'the HASH.json of this shard')
  const dumps = shard.files.map((file) => ({
    path: file.path,
    sizeBytes: file.sizeBytes,
    digests: digests.get(file.path) as FullDigests,
    diskPath: dumpPath(shard, files.mirror, file.path),
  }))
  const metadata = await Promise.all(
    metadataPaths(shard).map(async (path) => {
      const diskPath = dumpPath(shard, files.mirror, path)
      const bytes = await readFile(diskPath)
      return { path, sizeBytes: bytes.length, digests: digestsOf(bytes), diskPath }
    }),
  )
  const torrent = await readFile(files.torrentPath(infohash))
  return { shard, infohash, files: [...dumps, ...metadata], torrent }
}

function digestsOf(bytes: Uint8Array): FullDigests {
  const hex = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex')
  return { md5: hex('md5'), sha1: hex('sha1'), sha256: hex('sha256') }
}

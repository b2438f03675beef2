/** Shards made by hand, with real bytes when a test needs them. */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../../protocol/codec/canonical-json.ts'
import type { ShardDigest, ShardId, ShardKey } from '../../protocol/ids.ts'
import { makeShard } from '../../protocol/shard/make-shard.ts'
import type { FullDigests, Shard } from '../../protocol/shard/shard.ts'

export function digestsOf(bytes: Uint8Array): FullDigests {
  const hex = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex')
  return { md5: hex('md5'), sha1: hex('sha1'), sha256: hex('sha256') }
}

/** A shard of `dumps/<wiki>/20260101` that holds these files; paths must be in raw-byte order. */
export function shardOfFiles(wiki: string, files: ReadonlyMap<string, Uint8Array>): Shard {
  const id = `dumps/${wiki}/20260101` as ShardId
  const statusJson = `${canonicalJson({ all: { files: [...files.keys()], status: 'done' } })}\n`
  const digest = createHash('sha256').update(statusJson).digest('hex') as ShardDigest
  return {
    id,
    digest,
    key: `${id}@${digest}` as ShardKey,
    dataset: 'dumps',
    wiki,
    date: '20260101',
    name: wiki,
    bundleVersion: 1,
    fileCount: files.size,
    files: [...files].map(([path, bytes]) => ({
      path,
      sizeBytes: bytes.length,
      digests: { sha1: digestsOf(bytes).sha1 },
    })),
    statusJson,
    sizeBytes: [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0),
  }
}

/** Bytes that look random, the same for the same seed. */
export function seededBytes(seed: string, length: number): Uint8Array {
  const out = new Uint8Array(length)
  for (let at = 0, block = 0; at < length; block++) {
    const part = createHash('sha512').update(`${seed}/${block}`).digest()
    out.set(part.subarray(0, Math.min(part.length, length - at)), at)
    at += part.length
  }
  return out
}

/** A shard of a run with files of these sizes, whose digests are made up. `part` above 0: of a big run. */
export function runShard({
  wiki,
  date,
  sizes,
  part = 0,
}: {
  wiki: string
  date: string
  sizes: readonly number[]
  part?: number
}): Shard {
  const names = sizes.map((_, i) => `${wiki}-${date}-table${i}.sql.gz`)
  return makeShard({
    dataset: 'dumps',
    wiki,
    date,
    part,
    files: sizes.map((sizeBytes, i) => ({ path: `${date}/${names[i]}`, sizeBytes, digests: {} })),
    statusJson: `${canonicalJson({ all: { files: names, status: 'done' } })}\n`,
    bundleVersion: 1,
  })
}

/**
 * Run -> Shard[] (PROTOCOL 1). A small run is one shard. A bigger one is cut deterministically: files in raw-byte path order,
 * packed greedily into parts of at most 20 GiB and 2,000 files; a larger single file is a part alone; no file is split.
 */
import type { Run } from '../dump/run.ts'
import { SHARD_BYTES_MAX, SHARD_FILES_MAX } from '../limits.ts'
import { BUNDLE_VERSION, makeShard } from './make-shard.ts'
import { fileNameOf } from './paths.ts'
import type { Shard, ShardFile } from './shard.ts'
import { statusJson } from './status-json.ts'

export { BUNDLE_VERSION, makeShard, type ShardParts } from './make-shard.ts'
export { readShard, type ShardValue, shardToValue } from './shard-value.ts'

/**
 * The shards of a run in order of part; none when the run holds no file. Whether the run is settled is the caller's
 * question. Throws ShapeError when the run does not fit a bound (a file above 2 TiB, a status above 4 MiB).
 */
export function cutRun(run: Run, bundleVersion = BUNDLE_VERSION): Shard[] {
  const parts = pack(run.files)
  const small = parts.length === 1 && totalBytes(run.files) <= SHARD_BYTES_MAX
  return parts.map((files, index) => {
    const names = new Set(files.map((file) => fileNameOf(file.path)))
    return makeShard({
      dataset: run.dataset,
      wiki: run.wiki,
      date: run.date,
      part: small ? 0 : index + 1,
      files,
      statusJson: statusJson(run, names),
      bundleVersion,
    })
  })
}

/** Greedy and in order: a part is closed by the first file that does not fit any more. */
function pack(files: readonly ShardFile[]): ShardFile[][] {
  const parts: ShardFile[][] = []
  let part: ShardFile[] = []
  let partBytes = 0
  for (const file of files) {
    if (
      part.length > 0 &&
      (partBytes + file.sizeBytes > SHARD_BYTES_MAX || part.length === SHARD_FILES_MAX)
    ) {
      parts.push(part)
      part = []
      partBytes = 0
    }
    part.push(file)
    partBytes += file.sizeBytes
  }
  if (part.length > 0) parts.push(part)
  return parts
}

function totalBytes(files: readonly ShardFile[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes, 0)
}

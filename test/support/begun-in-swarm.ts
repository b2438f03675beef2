/** A shard of which some pieces lie in staging, as a fetch from the swarm left them; and what of it is still missing. */
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type BuiltShard, buildShard } from '../../node/transfer/build-shard.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import type { ShardFiles } from '../../node/transfer/shard-files.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { decodeInfo, type Info } from '../../protocol/torrent/info.ts'

export interface WholeShard {
  readonly shard: Shard
  readonly built: BuiltShard
  readonly info: Info
  /** All dump files, one after the other. */
  readonly bytes: Buffer
  /** Where each dump file begins in them. */
  readonly starts: readonly number[]
}

/** `dumps` holds the shard's folder. */
export async function wholeShard(shard: Shard, dumps: string): Promise<WholeShard> {
  const hasher = new WorkerHasher()
  const result = await buildShard(shard, dumps, hasher).finally(() => hasher.close())
  if (!result.ok) throw new Error('the dumps are not those of the shard')
  const info = decodeInfo(result.built.info)
  if (info === null) throw new Error('no info dictionary')
  const parts = await Promise.all(shard.files.map(({ path }) => readFile(join(dumps, shard.name, path))))
  let at = 0
  const starts = parts.map((part) => {
    at += part.length
    return at - part.length
  })
  return { shard, built: result.built, info, bytes: Buffer.concat(parts), starts }
}

/** Puts everything below `root`, metadata files included, for a seed. */
export async function writeWhole(whole: WholeShard, root: string): Promise<void> {
  await writePieces(whole, root, () => true)
  for (const { path, bytes } of whole.built.metadata) {
    await mkdir(dirname(join(root, whole.shard.name, path)), { recursive: true })
    await writeFile(join(root, whole.shard.name, path), bytes)
  }
}

/** As the engine leaves it: the info dictionary, and the pieces that are `had`, at their places. */
export async function stage(
  whole: WholeShard,
  files: ShardFiles,
  had: (piece: number) => boolean,
  info: Uint8Array = whole.built.info,
): Promise<void> {
  await files.adopt(whole.shard)
  await files.keepInfo(whole.shard, info)
  await writePieces(whole, files.staging(whole.shard), had)
}

/** What of a shard is missing below `root`: pieces that are not byte for byte right, as [start, end) of the dump files. */
export async function missingPieces(whole: WholeShard, root: string): Promise<[number, number][]> {
  const there = Buffer.alloc(whole.bytes.length)
  for (const [index, { path }] of whole.shard.files.entries()) {
    const part = await readFile(join(root, whole.shard.name, path)).catch(() => Buffer.alloc(0))
    part.copy(there, whole.starts[index])
  }
  return piecesOf(whole).filter(
    ([start, end]) => !there.subarray(start, end).equals(whole.bytes.subarray(start, end)),
  )
}

export const bytesOf = (ranges: readonly (readonly [number, number])[]): number =>
  ranges.reduce((sum, [start, end]) => sum + end - start, 0)

function piecesOf({ info, bytes }: WholeShard): [number, number][] {
  const length = info.pieceLengthBytes
  const count = Math.ceil(bytes.length / length)
  return Array.from({ length: count }, (_, at) => [at * length, Math.min((at + 1) * length, bytes.length)])
}

async function writePieces(whole: WholeShard, root: string, had: (piece: number) => boolean): Promise<void> {
  const pieces = piecesOf(whole).filter((_, piece) => had(piece))
  for (const [index, { path, sizeBytes }] of whole.shard.files.entries()) {
    const fileStart = whole.starts[index] ?? 0
    const to = join(root, whole.shard.name, path)
    await mkdir(dirname(to), { recursive: true })
    const file = await open(to, 'w')
    for (const [start, end] of pieces) {
      const from = Math.max(start, fileStart)
      const until = Math.min(end, fileStart + sizeBytes)
      if (from < until) await file.write(whole.bytes.subarray(from, until), 0, until - from, from - fileStart)
    }
    await file.close()
  }
}

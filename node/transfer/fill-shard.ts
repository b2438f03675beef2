/**
 * What a fetch from the swarm left missing of a shard, over HTTP: it goes on piece by piece in the same files, so nothing that peers gave
 * is fetched again, and peers that come back find what servers gave.
 */
import { rm } from 'node:fs/promises'
import type { Shard } from '../../protocol/shard/shard.ts'
import { decodeInfo } from '../../protocol/torrent/info.ts'
import { metaPath } from '../origin/partial-file.ts'
import type { WebFiles, WebOptions } from '../sources/web-files.ts'
import { dumpPath } from './build-shard.ts'
import { PieceFiles } from './piece-files.ts'
import type { ShardFiles } from './shard-files.ts'

/** The dump files but those of `anew` are whole, though no digest has judged them yet. */
export interface Filled {
  /** Paths of files that somebody has, but only whole. */
  readonly anew: ReadonlySet<string>
  /** By path, who gave bytes that no piece proves: those at the end that share a piece with the metadata files. */
  readonly unproven: ReadonlyMap<string, readonly string[]>
}

/**
 * Null when there is nothing to go on from: no fetch from the swarm began, no piece of it is right, or its info dictionary is
 * contradicted by the places, and forgotten. Rejects with OriginError when a file is nowhere to be had, and with the file system's
 * error; what came stays.
 */
export async function fillShard(
  shard: Shard,
  parts: { readonly files: ShardFiles; readonly web: WebFiles },
  options: WebOptions,
): Promise<Filled | null> {
  const { files, web } = parts
  const raw = await files.keptInfo(shard)
  const info = raw === null ? null : decodeInfo(raw)
  if (info === null) return null
  const staging = files.staging(shard)
  const pathAt = (index: number) => shard.files[index]?.path ?? ''
  const pieces = new PieceFiles(
    info,
    info.files.map(({ path }) => dumpPath(shard, staging, path)),
  )
  try {
    const { signal } = options
    // The metadata files, which come last, follow from the others.
    const { ranges, rightBytes } = await pieces.missing(
      { start: 0, end: shard.sizeBytes },
      { doubt: false, signal },
    )
    if (rightBytes === 0) return null
    options.onFound(rightBytes)
    // From here on a file is not what a download began, but pieces.
    for (const { path } of shard.files) await rm(metaPath(dumpPath(shard, staging, path)), { force: true })
    const { lacking, wholeOnly, unproven, isDoubtful } = await web.fetchPieces(shard, pieces, ranges, options)
    if (isDoubtful) {
      await files.forgetInfo(shard)
      return null
    }
    for (const [file, error] of lacking) if (!wholeOnly.has(file)) throw error
    for (const index of shard.files.keys()) if (!lacking.has(index)) await pieces.seal(index)
    return {
      anew: new Set([...wholeOnly].map(pathAt)),
      unproven: new Map([...unproven].map(([file, labels]) => [pathAt(file), [...labels]])),
    }
  } finally {
    await pieces.close()
  }
}

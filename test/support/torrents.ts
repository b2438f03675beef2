/** Small torrents with real bytes on disk, made without the product's hasher or engine. */
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Infohash } from '../../protocol/ids.ts'
import { encodeInfo, infohashOf } from '../../protocol/torrent/info.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { seededBytes } from './shards.ts'

export const PIECE_BYTES = 16 * 1024

export interface SampleTorrent {
  readonly name: string
  readonly infohash: Infohash
  readonly info: Uint8Array
  /** A whole .torrent file. */
  readonly torrent: Uint8Array
  readonly files: readonly { readonly path: string; readonly bytes: Uint8Array }[]
  readonly sizeBytes: number
}

/** Same name and sizes, same torrent. */
export function sampleTorrent(name: string, sizes: readonly number[]): SampleTorrent {
  return sampleTorrentOf(
    name,
    sizes.map((size, i) => seededBytes(`${name}/${i}`, size)),
  )
}

/** A torrent of files with these contents. */
export function sampleTorrentOf(name: string, contents: readonly Uint8Array[]): SampleTorrent {
  const files = contents.map((bytes, i) => ({ path: `20260101/file-${i}`, bytes }))
  const whole = Buffer.concat(files.map((file) => file.bytes))
  const pieces: Buffer[] = []
  for (let at = 0; at < whole.length; at += PIECE_BYTES) {
    pieces.push(
      createHash('sha1')
        .update(whole.subarray(at, at + PIECE_BYTES))
        .digest(),
    )
  }
  const info = encodeInfo({
    name,
    files: files.map(({ path, bytes }) => ({ path, sizeBytes: bytes.length })),
    pieceLengthBytes: PIECE_BYTES,
    pieces: Buffer.concat(pieces),
  })
  return {
    name,
    info,
    infohash: infohashOf(info),
    torrent: encodeMetainfo({ info }),
    files,
    sizeBytes: whole.length,
  }
}

/** Writes the torrent's files below `root`, each as `change` makes it. */
export async function writeSample(
  sample: SampleTorrent,
  root: string,
  change: (bytes: Uint8Array, index: number) => Uint8Array | null = (bytes) => bytes,
): Promise<void> {
  for (const [index, file] of sample.files.entries()) {
    const bytes = change(file.bytes, index)
    if (bytes === null) continue
    const path = join(root, sample.name, file.path)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes)
  }
}

/** Paths below `root` whose bytes are not those of the torrent. */
export async function wrongFiles(sample: SampleTorrent, root: string): Promise<string[]> {
  const wrong: string[] = []
  for (const file of sample.files) {
    const bytes = await readFile(join(root, sample.name, file.path)).catch(() => null)
    if (bytes === null || !bytes.equals(file.bytes)) wrong.push(file.path)
  }
  return wrong
}

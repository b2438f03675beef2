/** Torrents of many bytes for benches: random content on disk, piece hashes by the product's hasher. */
import { randomFillSync } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Hasher } from '../../node/ports.ts'
import { encodeInfo, totalBytes } from '../../protocol/torrent/info.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { pieceLengthFor } from '../../protocol/torrent/piece-length.ts'

export interface BigTorrent {
  readonly name: string
  readonly torrent: Uint8Array
  readonly sizeBytes: number
}

/** Writes files of these sizes below `<root>/<name>` and makes their torrent. `hasher`: used, and not closed. */
export async function bigTorrent(
  root: string,
  name: string,
  sizes: readonly number[],
  hasher: Hasher,
): Promise<BigTorrent> {
  const files = sizes.map((sizeBytes, i) => ({
    path: `20260101/file-${String(i).padStart(3, '0')}`,
    sizeBytes,
  }))
  const block = Buffer.alloc(1024 * 1024)
  for (const { path, sizeBytes } of files) {
    const at = join(root, name, path)
    await mkdir(dirname(at), { recursive: true })
    const handle = await open(at, 'w')
    for (let done = 0; done < sizeBytes; ) {
      randomFillSync(block)
      const { bytesWritten } = await handle.write(block, 0, Math.min(block.length, sizeBytes - done))
      done += bytesWritten
    }
    await handle.close()
  }
  const pieceLengthBytes = pieceLengthFor(totalBytes(files))
  const paths = files.map(({ path }) => join(root, name, path))
  const { pieces } = await hasher.hash(paths, { pieceLengthBytes })
  const info = encodeInfo({ name, files, pieceLengthBytes, pieces: pieces ?? new Uint8Array() })
  return { name, torrent: encodeMetainfo({ info }), sizeBytes: totalBytes(files) }
}

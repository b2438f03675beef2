/** SHA-1 of every second piece of some files laid end to end: half of what a torrent alone needs, for one of two threads. */
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { layoutOf, pieceSpans } from '../../protocol/torrent/spans.ts'

export interface PieceTask {
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[]
  readonly pieceLengthBytes: number
  /** 0 or 1. */
  readonly first: number
}

parentPort?.on('message', () => parentPort?.postMessage(hashes(workerData as PieceTask)))

function hashes({ files, pieceLengthBytes, first }: PieceTask): Uint8Array {
  const layout = layoutOf(files)
  const open = files.map(({ path }) => openSync(path, 'r'))
  const buffer = Buffer.alloc(pieceLengthBytes)
  const found: Buffer[] = []
  for (let piece = first; piece * pieceLengthBytes < layout.totalBytes; piece += 2) {
    let at = 0
    for (const { file, offset, length } of pieceSpans(layout, pieceLengthBytes, piece)) {
      if (readSync(open[file] ?? -1, buffer, at, length, offset) !== length) throw new Error('a short file')
      at += length
    }
    found.push(createHash('sha1').update(buffer.subarray(0, at)).digest())
  }
  for (const handle of open) closeSync(handle)
  return Buffer.concat(found)
}

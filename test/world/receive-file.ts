import { createHash } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { Exchange } from './exchange.ts'

export type ReceivedFile = {
  sizeBytes: number
  md5: Buffer
  sha1: Buffer
  sha256: Buffer
  crc32: string
}

/**
 * Writes the request's body to `path` and digests it on the way. Undefined, and no file, when the body was cut.
 * `atBytes` is called with the count after each piece; if it answers false, the body counts as cut.
 */
export async function receiveFile(
  ex: Exchange,
  path: string,
  atBytes: (received: number) => boolean = () => true,
): Promise<ReceivedFile | undefined> {
  const file = await open(path, 'w')
  const md5 = createHash('md5')
  const sha1 = createHash('sha1')
  const sha256 = createHash('sha256')
  let crc = 0
  let sizeBytes = 0
  let whole = false
  try {
    for await (const chunk of ex.req) {
      const piece = chunk as Buffer // no encoding is set on the request, so chunks are buffers
      ex.record.bytesReceived += piece.length
      sizeBytes += piece.length
      if (!atBytes(sizeBytes)) return undefined
      for (const hash of [md5, sha1, sha256]) hash.update(piece)
      crc = crc32(piece, crc)
      await file.writeFile(piece)
    }
    whole = ex.req.complete
  } catch {
    whole = false
  } finally {
    await file.close()
    if (!whole) await rm(path, { force: true })
  }
  if (!whole) return undefined
  return {
    sizeBytes,
    md5: md5.digest(),
    sha1: sha1.digest(),
    sha256: sha256.digest(),
    crc32: crc.toString(16).padStart(8, '0'),
  }
}

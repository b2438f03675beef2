// Multipart uploads: parts wait in files of their own until they are joined. They do not outlive the world.
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export type Part = { number: number; path: string; sizeBytes: number; md5: Buffer }
export type Upload = {
  id: string
  bucket: string
  key: string
  headers: Record<string, string>
  parts: Map<number, Part>
}
export type Joined =
  | { ok: true; sizeBytes: number; etag: string }
  | { ok: false; code: string; message: string }

const uploadsMax = 1000
export const partNumberMax = 10_000
const partMinBytes = 5 * 2 ** 20

export class Uploads {
  readonly #open = new Map<string, Upload>()

  create(bucket: string, key: string, headers: Record<string, string>): Upload | undefined {
    if (this.#open.size >= uploadsMax) return undefined
    const upload = { id: randomBytes(24).toString('base64url'), bucket, key, headers, parts: new Map() }
    this.#open.set(upload.id, upload)
    return upload
  }

  find(id: string, bucket: string, key: string): Upload | undefined {
    const upload = this.#open.get(id)
    return upload?.bucket === bucket && upload.key === key ? upload : undefined
  }

  async setPart(upload: Upload, part: Part): Promise<void> {
    const before = upload.parts.get(part.number)
    upload.parts.set(part.number, part)
    if (before) await rm(before.path, { force: true })
  }

  async drop(upload: Upload): Promise<void> {
    this.#open.delete(upload.id)
    for (const { path } of upload.parts.values()) await rm(path, { force: true })
  }

  /** Joins the named parts into one file. R2 wants them in order, of equal size but the last, and 5 MiB at least. */
  async join(
    upload: Upload,
    wanted: readonly { number: number; etag: string }[],
    path: string,
  ): Promise<Joined> {
    const parts: Part[] = []
    for (const { number, etag } of wanted) {
      const part = upload.parts.get(number)
      if (part?.md5.toString('hex') !== etag.replaceAll('"', '')) {
        return {
          ok: false,
          code: 'InvalidPart',
          message: 'One or more of the specified parts could not be found.',
        }
      }
      if (number <= (parts.at(-1)?.number ?? 0)) {
        return {
          ok: false,
          code: 'InvalidPartOrder',
          message: 'The list of parts was not in ascending order.',
        }
      }
      parts.push(part)
    }
    const [first] = parts
    if (!first) return { ok: false, code: 'MalformedXML', message: 'No parts were named.' }
    for (const part of parts.slice(0, -1)) {
      if (part.sizeBytes < partMinBytes)
        return {
          ok: false,
          code: 'EntityTooSmall',
          message: 'Your proposed upload is smaller than the minimum allowed object size.',
        }
      if (part.sizeBytes !== first.sizeBytes)
        return {
          ok: false,
          code: 'InvalidPart',
          message: 'All non-trailing parts must have the same length.',
        }
    }
    if ((parts.at(-1)?.sizeBytes ?? 0) > first.sizeBytes) {
      return { ok: false, code: 'InvalidPart', message: 'All non-trailing parts must have the same length.' }
    }
    await pipeline(Readable.from(readParts(parts)), createWriteStream(path))
    const digest = createHash('md5')
      .update(Buffer.concat(parts.map(({ md5 }) => md5)))
      .digest('hex')
    const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0)
    return { ok: true, sizeBytes, etag: `"${digest}-${parts.length}"` }
  }
}

async function* readParts(parts: readonly Part[]): AsyncIterable<Buffer> {
  for (const part of parts) for await (const chunk of createReadStream(part.path)) yield chunk as Buffer
}

/** The parts that a CompleteMultipartUpload document names. */
export function readPartList(xml: string): { number: number; etag: string }[] {
  return [...xml.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({
    number: Number(/<PartNumber>\s*(\d+)\s*<\/PartNumber>/.exec(part)?.[1] ?? 0),
    etag: (/<ETag>(.*?)<\/ETag>/s.exec(part)?.[1] ?? '')
      .replaceAll('&quot;', '')
      .replaceAll('&#34;', '')
      .replaceAll('"', '')
      .trim(),
  }))
}

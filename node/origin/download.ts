/**
 * One dump file to disk: continues what is there (Range with If-Range; without it what another source began), never writes an error
 * page, and notices when the file changed on the other side. It does not judge the bytes: digests are the caller's.
 */
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../files/durable.ts'
import type { OnStep } from '../files/steps.ts'
import { OriginError } from '../ports.ts'
import { contentLength, expectFile } from './answer.ts'
import type { HttpClient, HttpResponse } from './http-client.ts'
import {
  beginPartial,
  differ,
  dropPartial,
  ifRange,
  type Meta,
  readMeta,
  readPartial,
  validatorsOf,
  writeMeta,
} from './partial-file.ts'
import { type RetryPolicy, retry } from './retry.ts'

/** How bytes are taken, of a whole file or of a range. */
export interface Receiving {
  /** Where there is another place to ask. */
  readonly pauseMaxMs?: number | undefined
  readonly onBytes?: ((count: number) => void) | undefined
  /** Waits until so many bytes may be received. */
  readonly pace?: ((count: number, signal?: AbortSignal) => Promise<void>) | undefined
  readonly onStep?: OnStep | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Download extends Receiving {
  readonly url: URL
  /** Names the source in what is told of it. */
  readonly label: string
  readonly toPath: string
  /** What upstream's status says; an answer of another size is refused. */
  readonly sizeBytes: number
  readonly boot: string
  readonly syncEveryBytes: number
  /** What is there came otherwise; it stays until the first byte of an answer comes. */
  readonly anew?: boolean | undefined
}

/** So much more starts the count of retries anew; so they stay bounded by the size of what is fetched. */
export const PROGRESS_BYTES = 1024 * 1024
/** So much at most is fetched again after a loss of power. */
export const SYNC_EVERY_BYTES = 64 * 1024 * 1024

/**
 * Rejects with OriginError, or with the file system's own error. When it resolves, the file has `sizeBytes` bytes and is
 * synced; the labels of all who gave of them, none when it was whole before.
 */
export async function download(
  client: HttpClient,
  policy: RetryPolicy,
  job: Download,
): Promise<readonly string[]> {
  let farthest = 0
  const once = (gotAhead: () => void): Promise<void> =>
    attempt(client, job, (offset) => {
      if (offset < farthest + PROGRESS_BYTES) return
      farthest = offset
      gotAhead()
    })
  await retry(policy, once, job.signal)
  return (await readMeta(job.toPath))?.from ?? []
}

async function attempt(client: HttpClient, job: Download, reached: (offset: number) => void): Promise<void> {
  const { url, label, toPath, sizeBytes, boot, signal } = job
  const { offset, meta } = await readPartial(toPath, sizeBytes, boot, job.anew)
  if (offset === sizeBytes && sizeBytes > 0) return
  const sameSource = meta !== null && meta.url === url.href
  const version = sameSource ? ifRange(meta) : null
  // What another source began: no name of a version holds at both, so the size is compared here and the digest in the end.
  const resume = meta !== null && (!sameSource || version !== null)
  const headers: Record<string, string> = resume ? { range: `bytes=${offset}-` } : {}
  if (version !== null) headers['if-range'] = version
  const { pauseMaxMs } = job
  await client.get(url, { headers, signal, pauseMaxMs }, async (response) => {
    expectFile(response, url, resume ? [200, 206, 416] : [200])
    if (sameSource && resume && differ(meta, validatorsOf(response))) {
      await dropPartial(toPath)
      throw new OriginError('changed', `${url}: the file changed while it was being fetched`)
    }
    const now = { url: url.href, sizeBytes, ...validatorsOf(response), boot }
    if (response.status === 200) {
      checkLength(response, job)
      const begun: Meta = { ...now, from: [label], syncedBytes: 0 }
      await beginPartial(toPath, begun)
      job.onStep?.('side-file')
      await write(response, job, 0, begun, reached)
    } else if (meta !== null) {
      await checkRange(response, job, offset)
      const from = meta.from.includes(label) ? meta.from : [...meta.from, label]
      const { syncedBytes } = meta
      const goesOn: Meta = { ...now, from, syncedBytes }
      if (!sameSource || meta.boot !== boot) await writeMeta(toPath, goesOn)
      await write(response, job, offset, goesOn, reached)
    }
  })
}

/** A file of another size than upstream's status says is refused before a byte is written. */
function checkLength(response: HttpResponse, job: Download): void {
  const length = contentLength(response)
  if (length === null || length === job.sizeBytes) return
  throw new OriginError(
    length > job.sizeBytes ? 'too-large' : 'wrong-size',
    `${job.url}: has ${length} bytes, expected ${job.sizeBytes}`,
  )
}

/** Another range than the one asked for (or none at all, 416) is not used: begin anew. */
async function checkRange(response: HttpResponse, job: Download, offset: number): Promise<void> {
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.header('content-range') ?? '') ?? []
  if (response.status === 206 && Number(start) === offset && Number(total) === job.sizeBytes) return
  const [, whole] = /^bytes (?:\*|\d+-\d+)\/(\d+)$/.exec(response.header('content-range') ?? '') ?? []
  // The same bytes can still be continued elsewhere: it is this source that has another file.
  if (whole !== undefined && Number(whole) !== job.sizeBytes) {
    throw new OriginError('wrong-size', `${job.url}: has ${whole} bytes, expected ${job.sizeBytes}`)
  }
  await dropPartial(job.toPath)
  throw new OriginError(
    'network',
    `${job.url}: the rest could not be had (HTTP ${response.status}), beginning anew`,
  )
}

async function write(
  response: HttpResponse,
  job: Download,
  from: number,
  meta: Meta,
  reached: (offset: number) => void,
): Promise<void> {
  const { url, toPath, sizeBytes, signal } = job
  const file = await open(toPath, from === 0 ? 'w' : 'r+')
  let offset = from
  let syncedBytes = Math.min(from, meta.syncedBytes)
  let tooLarge = false
  try {
    for await (const chunk of response.body) {
      job.onBytes?.(chunk.length)
      tooLarge = offset + chunk.length > sizeBytes
      if (tooLarge) break
      for (let done = 0; done < chunk.length; ) {
        done += (await file.write(chunk, done, chunk.length - done, offset + done)).bytesWritten
      }
      offset += chunk.length
      job.onStep?.('chunk')
      reached(offset)
      if (offset - syncedBytes >= job.syncEveryBytes && offset < sizeBytes) {
        await file.sync()
        syncedBytes = offset
        await writeMeta(toPath, { ...meta, syncedBytes })
        job.onStep?.('part-synced')
      }
      await job.pace?.(chunk.length, signal)
    }
    if (offset === sizeBytes && !tooLarge) {
      await file.sync()
      await syncFolder(dirname(toPath))
      job.onStep?.('file-synced')
    }
  } finally {
    await file.close()
  }
  if (tooLarge) {
    await dropPartial(toPath)
    throw new OriginError('too-large', `${url}: more than the expected ${sizeBytes} bytes`)
  }
  if (offset < sizeBytes)
    throw new OriginError('network', `${url}: ended after ${offset} of ${sizeBytes} bytes`)
}

/**
 * One dump file to disk: continues what is there (Range with If-Range), never writes an error page, and notices when the
 * file changed on the other side. It does not judge the bytes: digests are the caller's.
 */
import { open } from 'node:fs/promises'
import { OriginError } from '../ports.ts'
import { contentLength, expectStatus, isHtml } from './answer.ts'
import type { HttpClient, HttpResponse } from './http-client.ts'
import { beginPartial, differ, dropPartial, ifRange, readPartial, validatorsOf } from './partial-file.ts'
import { type RetryPolicy, retry } from './retry.ts'

export interface Download {
  readonly url: URL
  readonly toPath: string
  /** What upstream's status says; an answer of another size is refused. */
  readonly sizeBytes: number
  readonly onBytes?: ((count: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** A growth of the file by this much starts the count of retries anew; so retries stay bounded by the file's size. */
const PROGRESS_BYTES = 1024 * 1024

/**
 * Rejects with OriginError, or with the file system's own error. When it resolves, the file has `sizeBytes` bytes and is
 * synced.
 */
export async function download(client: HttpClient, policy: RetryPolicy, job: Download): Promise<void> {
  let farthest = 0
  const once = (gotAhead: () => void): Promise<void> =>
    attempt(client, job, (offset) => {
      if (offset < farthest + PROGRESS_BYTES) return
      farthest = offset
      gotAhead()
    })
  await retry(policy, once, job.signal)
}

async function attempt(client: HttpClient, job: Download, reached: (offset: number) => void): Promise<void> {
  const { url, toPath, sizeBytes, signal } = job
  const { offset, validators } = await readPartial(toPath, url, sizeBytes)
  if (offset === sizeBytes && sizeBytes > 0) return
  const version = ifRange(validators)
  const resume = offset > 0 && version !== null
  const headers: Record<string, string> = resume ? { range: `bytes=${offset}-`, 'if-range': version } : {}
  await client.get(url, { headers, signal }, async (response) => {
    expectStatus(response, url, resume ? [200, 206, 416] : [200])
    if (isHtml(response) && !/\.html?$/.test(url.pathname)) {
      throw new OriginError('busy', `${url}: a web page came instead of the file`)
    }
    if (resume && differ(validators, validatorsOf(response))) {
      await dropPartial(toPath)
      throw new OriginError('changed', `${url}: the file changed while it was being fetched`)
    }
    if (response.status === 200) {
      checkLength(response, job)
      await beginPartial(toPath, url, sizeBytes, validatorsOf(response))
      await write(response, job, 0, reached)
    } else {
      await checkRange(response, job, offset)
      await write(response, job, offset, reached)
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
  reached: (offset: number) => void,
): Promise<void> {
  const { url, toPath, sizeBytes } = job
  const file = await open(toPath, from === 0 ? 'w' : 'r+')
  let offset = from
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
      reached(offset)
    }
    if (offset === sizeBytes && !tooLarge) await file.sync()
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

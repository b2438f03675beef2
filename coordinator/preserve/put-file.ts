/**
 * One PUT of a file from disk to the S3-like door of the Internet Archive. By node:http and not undici, because it must wait
 * for `100 Continue`: the Archive answers 503, 403 and 307 early, and 20 GiB should not be on the way by then.
 */
import { createReadStream } from 'node:fs'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { ArchiveError } from './archive-error.ts'

export interface PutFile {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** On this disk. */
  readonly path: string
  readonly sizeBytes: number
  /** No byte either way for this long ends it. */
  readonly idleMs: number
  /** How long to wait for `100 Continue` before sending all the same (RFC 9110 10.1.1). */
  readonly continueMs: number
  readonly onBytes?: ((count: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface PutAnswer {
  readonly status: number
  /** The first 64 KiB, as text. */
  readonly body: string
}

const ANSWER_BYTES_MAX = 64 * 1024
const REDIRECTS_MAX = 3

/** The answer, redirects to storage nodes followed. ArchiveError `network`, `disk`, `aborted`, `bad-answer`. */
export async function putFile(put: PutFile): Promise<PutAnswer> {
  let url = new URL(put.url)
  for (let redirects = 0; ; redirects++) {
    const { status, body, location } = await putOnce(put, url)
    if (status < 300 || status >= 400) return { status, body }
    if (redirects >= REDIRECTS_MAX || location === null)
      throw new ArchiveError('bad-answer', 'the archive redirects without end')
    const next = new URL(location, url)
    // The keys go along, so they may go only where they belong.
    if (next.host !== url.host && !(next.protocol === 'https:' && next.hostname.endsWith('.archive.org'))) {
      throw new ArchiveError('bad-answer', `the archive redirects to ${next.host}, which is none of its own`)
    }
    url = next
  }
}

async function putOnce(put: PutFile, url: URL): Promise<PutAnswer & { location: string | null }> {
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    method: 'PUT',
    // The reference client closes too; kept connections are reset there.
    agent: false,
    ...(put.signal === undefined ? {} : { signal: put.signal }),
    headers: {
      ...put.headers,
      // Chunked bodies are not supported: always a length, 0 included.
      'content-length': String(put.sizeBytes),
      connection: 'close',
      ...(put.sizeBytes > 0 ? { expect: '100-continue' } : {}),
    },
  })
  request.setTimeout(put.idleMs, () =>
    request.destroy(new ArchiveError('network', 'the archive fell silent')),
  )
  const stop = new AbortController()
  try {
    const response = responseOf(request)
    const sent = sendBody(request, put, stop.signal)
    // An early answer ends the sending; a file that cannot be read ends the request.
    const answer = await Promise.race([response, sent.then(() => response)])
    const body = await textOf(answer)
    return { status: answer.statusCode ?? 0, body, location: answer.headers.location ?? null }
  } catch (error) {
    if (error instanceof ArchiveError) throw error
    if (put.signal?.aborted === true)
      throw new ArchiveError('aborted', 'the upload was stopped', { cause: error })
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    throw new ArchiveError('network', `the upload to ${url.host} broke${code}`, { cause: error })
  } finally {
    stop.abort()
    request.destroy()
  }
}

function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve)
    // Stays: after an early answer the connection is often reset, which then says nothing new.
    request.on('error', reject)
  })
}

/** Resolves when the whole body went out or an answer came first; rejects only for the file's sake. */
async function sendBody(request: ClientRequest, put: PutFile, stop: AbortSignal): Promise<void> {
  if (put.sizeBytes === 0) {
    request.end()
    return
  }
  request.flushHeaders()
  await goAhead(request, put.continueMs)
  if (stop.aborted || request.destroyed) return
  let sentBytes = 0
  const file = createReadStream(put.path, { end: put.sizeBytes - 1, highWaterMark: 256 * 1024 })
  const fileFailed = new Promise<never>((_, reject) => {
    file.once('error', (error) =>
      reject(new ArchiveError('disk', `cannot read ${put.path}`, { cause: error })),
    )
  })
  file.on('data', (chunk) => {
    sentBytes += chunk.length
    put.onBytes?.(chunk.length)
  })
  file.once('end', () => {
    if (sentBytes < put.sizeBytes)
      request.destroy(new ArchiveError('disk', `${put.path} is shorter than ${put.sizeBytes} bytes`))
  })
  // Failures of the connection are told by the request itself.
  const piped = pipeline(file, request, { signal: stop }).catch(() => undefined)
  await Promise.race([piped, fileFailed])
}

/** `100 Continue`, or another answer, or the time is over. */
function goAhead(request: ClientRequest, continueMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, continueMs)
    const go = () => {
      clearTimeout(timer)
      resolve()
    }
    for (const event of ['continue', 'response', 'error', 'close']) request.once(event, go)
  })
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      sizeBytes += chunk.length
      if (sizeBytes >= ANSWER_BYTES_MAX) break
    }
  } catch (error) {
    // The status is known; of a body cut off by the reset, what came is enough.
    if (chunks.length === 0 && (response.statusCode ?? 0) < 300) throw error
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString('utf8')
}

/** What an answer's status means, and bounded reading of small bodies. */
import { OriginError } from '../ports.ts'
import type { HttpResponse } from './http-client.ts'
import { HTTP_DATE } from './pace.ts'

/** Throws OriginError unless the status is one of those expected. 429 and 5xx may pass; the other 4xx are final. */
export function expectStatus(response: HttpResponse, url: URL, expected: readonly number[]): void {
  const { status } = response
  if (expected.includes(status)) return
  if (status === 404 || status === 410)
    throw new OriginError('not-found', `${url}: not there (HTTP ${status})`)
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    throw new OriginError('busy', `${url}: HTTP ${status}`)
  }
  throw new OriginError('refused', `${url}: HTTP ${status}`)
}

/** Content-Length as a whole number, or null. */
export function contentLength(response: HttpResponse): number | null {
  const value = response.header('content-length')
  return value !== null && /^\d{1,15}$/.test(value) ? Number(value) : null
}

/** Last-Modified as unix ms, or null. */
export function lastModifiedMs(response: HttpResponse): number | null {
  const value = response.header('last-modified') ?? ''
  return HTTP_DATE.test(value) ? Date.parse(value) : null
}

/** Of a file: also throws when a web page came instead, as of a proxy that asks for a log-in. */
export function expectFile(response: HttpResponse, url: URL, expected: readonly number[]): void {
  expectStatus(response, url, expected)
  if (isHtml(response) && !/\.html?$/.test(url.pathname))
    throw new OriginError('busy', `${url}: a web page came instead of the file`)
}

/** True for an answer that says it is a web page. */
function isHtml(response: HttpResponse): boolean {
  return /^\s*(text\/html|application\/xhtml)/i.test(response.header('content-type') ?? '')
}

/** The whole body, refused as `too-large` before reading when it says so, else while reading. */
export async function readBounded(response: HttpResponse, url: URL, bytesMax: number): Promise<Uint8Array> {
  const declared = contentLength(response)
  if (declared !== null && declared > bytesMax) throw tooLarge(url, bytesMax)
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of response.body) {
    sizeBytes += chunk.length
    if (sizeBytes > bytesMax) throw tooLarge(url, bytesMax)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, sizeBytes)
}

/** What came, in words fit for a terminal: length, type and the first printable characters. */
export function describeBody(response: HttpResponse, body: Uint8Array): string {
  const start = Buffer.from(body.subarray(0, 60))
    .toString('latin1')
    .replace(/[^\x20-\x7e]+/g, ' ')
  const type = (response.header('content-type') ?? 'no type').replace(/[^\x20-\x7e]/g, '').slice(0, 60)
  return `${body.length} bytes of ${type} that begin with ${JSON.stringify(start)}`
}

function tooLarge(url: URL, bytesMax: number): OriginError {
  return new OriginError('too-large', `${url}: more than ${bytesMax} bytes`)
}

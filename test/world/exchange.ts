// One request and its answer: what every service works with.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { AccessRecord } from './access-log.ts'
import type { Dice, Faults, ServiceName } from './faults.ts'

export type Exchange = {
  service: ServiceName
  req: IncomingMessage
  res: ServerResponse
  /** Kept apart, for the request lets go of it when its body is given up. */
  socket: Socket
  method: string
  /** Percent-encoded path as it was sent, without query. */
  rawPath: string
  /** Query as it was sent, without the question mark. */
  rawQuery: string
  query: URLSearchParams
  /** How the client calls us, such as `http://127.0.0.1:4001` or, through the proxy form, `http://archive.org`. */
  origin: string
  /** True when the client used us as an HTTP proxy for the real host name. */
  proxied: boolean
  userAgent: string
  record: AccessRecord
  faults: Faults
  dice: Dice
}

export type Headers = Record<string, string | number>

/** Decoded path segments, or undefined when one is not valid percent-encoded UTF-8. The leading slash is dropped. */
export function pathSegments(rawPath: string): string[] | undefined {
  try {
    return rawPath.replace(/^\//, '').split('/').map(decodeURIComponent)
  } catch {
    return undefined
  }
}

/** A path segment that may be joined to a folder: not empty, no dots alone, no separators, no NUL. */
export function isSafeSegment(segment: string): boolean {
  if (segment === '' || segment === '.' || segment === '..') return false
  if (segment.includes('/') || segment.includes('\\') || segment.includes('\0')) return false
  return Buffer.byteLength(segment) <= 255
}

export function header(ex: Exchange, name: string): string | undefined {
  const value = ex.req.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

export function noteFault(ex: Exchange, name: string): void {
  ex.record.faults = [...(ex.record.faults ?? []), name]
}

/** Sends a whole answer. A HEAD gets the headers alone. */
export async function send(
  ex: Exchange,
  status: number,
  headers: Headers,
  body: Buffer | string = '',
): Promise<void> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  await discardBody(ex)
  const length: Headers = status === 204 || status === 304 ? {} : { 'content-length': bytes.length }
  ex.res.writeHead(status, { ...length, ...headers })
  if (ex.method !== 'HEAD' && bytes.length > 0 && status !== 304) await writeChunk(ex, bytes)
  ex.res.end()
}

export type StreamLimits = {
  bytesPerSecond?: number | undefined
  /** Hang up after this many body bytes. */
  cutAfterBytes?: number | undefined
}

/** Sends the body piece by piece, at the pace and up to the cut that are asked for. Headers must be written. */
export async function streamBody(
  ex: Exchange,
  chunks: AsyncIterable<Buffer>,
  limits: StreamLimits,
): Promise<void> {
  const startedMs = performance.now()
  let sent = 0
  for await (const chunk of chunks) {
    const left = limits.cutAfterBytes === undefined ? chunk.length : limits.cutAfterBytes - sent
    const piece = left < chunk.length ? chunk.subarray(0, Math.max(0, left)) : chunk
    // Before a piece, not after the last one: the client has all of it then, and would be counted for what it does not do.
    if (limits.bytesPerSecond !== undefined) {
      const dueMs = ((sent + piece.length) / limits.bytesPerSecond) * 1000
      const aheadMs = dueMs - (performance.now() - startedMs)
      if (aheadMs > 1) await delay(aheadMs)
    }
    if (piece.length > 0 && !(await writeChunk(ex, piece))) return
    sent += piece.length
    if (limits.cutAfterBytes !== undefined && sent >= limits.cutAfterBytes) {
      hangUp(ex)
      return
    }
  }
  ex.res.end()
}

export function hangUp(ex: Exchange): void {
  ex.socket.destroy()
}

/** Resolves to false when the client has gone. */
function writeChunk(ex: Exchange, chunk: Buffer): Promise<boolean> {
  const { res } = ex
  if (res.destroyed || res.closed) return Promise.resolve(false)
  return new Promise((resolve) => {
    const gone = () => resolve(false)
    res.once('close', gone)
    res.write(chunk, (error) => {
      res.off('close', gone)
      if (!error) ex.record.bytes += chunk.length
      resolve(!error)
    })
  })
}

/** Reads what is left of the request's body, so that the client gets to read our answer. */
export async function discardBody(ex: Exchange): Promise<void> {
  if (ex.req.readableEnded || ex.req.destroyed) return
  try {
    for await (const chunk of ex.req) ex.record.bytesReceived += (chunk as Buffer).length
  } catch {
    // The client went away while sending: there is nobody to answer.
  }
}

/** The whole body in memory, or undefined when it is longer than allowed or was cut. */
export async function receiveBytes(ex: Exchange, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of ex.req) {
      const piece = chunk as Buffer // no encoding is set on the request, so chunks are buffers
      ex.record.bytesReceived += piece.length
      bytes += piece.length
      if (bytes <= maxBytes) chunks.push(piece)
    }
  } catch {
    return undefined
  }
  return bytes <= maxBytes ? Buffer.concat(chunks) : undefined
}

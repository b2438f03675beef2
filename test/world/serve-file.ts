// Range, conditional requests and ETags as nginx does them (RFC 9110 13 and 14). Shared by all services that give files.
import { createReadStream } from 'node:fs'
import { type Exchange, type Headers, header, type StreamLimits, send, streamBody } from './exchange.ts'

export type FileView = {
  sizeBytes: number
  mtimeMs: number
  contentType: string
  /** Quoted. nginx style unless the service has its own. */
  etag: string
  /** Bytes of the closed interval. */
  read(first: number, last: number): AsyncIterable<Buffer>
}

export function nginxEtag(mtimeMs: number, sizeBytes: number): string {
  return `"${Math.floor(mtimeMs / 1000).toString(16)}-${sizeBytes.toString(16)}"`
}

/** Reads a file on disk with the bytes at `flips` (absolute offsets) altered. */
export async function* readDisk(
  path: string,
  first: number,
  last: number,
  flips: readonly number[] = [],
): AsyncIterable<Buffer> {
  let at = first
  for await (const chunk of createReadStream(path, { start: first, end: last, highWaterMark: 32 * 1024 })) {
    const piece = chunk as Buffer // no encoding is set on the stream, so chunks are buffers
    for (const flip of flips) {
      const inside = flip - at
      if (inside >= 0 && inside < piece.length) piece.writeUInt8(piece.readUInt8(inside) ^ 0xff, inside)
    }
    at += piece.length
    yield piece
  }
}

export async function* readBuffer(bytes: Buffer, first: number, last: number): AsyncIterable<Buffer> {
  yield bytes.subarray(first, last + 1)
}

export type Plan =
  | { hasBody: false; status: 304 | 416; headers: Headers }
  | { hasBody: true; status: 200 | 206; headers: Headers; first: number; last: number }

/** Decides on the answer from the request's conditions and range alone. */
export function planFile(ex: Exchange, view: FileView, extra: Headers = {}): Plan {
  const lastModified = new Date(Math.floor(view.mtimeMs / 1000) * 1000).toUTCString()
  const headers: Headers = {
    'last-modified': lastModified,
    etag: view.etag,
    'accept-ranges': 'bytes',
    ...extra,
  }
  if (isUnchanged(ex, view.etag, view.mtimeMs)) return { hasBody: false, status: 304, headers }
  headers['content-type'] = view.contentType
  const whole: Plan = { hasBody: true, status: 200, headers, first: 0, last: view.sizeBytes - 1 }
  const range = header(ex, 'range')
  if (range === undefined) return whole
  const ifRange = header(ex, 'if-range')
  if (ifRange !== undefined && ifRange !== view.etag && ifRange !== lastModified) return whole
  const asked = parseRange(range, view.sizeBytes)
  if (asked === 'ignore') return whole
  if (asked === 'unsatisfiable') {
    return {
      hasBody: false,
      status: 416,
      headers: { ...headers, 'content-range': `bytes */${view.sizeBytes}` },
    }
  }
  headers['content-range'] = `bytes ${asked.first}-${asked.last}/${view.sizeBytes}`
  return { hasBody: true, status: 206, headers, ...asked }
}

export async function serveFile(
  ex: Exchange,
  view: FileView,
  limits: StreamLimits = {},
  extra: Headers = {},
): Promise<void> {
  const plan = planFile(ex, view, extra)
  if (!plan.hasBody) {
    if (plan.status === 304) return send(ex, 304, plan.headers)
    return send(ex, 416, { ...plan.headers, 'content-type': 'text/html' }, page416)
  }
  ex.res.writeHead(plan.status, { ...plan.headers, 'content-length': plan.last - plan.first + 1 })
  if (ex.method === 'HEAD' || plan.last < plan.first) {
    ex.res.end()
    return
  }
  await streamBody(ex, view.read(plan.first, plan.last), limits)
}

/** True when the client's copy is still good: If-None-Match, or without it If-Modified-Since. */
function isUnchanged(ex: Exchange, etag: string, mtimeMs: number): boolean {
  const noneMatch = header(ex, 'if-none-match')
  if (noneMatch !== undefined) {
    return noneMatch.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag)
  }
  const since = Date.parse(header(ex, 'if-modified-since') ?? '')
  return Number.isFinite(since) && Math.floor(mtimeMs / 1000) * 1000 <= since
}

/** One range; several ranges or another unit are ignored, which the protocol allows. */
export function parseRange(
  text: string,
  sizeBytes: number,
): { first: number; last: number } | 'ignore' | 'unsatisfiable' {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text.trim())
  if (!match) return 'ignore'
  const [, from = '', to = ''] = match
  if (from === '' && to === '') return 'ignore'
  if (from === '') {
    const count = Math.min(Number(to), sizeBytes)
    return count === 0 ? 'unsatisfiable' : { first: sizeBytes - count, last: sizeBytes - 1 }
  }
  const first = Number(from)
  if (first >= sizeBytes) return 'unsatisfiable'
  const last = to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1)
  return last < first ? 'ignore' : { first, last }
}

const page416 =
  '<html>\r\n<head><title>416 Requested Range Not Satisfiable</title></head>\r\n<body>\r\n' +
  '<center><h1>416 Requested Range Not Satisfiable</h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n'

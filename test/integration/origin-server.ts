/** A small HTTP server for the origin tests: each test says what is answered; it counts what it sees. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  count: number,
) => void | Promise<void>

export interface TestServer {
  readonly baseUrl: string
  readonly host: string
  /** `GET /path` with its Range header, and when it came (monotonic ms). */
  readonly requests: {
    readonly path: string
    readonly headers: IncomingMessage['headers']
    readonly atMs: number
  }[]
  /** Most sockets open at one time. */
  socketsMax(): number
  close(): Promise<void>
}

/** `count` of the handler is the number of earlier requests for the same path. */
export async function startServer(handler: Handler): Promise<TestServer> {
  const requests: TestServer['requests'] = []
  let sockets = 0
  let socketsMax = 0
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    const count = requests.filter((one) => one.path === path).length
    requests.push({ path, headers: request.headers, atMs: performance.now() })
    void handler(request, response, count)
  })
  server.on('connection', (socket) => {
    sockets++
    socketsMax = Math.max(socketsMax, sockets)
    socket.on('close', () => {
      sockets--
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    baseUrl: `http://${host}/`,
    host,
    requests,
    socketsMax: () => socketsMax,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Serves one file as nginx does: Range, If-Range, ETag; `cutAfter` body bytes the connection breaks. */
export function serveFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: { bytes: Buffer; etag: string; cutAfter?: number },
): void {
  const { bytes, etag, cutAfter } = file
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')
  const from = range !== null && request.headers['if-range'] === etag ? Number(range[1]) : 0
  const rest = bytes.subarray(from)
  const headers: Record<string, string | number> = {
    etag,
    'content-length': rest.length,
    'accept-ranges': 'bytes',
  }
  if (from > 0) headers['content-range'] = `bytes ${from}-${bytes.length - 1}/${bytes.length}`
  response.writeHead(from > 0 ? 206 : 200, headers)
  if (cutAfter === undefined) response.end(rest)
  else response.write(rest.subarray(0, cutAfter), () => response.destroy())
}

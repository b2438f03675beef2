/**
 * The node's HTTP server: read-only API, health, metrics and the status page. The only file that names fastify. No request
 * changes anything: what is not GET or HEAD is refused before it is read.
 */
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify'
import { createMetrics } from '../observe/metrics.ts'
import type { ReceiptsStatus } from '../observe/receipts-status.ts'
import type { NodeStatus, ShardStatus } from '../observe/status.ts'
import { isAllowedHost } from './hosts.ts'
import {
  ERROR_SCHEMA,
  HEALTH_SCHEMA,
  RECEIPTS_SCHEMA,
  SHARDS_QUERY_SCHEMA,
  SHARDS_SCHEMA,
  STATUS_SCHEMA,
} from './schemas.ts'

export interface HttpOptions {
  /** @default 127.0.0.1 */
  readonly host?: string
  /** 0: the system chooses one. */
  readonly port: number
  /** Host headers that are answered besides the loopback ones, each with a port or for all ports. */
  readonly allowedHosts?: readonly string[]
  readonly status: () => NodeStatus | Promise<NodeStatus>
  readonly shards: () => readonly ShardStatus[]
  readonly receipts: () => Promise<ReceiptsStatus>
  /** Folder of the status page. @default the one of this package */
  readonly webRoot?: string
}

export interface HttpServer {
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

/** Codes of `{error: {code, message}}`. */
export type HttpErrorCode = 'bad-request' | 'unknown-host' | 'not-found' | 'method-not-allowed' | 'internal'

const WEB_ROOT = fileURLToPath(new URL('../../web/status', import.meta.url))
const CONNECTIONS_MAX = 256
const REQUEST_MS_MAX = 10_000
const URL_LENGTH_MAX = 2_048

const SECURITY_HEADERS = {
  // No inline script or style, nothing from elsewhere, no frame around it.
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** Resolves when it listens. Rejects with an Error of one sentence: the port is in use, the address is not ours. */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const host = options.host ?? '127.0.0.1'
  const app = fastify({
    bodyLimit: 1_024,
    connectionTimeout: REQUEST_MS_MAX,
    requestTimeout: REQUEST_MS_MAX,
    keepAliveTimeout: REQUEST_MS_MAX,
    forceCloseConnections: true,
    http: { maxHeaderSize: 8_192 },
    routerOptions: { maxParamLength: 200 },
    clientErrorHandler: refuseMalformed,
  })
  app.server.maxConnections = CONNECTIONS_MAX
  let port = 0
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS)
    if (!isAllowedHost(request.headers.host, { host, port }, options.allowedHosts ?? [])) {
      return refuse(reply, 421, 'unknown-host', 'This server does not answer to that host name.')
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      reply.header('allow', 'GET, HEAD')
      return refuse(reply, 405, 'method-not-allowed', 'Only GET and HEAD are answered.')
    }
    if (request.url.length > URL_LENGTH_MAX)
      return refuse(reply, 400, 'bad-request', 'The address is too long.')
  })
  app.setNotFoundHandler((_request, reply) => refuse(reply, 404, 'not-found', 'There is nothing here.'))
  app.setErrorHandler((error, _request, reply) => {
    const status = statusOf(error)
    if (status >= 400 && status < 500) {
      const detail = error instanceof Error ? error.message : 'The request is malformed.'
      return refuse(reply, status, 'bad-request', detail)
    }
    return refuse(reply, 500, 'internal', 'The answer could not be made.')
  })
  addRoutes(app, options)
  await app.register(fastifyStatic, {
    root: options.webRoot ?? WEB_ROOT,
    dotfiles: 'deny',
    cacheControl: false,
    setHeaders: (reply) => void reply.header('cache-control', 'no-cache'),
  })
  try {
    await app.listen({ host, port: options.port })
  } catch (error) {
    await app.close()
    throw listenError(error, host, options.port)
  }
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a server that listens has a port')
  port = address.port
  return {
    url: `http://${urlHost(host)}:${port}/`,
    port,
    close: () => app.close(),
  }
}

function addRoutes(app: FastifyInstance, { status, shards, receipts }: HttpOptions): void {
  const metrics = createMetrics(status)
  const answers = (schema: object) => ({
    response: { 200: schema, '4xx': ERROR_SCHEMA, '5xx': ERROR_SCHEMA },
  })
  const fresh = (reply: FastifyReply) => reply.header('cache-control', 'no-store')

  app.get('/api/v1/status', { schema: answers(STATUS_SCHEMA) }, async (_request, reply) => {
    fresh(reply)
    return status()
  })
  app.get<{ Querystring: { offset: number; limit: number } }>(
    '/api/v1/shards',
    { schema: { ...answers(SHARDS_SCHEMA), querystring: SHARDS_QUERY_SCHEMA } },
    async (request, reply) => {
      fresh(reply)
      const { offset, limit } = request.query
      const all = shards()
      return { total: all.length, offset, shards: all.slice(offset, offset + limit) }
    },
  )
  app.get('/api/v1/receipts', { schema: answers(RECEIPTS_SCHEMA) }, async (_request, reply) => {
    fresh(reply)
    return receipts()
  })
  app.get('/healthz', { schema: answers(HEALTH_SCHEMA) }, async (_request, reply) => {
    fresh(reply)
    const { version, role, peers } = await status()
    return { ok: true, version, role, peers }
  })
  app.get('/metrics', async (_request, reply) => {
    fresh(reply).type(metrics.contentType)
    return metrics.text()
  })
}

function refuse(reply: FastifyReply, status: number, code: HttpErrorCode, message: string): FastifyReply {
  return reply.code(status).send({ error: { code, message } })
}

function statusOf(error: unknown): number {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  return typeof status === 'number' ? status : 500
}

/** Bytes that are no HTTP request: there is no reply object to answer with. */
function refuseMalformed(
  _error: Error,
  socket: { writable: boolean; end(text: string): void; destroy(): void },
): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = JSON.stringify({ error: { code: 'bad-request', message: 'That is not an HTTP request.' } })
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  )
}

function listenError(error: unknown, host: string, port: number): Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const options = { cause: error }
  if (code === 'EADDRINUSE') return new Error(`HTTP port ${port} is already in use`, options)
  if (code === 'EACCES')
    return new Error(`HTTP port ${port} needs more rights than this process has`, options)
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new Error(`HTTP cannot listen on ${host}: it is no address of this machine`, options)
  }
  return error instanceof Error ? error : new Error(String(error))
}

function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

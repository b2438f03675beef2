/**
 * HttpClient on undici; the only file that names it. No retry, no redirect, no limit: those are decorators. The package is loaded with
 * the first request: it takes 12 MiB, and a node that only holds asks for nothing.
 */
import type { Dispatcher, request } from 'undici'
import { OriginError } from '../ports.ts'
import type { HttpClient, HttpResponse } from './http-client.ts'
import { received } from './received.ts'

export interface ClientOptions {
  readonly userAgent: string
  /** Time to connect, and to get the headers of an answer. */
  readonly requestTimeoutMs: number
  /** Longest silence within a body. */
  readonly bodyTimeoutMs: number
  /** Second guard below the host limiter: sockets of undici's pool per host. */
  readonly connectionsMax: number
  /** Told of every chunk of every body. */
  readonly onBodyBytes: (count: number) => void
}

const HEADER_LENGTH_MAX = 1_000
/** A rest this small is read to its end, so that the connection can be used again. */
const DRAIN_BYTES_MAX = 16 * 1024

type Answer = Dispatcher.ResponseData

interface Sender {
  readonly agent: Dispatcher
  readonly send: typeof request
}

export function createClient(options: ClientOptions): HttpClient {
  let sender: Promise<Sender> | null = null
  return {
    async get(url, request, use) {
      const signal = request.signal
      sender ??= load(options)
      const { agent, send } = await sender
      const answer = await send(url, {
        dispatcher: agent,
        method: request.method ?? 'GET',
        // Identity: a length or a range must speak of the file's own bytes.
        headers: { 'user-agent': options.userAgent, 'accept-encoding': 'identity', ...request.headers },
        ...(signal === undefined ? {} : { signal }),
      }).catch((error: unknown) => {
        throw wireError(error, url, signal)
      })
      try {
        return await use(responseOf(answer, url, signal, options.onBodyBytes))
      } finally {
        await letGo(answer, request.method === 'HEAD', options.requestTimeoutMs)
      }
    },
    close: async () => (await sender)?.agent.destroy(),
  }
}

async function load(options: ClientOptions): Promise<Sender> {
  const { Agent, request: send } = await import('undici')
  const agent = new Agent({
    connections: options.connectionsMax,
    pipelining: 1,
    allowH2: false,
    connect: { timeout: options.requestTimeoutMs },
    headersTimeout: options.requestTimeoutMs,
    bodyTimeout: options.bodyTimeoutMs,
  })
  return { agent, send }
}

function responseOf(
  answer: Answer,
  url: URL,
  signal: AbortSignal | undefined,
  onBodyBytes: (count: number) => void,
): HttpResponse {
  const chunks = received(answer.body, onBodyBytes)
  return {
    status: answer.statusCode,
    header: (name) => headerOf(answer, name),
    body: (async function* () {
      try {
        yield* chunks
      } catch (error) {
        throw wireError(error, url, signal)
      }
    })(),
  }
}

function headerOf(answer: Answer, name: string): string | null {
  const value = answer.headers[name]
  return typeof value === 'string' ? value.slice(0, HEADER_LENGTH_MAX) : null
}

async function letGo(answer: Answer, isHead: boolean, timeoutMs: number): Promise<void> {
  if (answer.body.readableEnded || answer.body.destroyed) return
  // The length of a HEAD's answer speaks of bytes that do not come.
  const length = isHead ? '0' : headerOf(answer, 'content-length')
  if (length === null || Number(length) > DRAIN_BYTES_MAX) {
    answer.body.destroy()
    return
  }
  // What is dropped here is an error page: that it could not be read to its end changes nothing.
  await answer.body
    .dump({ limit: DRAIN_BYTES_MAX, signal: AbortSignal.timeout(timeoutMs) })
    .catch(() => answer.body.destroy())
}

function wireError(error: unknown, url: URL, signal: AbortSignal | undefined): unknown {
  if (error instanceof OriginError) return error
  if (signal?.aborted === true) return new OriginError('aborted', `${url}: stopped`, { cause: error })
  const reason = error instanceof Error ? error.message || error.name : String(error)
  return new OriginError('network', `${url}: ${reason}`, { cause: error })
}

/** Requests over libp2p streams: one length-prefixed message each way, bounded in size, time and number. */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import type { FederationId, NodeId } from '../../protocol/ids.ts'
import { STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import type { Log, Peer, RequestHandler, RequestProtocol } from '../ports.ts'
import { protocolName } from './names.ts'
import { isDirect } from './relayed.ts'
import { RequestError } from './request-error.ts'
import { OPEN_REQUESTS_PER_PEER_MAX, type RequestLimit } from './request-limit.ts'
import { checkMessageSize } from './rules.ts'

/** A request is at most 1 MiB and comes at once. */
const READ_TIMEOUT_MS = 15_000
/** From the first byte of a request to the last of its answer. */
const ANSWER_TIMEOUT_MS = 60_000
/** How long an answered stream waits for the other side to close it. */
const LINGER_MS = 5_000
/** The buffer holds the length prefix as well. */
const STREAM_OPTIONS = {
  maxDataLength: STREAM_MESSAGE_BYTES_MAX,
  maxBufferSize: STREAM_MESSAGE_BYTES_MAX + 64,
}

export interface RequestStreamsOptions {
  readonly libp2p: Libp2p
  /** An open connection to that node, made if there is none. */
  readonly connectionTo: (nodeId: NodeId, signal: AbortSignal) => Promise<Connection>
  readonly federationId: FederationId
  readonly limit: RequestLimit
  /** Who is at the other end; null for somebody we do not talk to. */
  readonly peerOf: (connection: Connection) => Peer | null
  readonly log: Log
}

export class RequestStreams {
  readonly #options: RequestStreamsOptions

  constructor(options: RequestStreamsOptions) {
    this.#options = options
  }

  async handle(protocol: RequestProtocol, handler: RequestHandler): Promise<void> {
    const name = protocolName(this.#options.federationId, protocol)
    await this.#options.libp2p.handle(
      name,
      (stream, connection) => this.#answer(protocol, handler, stream, connection),
      { maxInboundStreams: OPEN_REQUESTS_PER_PEER_MAX * 2, runOnLimitedConnection: true },
    )
  }

  async request(
    to: NodeId,
    protocol: RequestProtocol,
    request: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    checkMessageSize(request)
    const signal = AbortSignal.timeout(timeoutMs)
    const connection = await this.#connectionTo(to, signal)
    try {
      return await this.#ask(connection, to, protocol, request, signal)
    } catch (error) {
      // Through a relay it ends under the request when a direct one took its place: asked once more.
      if (signal.aborted || connection.status === 'open' || isDirect(connection)) throw error
      return this.#ask(await this.#connectionTo(to, signal), to, protocol, request, signal)
    }
  }

  async #connectionTo(to: NodeId, signal: AbortSignal): Promise<Connection> {
    try {
      return await this.#options.connectionTo(to, signal)
    } catch (error) {
      throw new RequestError(signal.aborted ? 'timed-out' : 'unreachable', `${to} cannot be reached`, {
        cause: error,
      })
    }
  }

  async #ask(
    connection: Connection,
    to: NodeId,
    protocol: RequestProtocol,
    request: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const name = protocolName(this.#options.federationId, protocol)
    let stream: Stream | null = null
    try {
      stream = await connection.newStream(name, { signal, runOnLimitedConnection: true })
      const messages = lpStream(stream, { ...STREAM_OPTIONS })
      await messages.write(request, { signal })
      // Half-closed at once: the other side then knows that nothing more comes, and can close as it answers.
      await stream.close({ signal })
      return new Uint8Array((await messages.read({ signal })).subarray())
    } catch (error) {
      stream?.abort(asError(error))
      throw requestError(error, signal, `${protocol} request to ${to}`)
    }
  }

  async #answer(protocol: RequestProtocol, handler: RequestHandler, stream: Stream, connection: Connection) {
    // Attached before anything is awaited: data that came earlier is lost otherwise.
    const messages = lpStream(stream, { ...STREAM_OPTIONS })
    const peer = this.#options.peerOf(connection)
    const leave = peer === null ? null : this.#options.limit.enter(peer.nodeId)
    if (peer === null || leave === null) {
      stream.abort(new Error('too many requests'))
      return
    }
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
    try {
      const readSignal = AbortSignal.any([signal, AbortSignal.timeout(READ_TIMEOUT_MS)])
      const request = new Uint8Array((await messages.read({ signal: readSignal })).subarray())
      const answer = await withSignal(handler(request, peer), signal)
      checkMessageSize(answer)
      await messages.write(answer, { signal })
      await stream.close({ signal })
      abortUnlessClosed(stream)
    } catch (error) {
      this.#options.log.debug({ error, protocol, from: peer.nodeId }, 'a request was not answered')
      stream.abort(asError(error))
    } finally {
      leave()
    }
  }
}

/** Ours is closed; a peer that never closes its half does not keep the stream. */
function abortUnlessClosed(stream: Stream): void {
  if (stream.status !== 'open') return
  const timer = setTimeout(() => stream.abort(new Error('not closed by the other side')), LINGER_MS)
  timer.unref()
  stream.addEventListener('close', () => clearTimeout(timer), { once: true })
}

function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(asError(signal.reason))
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function requestError(error: unknown, signal: AbortSignal, what: string): RequestError {
  const name = error instanceof Error ? error.name : ''
  if (signal.aborted) return new RequestError('timed-out', `${what} timed out`, { cause: error })
  if (name === 'UnsupportedProtocolError')
    return new RequestError('unsupported', `${what}: unknown there`, { cause: error })
  if (name === 'InvalidDataLengthError' || name === 'InvalidDataLengthLengthError') {
    return new RequestError('too-large', `${what}: the answer is too large`, { cause: error })
  }
  return new RequestError('refused', `${what} was not answered`, { cause: error })
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

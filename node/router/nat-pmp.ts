/** Ports mapped by NAT-PMP (RFC 6886): a few bytes of UDP to the default gateway, no more than two datagrams wait at once. */
import { createSocket, type Socket } from 'node:dgram'
import { type OwnPort, type PortMapping, type Router, RouterError } from '../ports.ts'
import { reasonOf } from './reason.ts'

export interface NatPmpOptions {
  /** IPv4 of the router, looked up at each try: a laptop moves. null: it is not known. */
  readonly gateway: () => Promise<string | null>
  /** @default 5351 */
  readonly port?: number
  /** The first wait; each further one is twice as long (RFC 6886 3.1). @default 250 */
  readonly firstWaitMs?: number
}

const PORT = 5_351
const FIRST_WAIT_MS = 250
/** RFC 6886 has nine, 64 s in all; with five who does not answer within 8 s is taken to be none. */
const TRIES = 5
/** RFC 6886 recommends two hours. Shorter, so that a router forgets soon who was killed. */
const LIFETIME_SECONDS = 3_600
const VERSION = 0
const OP_ADDRESS = 0
const OPS = { udp: 1, tcp: 2 } as const
const ANSWER_BIT = 128
const ADDRESS_BYTES = 12
const MAP_BYTES = 16

/** RFC 6886 3.5 */
const RESULTS: Readonly<Record<number, string>> = {
  1: 'it speaks another version, perhaps PCP only',
  2: 'it is switched off or does not allow it',
  3: 'it has no outside address now',
  4: 'it has no room for more mappings',
  5: 'it does not know the request',
}

export class NatPmpRouter implements Router {
  readonly name = 'NAT-PMP'
  readonly #options: NatPmpOptions

  constructor(options: NatPmpOptions) {
    this.#options = options
  }

  map(
    { protocol, port: internalPort }: OwnPort,
    { externalPort = internalPort, signal }: { externalPort?: number; signal: AbortSignal },
  ): Promise<PortMapping> {
    return this.#talk(signal, async (ask) => {
      const address = await ask(Buffer.from([VERSION, OP_ADDRESS]), ADDRESS_BYTES)
      const answer = await ask(mapRequest(protocol, internalPort, externalPort, LIFETIME_SECONDS), MAP_BYTES)
      const lifetimeSeconds = answer.readUInt32BE(12)
      const given = answer.readUInt16BE(10)
      if (answer.readUInt16BE(8) !== internalPort || given === 0 || lifetimeSeconds === 0)
        throw new RouterError('malformed', 'the router answered for another port')
      return {
        protocol,
        internalPort,
        externalHost: [...address.subarray(8, 12)].join('.'),
        externalPort: given,
        lifetimeMs: lifetimeSeconds * 1_000,
      }
    })
  }

  /** RFC 6886 3.4: a lifetime and an outside port of zero. */
  unmap({ protocol, internalPort }: PortMapping, signal: AbortSignal): Promise<void> {
    return this.#talk(signal, async (ask) => {
      await ask(mapRequest(protocol, internalPort, 0, 0), MAP_BYTES)
    })
  }

  async #talk<T>(
    signal: AbortSignal,
    talk: (ask: (request: Buffer, bytes: number) => Promise<Buffer>) => Promise<T>,
  ): Promise<T> {
    const { gateway, port = PORT, firstWaitMs = FIRST_WAIT_MS } = this.#options
    const host = await gateway()
    if (host === null) throw new RouterError('absent', 'the default gateway is not known')
    const socket = createSocket('udp4')
    try {
      // Connected: datagrams of others do not come in, and a closed port is an error at once.
      await connected(socket, port, host)
      return await talk((request, bytes) => ask(socket, request, bytes, { host, firstWaitMs, signal }))
    } finally {
      socket.close()
    }
  }
}

function mapRequest(
  protocol: OwnPort['protocol'],
  internalPort: number,
  externalPort: number,
  seconds: number,
): Buffer {
  const request = Buffer.alloc(12)
  request.writeUInt8(VERSION, 0)
  request.writeUInt8(OPS[protocol], 1)
  request.writeUInt16BE(internalPort, 4)
  request.writeUInt16BE(externalPort, 6)
  request.writeUInt32BE(seconds, 8)
  return request
}

function connected(socket: Socket, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => reject(new RouterError('absent', `${host}: ${reasonOf(error)}`))
    socket.once('error', failed)
    socket.connect(port, host, () => {
      socket.off('error', failed)
      resolve()
    })
  })
}

interface AskOptions {
  readonly host: string
  readonly firstWaitMs: number
  readonly signal: AbortSignal
}

/** Sends until an answer to this very request came: then its first `bytes` bytes. */
function ask(socket: Socket, request: Buffer, bytes: number, options: AskOptions): Promise<Buffer> {
  const { host, firstWaitMs, signal } = options
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  let tries = 0
  let timer: NodeJS.Timeout | undefined
  const send = () => {
    if (tries === TRIES) return reject(new RouterError('absent', `${host} does not answer`))
    socket.send(request)
    timer = setTimeout(send, firstWaitMs * 2 ** tries++)
  }
  const hear = (answer: Buffer) => {
    // Versions of PCP answer with their own number (RFC 6887 9).
    if (answer.length < 4 || answer[1] !== (request[1] ?? 0) + ANSWER_BIT) return
    const result = answer.readUInt16BE(2)
    if (answer[0] !== VERSION || result !== 0)
      reject(new RouterError('refused', `${host}: ${RESULTS[answer[0] === VERSION ? result : 1] ?? result}`))
    else if (answer.length >= bytes) resolve(answer.subarray(0, bytes))
  }
  const fail = (error: Error) => reject(new RouterError('absent', `${host}: ${reasonOf(error)}`))
  const abort = () => reject(signal.reason)
  if (signal.aborted) abort()
  else send()
  socket.on('message', hear)
  socket.on('error', fail)
  signal.addEventListener('abort', abort)
  return promise.finally(() => {
    clearTimeout(timer)
    socket.off('message', hear)
    socket.off('error', fail)
    signal.removeEventListener('abort', abort)
  })
}

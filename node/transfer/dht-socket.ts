/**
 * The socket of the DHT's package: a UDP socket that lets through only what `krpc` understood, only so much of it, and only from
 * and to addresses that may be called. Answers pass only when they were asked for, so nobody gets into the table unasked.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import type { DhtAddresses } from './dht-addresses.ts'
import { isQuery, KRPC_BYTES_MAX, type Krpc, readerQuery, readKrpc, trimKrpc } from './krpc.ts'
import { isPrivateHost } from './told-hosts.ts'

export interface DhtSocketOptions {
  readonly host: string
  /** 0 = the system chooses. */
  readonly port: number
  readonly addresses: DhtAddresses
  /** Whether an address may be sent to, and named to us. */
  readonly mayReach: (host: string) => boolean
  /** Nobody is answered, and those who are asked are told so. */
  readonly isReader: boolean
  /** Somebody asked us something; called a few times a second at most. */
  readonly onAsker: (node: { host: string; port: number }) => void
}

/** A second, of all who ask. */
const QUERIES_MAX = 100
/** A second, of one machine. */
const QUERIES_PER_ADDRESS_MAX = 20
/** A second, told as askers. */
const ASKERS_MAX = 5
/** The package waits 2 to 2.5 s for an answer. */
const ANSWER_MS_MAX = 4_000
const ASKED_MAX = 1_000

export class DhtSocket extends EventEmitter {
  readonly #options: DhtSocketOptions
  readonly #socket: Socket
  /** Queries of ours that wait for an answer, by whom. */
  readonly #asked = new Map<string, { count: number; atMs: number }>()
  /** What strangers sent in this second. */
  #queries = new Map<string, number>()
  #queryCount = 0
  #askerCount = 0
  #secondMs = 0
  #isClosed = false

  /** Rejects with the system's error. */
  static async open(options: DhtSocketOptions): Promise<DhtSocket> {
    const isIpv6 = options.addresses.family === 'ipv6'
    const socket = createSocket({ type: isIpv6 ? 'udp6' : 'udp4', ipv6Only: isIpv6 })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind(options.port, options.host, () => {
        socket.off('error', reject)
        resolve()
      })
    })
    return new DhtSocket(socket, options)
  }

  private constructor(socket: Socket, options: DhtSocketOptions) {
    super()
    this.#socket = socket
    this.#options = options
    socket.on('message', (bytes, from) => this.#take(bytes, from))
    socket.on('error', (error) => this.emit('error', error))
    socket.on('close', () => this.emit('close'))
  }

  address(): { address: string; port: number } {
    return this.#socket.address()
  }

  /** As of node:dgram, which is how the package calls it. */
  send(
    bytes: Uint8Array,
    _offset: number,
    _length: number,
    port: number,
    innerHost: string,
    done: (error: Error | null) => void,
  ): void {
    const { addresses, mayReach } = this.#options
    const host = addresses.outer(innerHost)
    // The package sends a little more while it stops.
    if (this.#isClosed || port < 1 || port > 65_535 || host === null || !mayReach(host)) {
      done(null)
      return
    }
    const isAsking = isQuery(bytes)
    if (isAsking) this.#willAnswer(`${host}:${port}`)
    const isReading = isAsking && this.#options.isReader
    this.#socket.send(isReading ? readerQuery(bytes) : trimKrpc(bytes, addresses), port, host, done)
  }

  close(): void {
    this.#isClosed = true
    this.#socket.close()
  }

  #take(bytes: Buffer, from: RemoteInfo): void {
    const endpoint = `${from.address}:${from.port}`
    const isAsked = this.#isAsked(endpoint)
    // Whoever was not asked is counted before a byte is read.
    if (from.port === 0 || bytes.length > KRPC_BYTES_MAX || (!isAsked && !this.#mayAsk(from))) return
    const { addresses, mayReach } = this.#options
    const krpc = mayReach(from.address) ? readKrpc(bytes, mayReach, addresses) : null
    if (krpc?.kind === 'query') {
      if (isAsked && !this.#mayAsk(from)) return
      this.#emit(krpc, from)
      if (!isAsked && krpc.isReader !== true && this.#askerCount++ < ASKERS_MAX)
        this.#options.onAsker({ host: from.address, port: from.port })
      return
    }
    if (!isAsked) return
    this.#hasAnswered(endpoint)
    if (krpc !== null) this.#emit(krpc, from)
  }

  #emit({ bytes }: Krpc, { port, ...from }: RemoteInfo): void {
    const address = this.#options.addresses.inner(from.address)
    if (address !== null) this.emit('message', Buffer.from(bytes), { address, port })
  }

  /** Counts a query against this second. */
  #mayAsk({ address, port }: RemoteInfo): boolean {
    if (this.#options.isReader) return false
    const nowMs = performance.now()
    if (nowMs - this.#secondMs >= 1_000) {
      this.#secondMs = nowMs
      this.#queries = new Map()
      this.#queryCount = 0
      this.#askerCount = 0
    }
    if (this.#queryCount >= QUERIES_MAX) return false
    // On one's own machine or network several nodes share an address.
    const key = isPrivateHost(address) ? `${address}:${port}` : this.#options.addresses.machineOf(address)
    const count = (this.#queries.get(key) ?? 0) + 1
    if (count > QUERIES_PER_ADDRESS_MAX) return false
    this.#queries.set(key, count)
    this.#queryCount++
    return true
  }

  #willAnswer(endpoint: string): void {
    const count = this.#isAsked(endpoint) ? (this.#asked.get(endpoint)?.count ?? 0) : 0
    this.#asked.set(endpoint, { count: count + 1, atMs: performance.now() })
    if (this.#asked.size > ASKED_MAX) for (const one of this.#asked.keys()) this.#isAsked(one)
  }

  /** Forgets who did not answer in time. */
  #isAsked(endpoint: string): boolean {
    const asked = this.#asked.get(endpoint)
    if (asked === undefined) return false
    if (performance.now() - asked.atMs <= ANSWER_MS_MAX) return true
    this.#asked.delete(endpoint)
    return false
  }

  #hasAnswered(endpoint: string): void {
    const asked = this.#asked.get(endpoint)
    if (asked !== undefined && --asked.count <= 0) this.#asked.delete(endpoint)
  }
}

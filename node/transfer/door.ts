/**
 * Takes incoming BitTorrent connections before the engine's package sees them: reads the handshake (BEP 3: 68 bytes) within a
 * deadline, finds out which torrent is meant, has it woken, and hands the connection on with its bytes put back. A caller that
 * is slow, says something else or asks for what is not here costs a socket and 68 bytes, and is gone; an address that
 * goes on so is not listened to for a while.
 */
import type { Server, Socket } from 'node:net'
import type { Infohash } from '../../protocol/ids.ts'

export interface DoorOptions {
  /** Resolves true when the torrent runs and takes connections; false or a rejection: the caller is dropped. */
  readonly wake: (infohash: Infohash) => Promise<boolean>
  /** Gets the connection, paused, the handshake still to be read. */
  readonly admit: (socket: Socket, infohash: Infohash) => void
  /** The whole handshake must have come by then. @default 10 s */
  readonly handshakeMs?: number
  /** Callers whose handshake is not whole; above it the oldest goes. @default 512 */
  readonly waitingMax?: number
  /** Connections from one address, or one /64 of IPv6. @default 512 */
  readonly perAddressMax?: number
  /** Of all together; above it the oldest of the address that has most goes. @default 1000 */
  readonly openMax?: number
  /** Calls for nothing that an address has left in advance; each comes back after `forgiveMs`. @default 256 */
  readonly wastedMax?: number
  /** @default 0.5 s */
  readonly forgiveMs?: number
}

export const HANDSHAKE_BYTES = 68
const PROTOCOL = Buffer.from('\x13BitTorrent protocol', 'latin1')
const INFOHASH_AT = PROTOCOL.length + 8
/** Addresses whose wasted calls are counted; above it the longest known is forgiven. */
const ADDRESSES_MAX = 10_000
const DEFAULTS = {
  handshakeMs: 10_000,
  waitingMax: 512,
  perAddressMax: 512,
  openMax: 1_000,
  wastedMax: 256,
  forgiveMs: 500,
}

export class Door {
  readonly #options: Required<DoorOptions>
  /** Whose handshake is not whole yet, the oldest first. */
  readonly #waiting = new Set<Socket>()
  /** All that came in and are open, by address, the oldest first. */
  readonly #byAddress = new Map<string, Set<Socket>>()
  /** Monotonic ms at which all that an address wasted is forgiven. */
  readonly #forgivenAtMs = new Map<string, number>()
  #openCount = 0
  #closed = false

  constructor(server: Server, options: DoorOptions) {
    this.#options = { ...DEFAULTS, ...options }
    server.on('connection', (socket) => this.#arrive(socket))
  }

  /** Hangs up on everybody; nobody is let in any more. */
  close(): void {
    this.#closed = true
    for (const sockets of this.#byAddress.values()) for (const socket of sockets) socket.destroy()
  }

  #arrive(socket: Socket): void {
    socket.on('error', () => {}) // a caller's broken connection is no event; its close is
    const address = networkOf(socket.remoteAddress ?? '')
    const sockets = this.#byAddress.get(address) ?? new Set<Socket>()
    const isRefused = sockets.size >= this.#options.perAddressMax || this.#hasWasted(address)
    if (this.#closed || address === '' || isRefused) {
      socket.destroy()
      return
    }
    this.#byAddress.set(address, sockets.add(socket))
    this.#openCount++
    socket.once('close', () => {
      this.#openCount--
      sockets.delete(socket)
      if (sockets.size === 0 && this.#byAddress.get(address) === sockets) this.#byAddress.delete(address)
    })
    if (this.#openCount > this.#options.openMax) this.#oldestOfMost()?.destroy()
    socket.setNoDelay(true)
    this.#wait(socket, () => this.#waste(address))
  }

  #hasWasted(address: string): boolean {
    const { wastedMax, forgiveMs } = this.#options
    const leftMs = (this.#forgivenAtMs.get(address) ?? 0) - performance.now()
    if (leftMs <= 0) this.#forgivenAtMs.delete(address)
    return leftMs > wastedMax * forgiveMs
  }

  /** One more call of this address was for nothing. */
  #waste(address: string): void {
    const atMs = Math.max(this.#forgivenAtMs.get(address) ?? 0, performance.now()) + this.#options.forgiveMs
    this.#forgivenAtMs.delete(address)
    this.#forgivenAtMs.set(address, atMs)
    const [oldest] = this.#forgivenAtMs.keys()
    if (this.#forgivenAtMs.size > ADDRESSES_MAX && oldest !== undefined) this.#forgivenAtMs.delete(oldest)
  }

  /** Whoever has many connections loses one before somebody who has a few. */
  #oldestOfMost(): Socket | undefined {
    let most = new Set<Socket>()
    for (const sockets of this.#byAddress.values()) if (sockets.size > most.size) most = sockets
    const [oldest] = [...most].filter((socket) => !socket.destroyed)
    return oldest
  }

  /** `onWasted`: it went before it said whom it wants, or wants nobody who is here. */
  #wait(socket: Socket, onWasted: () => void): void {
    this.#waiting.add(socket)
    if (this.#waiting.size > this.#options.waitingMax) {
      const [oldest] = this.#waiting
      oldest?.destroy()
    }
    const deadline = setTimeout(() => socket.destroy(), this.#options.handshakeMs)
    const stop = () => {
      clearTimeout(deadline)
      this.#waiting.delete(socket)
      socket.off('readable', look)
      socket.off('close', close)
      socket.off('end', hangUp)
    }
    const hangUp = () => socket.destroy()
    const close = () => {
      stop()
      if (!this.#closed) onWasted()
    }
    const look = () => {
      // More than these bytes stay in the socket's own bounded buffer.
      const handshake: Buffer | null = socket.read(HANDSHAKE_BYTES)
      if (handshake === null) return
      stop()
      const infohash = infohashIn(handshake)
      if (infohash === null) {
        onWasted()
        socket.destroy()
      } else void this.#admit(socket, handshake, infohash, onWasted)
    }
    socket.on('readable', look)
    socket.on('close', close)
    socket.on('end', hangUp)
  }

  async #admit(socket: Socket, handshake: Buffer, infohash: Infohash, onWasted: () => void): Promise<void> {
    const isAwake = await this.#options.wake(infohash).catch(() => null)
    if (isAwake === false) onWasted()
    if (!isAwake || this.#closed || socket.destroyed) {
      socket.destroy()
      return
    }
    socket.once('hostile', onWasted) // torrent-transfer.ts
    socket.unshift(handshake)
    this.#options.admit(socket, infohash)
  }
}

/** Null when these bytes do not begin a plain BitTorrent connection. */
function infohashIn(handshake: Buffer): Infohash | null {
  if (!handshake.subarray(0, PROTOCOL.length).equals(PROTOCOL)) return null
  return handshake.toString('hex', INFOHASH_AT, INFOHASH_AT + 20) as Infohash
}

/** One household of IPv6 has a /64 of addresses. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address
  const [head = '', tail = ''] = address.split('%')[0]?.split('::') ?? []
  const left = head.split(':').filter((group) => group !== '')
  const right = tail.split(':').filter((group) => group !== '')
  const zeros: string[] = Array(Math.max(0, 8 - left.length - right.length)).fill('0')
  return [...left, ...zeros, ...right].slice(0, 4).join(':')
}

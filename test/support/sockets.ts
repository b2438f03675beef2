/** The TCP connections on loopback that this process makes and takes, seen from below all libraries. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { networkInterfaces } from 'node:os'

/** Client and server sides of each connection, when both are of this process. */
export class Sockets {
  readonly #open = new Set<Socket>()
  #closedBytes = 0
  readonly #take = (message: unknown) => {
    const { socket } = message as { socket: Socket }
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
      this.#closedBytes += socket.bytesRead
    })
  }

  constructor() {
    subscribe('net.client.socket', this.#take)
    subscribe('net.server.socket', this.#take)
  }

  /** Received by both sides of all connections since the start. */
  get receivedBytes(): number {
    let sum = this.#closedBytes
    for (const socket of this.#open) sum += socket.bytesRead
    return sum
  }

  get count(): number {
    return this.#open.size
  }

  /** Every connection breaks, without a word to either side; `port`: those of a listener there only. */
  cut(port?: number): void {
    for (const socket of this.#open) {
      if (port === undefined || socket.localPort === port || socket.remotePort === port)
        socket.resetAndDestroy()
    }
  }

  close(): void {
    unsubscribe('net.client.socket', this.#take)
    unsubscribe('net.server.socket', this.#take)
  }
}

/** Whether this machine has ::1. */
export const hasIpv6 = Object.values(networkInterfaces()).some((one) =>
  one?.some(({ address }) => address === '::1'),
)

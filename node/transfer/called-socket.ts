/**
 * The connection to a peer that we call. It reads into one buffer that is used again, and once the peer's wire stands gives what
 * came straight to it: by way of the package's streams each 64 KiB would be a buffer for the collector and several turns of them.
 */
import { Socket } from 'node:net'
import type { WireInput } from './wire-input.ts'

const READ_BYTES = 256 * 1024
const CONNECT_MS = 5_000

/** Not connected. In the shape of a WebRTC connection, which the package takes from outside. */
export class CalledSocket extends Socket {
  /** `host:port`, by which the package knows the peer. */
  readonly id: string
  /** Read by the package, which waits for the event when it is not. */
  readonly connected = false
  #input: WireInput | null = null
  /** What went by way of the streams. */
  #pipedBytes = 0

  constructor(address: string) {
    super({
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BYTES),
        callback: (length, buffer) => this.#read(buffer.subarray(0, length)),
      },
    })
    this.id = address
  }

  /** A call that nobody takes ends with an error. */
  call(): void {
    const colon = this.id.lastIndexOf(':')
    const host = this.id.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
    const late = setTimeout(() => this.destroy(new Error(`no answer from ${this.id}`)), CONNECT_MS)
    for (const event of ['connect', 'close']) this.once(event, () => clearTimeout(late))
    this.connect({ host, port: Number(this.id.slice(colon + 1)) })
  }

  /** From now on `input` takes what comes, once it has what is on its way through the streams. */
  giveTo(input: WireInput): void {
    this.#input = input
  }

  /** False: no more for now. */
  #read(bytes: Uint8Array): boolean {
    if (this.#input !== null && this.#input.arrivedBytes === this.#pipedBytes) {
      this.#input.take(bytes)
      return true
    }
    this.#pipedBytes += bytes.length
    return this.push(Buffer.from(bytes))
  }
}

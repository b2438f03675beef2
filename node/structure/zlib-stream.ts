/** Node's streaming decoders, driven chunk by chunk: how much was taken, and whether the stream has come to its end. */
import type { Transform } from 'node:stream'
import type { Sink } from './finding.ts'

/** What node:zlib makes, as far as it is used here. */
export interface ZlibTransform extends Transform {
  readonly bytesWritten: number
}

export class ZlibStream {
  readonly #transform: ZlibTransform
  readonly #ended = Promise.withResolvers<void>()
  #failure: unknown = null

  /** `give` gets the output as it comes. */
  constructor(transform: ZlibTransform, give: Sink) {
    this.#transform = transform
    // An error within `give` ends the stream as one of the decoder does.
    transform.on('data', (bytes: Uint8Array) => {
      try {
        give(bytes)
      } catch (error) {
        transform.destroy(error as Error)
      }
    })
    transform.once('end', () => this.#ended.resolve())
    transform.once('error', (error) => {
      this.#failure = error
      this.#ended.reject(error)
    })
    this.#ended.promise.catch(() => {})
  }

  /** Bytes taken; less than all: the stream ended there, and `finished` waits for the rest of the output. Rejects with zlib's error. */
  async write(bytes: Uint8Array): Promise<number> {
    if (this.#failure !== null) throw this.#failure
    const before = this.#transform.bytesWritten
    const written = Promise.withResolvers<void>()
    this.#transform.write(bytes, (error) => (error ? written.reject(error) : written.resolve()))
    // A decoder that is destroyed answers by its error only.
    await Promise.race([written.promise, this.#ended.promise])
    if (this.#failure !== null) throw this.#failure
    return this.#transform.bytesWritten - before
  }

  async finished(): Promise<void> {
    await this.#ended.promise
  }

  close(): void {
    this.#transform.destroy()
  }
}

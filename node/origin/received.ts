/**
 * The chunks of a stream, none lost: a plain `for await` throws away what is buffered when the connection breaks, and those
 * bytes would be asked for a second time. Here everything received is handed over first, then the error is thrown.
 */
import type { Readable } from 'node:stream'

/** Above this the stream is paused until half of it is used. */
const QUEUE_BYTES_MAX = 256 * 1024

/** Begins to read at once; iterate once. */
export function received(stream: Readable, onChunk: (count: number) => void): AsyncIterable<Uint8Array> {
  const queue: Uint8Array[] = []
  let queuedBytes = 0
  const state: { outcome: { readonly error: unknown } | 'ended' | null } = { outcome: null }
  let wake = (): void => undefined
  const end = (outcome: { readonly error: unknown } | 'ended'): void => {
    state.outcome ??= outcome
    wake()
  }
  stream.on('data', (chunk: Uint8Array) => {
    onChunk(chunk.length)
    queue.push(chunk)
    queuedBytes += chunk.length
    if (queuedBytes > QUEUE_BYTES_MAX) stream.pause()
    wake()
  })
  stream.on('end', () => end('ended'))
  stream.on('error', (error) => end({ error }))
  stream.on('close', () => end({ error: new Error('the connection was closed') }))

  return (async function* () {
    for (;;) {
      const chunk = queue.shift()
      if (chunk !== undefined) {
        queuedBytes -= chunk.length
        if (stream.isPaused() && queuedBytes <= QUEUE_BYTES_MAX / 2) stream.resume()
        yield chunk
      } else if (state.outcome === 'ended') return
      else if (state.outcome !== null) throw state.outcome.error
      else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  })()
}

/**
 * Cuts what a socket gives into messages without copying it: the package joins what is left of one packet with the whole of the
 * next, 80 KiB for each 64. Here only a message that lies in two packets is put together.
 */
import type { Wire } from './wire.ts'

/** `messageBytesMax`: the wire waits for no more than this, unless it is at its end. */
export function cutMessages(wire: Wire, messageBytesMax: number): void {
  let started: Buffer | null = null
  let filledBytes = 0

  const give = (bytes: Uint8Array) => {
    wire._buffer = [bytes]
    wire._bufferSize = bytes.length
    wire._processBuffer()
  }
  /** What did not make a message begins one. */
  const keep = (rest: Uint8Array) => {
    wire._buffer = []
    wire._bufferSize = 0
    if (rest.length === 0 || wire._parserSize > messageBytesMax) return
    started = Buffer.allocUnsafeSlow(wire._parserSize)
    started.set(rest)
    filledBytes = rest.length
  }

  wire._write = (data, callback) => {
    let rest = data
    // From before this function was asked to.
    if (wire._bufferSize > 0) {
      rest = Buffer.concat([...wire._buffer, data])
      wire._bufferSize = 0
    }
    if (started !== null) {
      const taken = Math.min(started.length - filledBytes, rest.length)
      started.set(rest.subarray(0, taken), filledBytes)
      filledBytes += taken
      rest = rest.subarray(taken)
      if (filledBytes === started.length) {
        const whole = started
        started = null
        give(whole)
      }
    }
    if (started === null && rest.length > 0) {
      give(rest)
      keep(wire._bufferSize === 0 ? new Uint8Array() : (wire._buffer[0] ?? new Uint8Array()))
    }
    callback(null)
  }
}

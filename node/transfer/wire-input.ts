/**
 * Cuts what a socket gives into messages without copying it: the package joins what is left of one packet with the whole of the
 * next, 80 KiB for each 64. Here only a message that lies in two packets is put together.
 */
import type { Wire } from './wire.ts'

const HANDSHAKE_BYTES = 68
const LENGTH_BYTES = 4
/** Number of the message that holds a block (BEP 3). */
const PIECE = 7
/** A message up to this length is put together in a buffer that stays: a block of 16 KiB with its head. */
const KEPT_BYTES_MAX = 16 * 1024 + 9

export interface WireInput {
  /** Bytes of the connection that the wire has got by way of its stream. */
  readonly arrivedBytes: number
  /** What comes next, which may change once this returns. A block is handed on as it lies there: who wants to keep it copies it. */
  take(bytes: Uint8Array): void
}

/** For a wire after its handshake. `messageBytesMax`: it waits for no more than this, unless it is at its end. */
export function cutMessages(wire: Wire, messageBytesMax: number): WireInput {
  let started = new Uint8Array()
  let filledBytes = 0
  let arrivedBytes = HANDSHAKE_BYTES + wire._bufferSize

  const give = (bytes: Uint8Array) => {
    const isKeepable = bytes.length > LENGTH_BYTES && bytes[0] !== PIECE
    wire._parser(isKeepable ? new Uint8Array(bytes) : bytes)
  }
  const cut = (data: Uint8Array) => {
    for (let at = 0; at < data.length; ) {
      const needed = wire._parserSize
      if (needed > messageBytesMax) return
      if (filledBytes === 0 && data.length - at >= needed) {
        at += needed
        give(data.subarray(at - needed, at))
        continue
      }
      if (started.length < needed) started = new Uint8Array(needed)
      const length = Math.min(needed - filledBytes, data.length - at)
      started.set(data.subarray(at, at + length), filledBytes)
      filledBytes += length
      at += length
      if (filledBytes < needed) return
      filledBytes = 0
      const whole = started.subarray(0, needed)
      if (needed > KEPT_BYTES_MAX) started = new Uint8Array()
      give(whole)
    }
  }

  const take = (data: Uint8Array) => {
    if (wire._bufferSize > 0) {
      // Of what came together with the handshake the package has taken what it could.
      const early = Buffer.concat(wire._buffer)
      wire._buffer = []
      wire._bufferSize = 0
      cut(early)
    }
    cut(data)
  }

  wire._write = (data, callback) => {
    arrivedBytes += data.length
    take(data)
    callback(null)
  }
  return {
    get arrivedBytes() {
      return arrivedBytes
    },
    take,
  }
}

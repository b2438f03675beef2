/**
 * Blocks that a peer asked for are read once there is room for them in its connection: read at once, eight megabytes of them wait
 * in this process for each peer that asks for as much as it may.
 */
import type { PeerRequest, Wire } from './wire.ts'

/** Of one peer: being read, or read and waiting for the socket. */
const UNSENT_BYTES_MAX = 512 * 1024
/** With less than this more is read, and that at once: reads of a few blocks each cost a turn. */
const UNSENT_BYTES_LOW = 256 * 1024

export interface HeldRequests {
  readonly count: number
  /** To be called when some of what the wire sends has left it. */
  serve(): void
}

/** Requests that this wire gets from now on. `answer`: reads and sends a block, or refuses it. */
export function holdRequests(
  wire: Wire,
  answer: (piece: number, offset: number, length: number) => void,
): HeldRequests {
  /** The oldest first. */
  const held: PeerRequest[] = []
  const unsentBytes = () => {
    let bytes = wire._readableState.buffered
    for (const { length } of wire.peerRequests) bytes += length
    return bytes
  }
  const next = () => {
    const request = held.shift()
    if (request !== undefined) answer(request.piece, request.offset, request.length)
  }
  wire._onRequest = (piece, offset, length) => {
    if (held.length > 0 || unsentBytes() >= UNSENT_BYTES_MAX) held.push({ piece, offset, length })
    else answer(piece, offset, length)
  }
  const cancel = wire._onCancel.bind(wire)
  wire._onCancel = (piece, offset, length) => {
    const at = held.findIndex(
      (request) => request.piece === piece && request.offset === offset && request.length === length,
    )
    if (at >= 0) held.splice(at, 1)
    cancel(piece, offset, length)
  }
  const choke = wire.choke.bind(wire)
  wire.choke = () => {
    choke()
    // What was asked for before is refused now, as the package does with what it knows of (BEP 6).
    while (wire.amChoking && held.length > 0) next()
  }
  return {
    get count() {
      return held.length
    },
    serve() {
      if (held.length === 0 || unsentBytes() >= UNSENT_BYTES_LOW) return
      while (held.length > 0 && unsentBytes() < UNSENT_BYTES_MAX) next()
    },
  }
}

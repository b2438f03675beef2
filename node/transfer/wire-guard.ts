/**
 * Bounds that the wire itself does not have: it would gather a message of 4 GiB, and read and queue a block for each of a
 * million requests of a peer that never empties its socket.
 */
import type { Wire } from './wire.ts'
import { cutMessages } from './wire-input.ts'

/** The longest message we know is a block of 128 KiB; a bitfield of 131,072 pieces has 16 KiB. */
const MESSAGE_BYTES_MAX = 256 * 1024
/** Said to the peer (BEP 10 `reqq`): 8 MiB under way are enough for 80 MiB/s at 100 ms. */
const REQUESTS_MAX = 512
const OUTGOING_BYTES_MAX = 32 * 1024 * 1024

/** `isOver`: the torrent is destroyed; the package would then look for its store in vain, and throw. */
export function guardWire(wire: Wire, isOver: () => boolean): void {
  wire.extendedHandshake.reqq = REQUESTS_MAX

  const parse = wire._parse.bind(wire)
  wire._parse = (sizeBytes, parser) => {
    if (isTooLong(sizeBytes)) {
      parse(Number.MAX_VALUE, () => {})
      wire.destroy()
    } else {
      parse(sizeBytes, parser)
    }
  }
  // The length of a message that came in one packet with the handshake is read already.
  wire._parse(wire._parserSize, wire._parser)
  cutMessages(wire, MESSAGE_BYTES_MAX)

  const onRequest = wire._onRequest.bind(wire)
  wire._onRequest = (piece, offset, length) => {
    if (isOver()) return
    const full = wire.peerRequests.length >= REQUESTS_MAX || wire._readableState.buffered > OUTGOING_BYTES_MAX
    if (!full) onRequest(piece, offset, length)
    else if (wire.hasFast)
      wire.reject(piece, offset, length) // BEP 6
    else wire.destroy()
  }
}

/** After its end the wire asks for MAX_VALUE bytes, which never come. */
function isTooLong(sizeBytes: number): boolean {
  return sizeBytes > MESSAGE_BYTES_MAX && sizeBytes !== Number.MAX_VALUE
}

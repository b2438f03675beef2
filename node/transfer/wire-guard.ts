/**
 * Bounds that the wire itself does not have: it would gather a message of 4 GiB, and read and queue a block for each of a
 * million requests of a peer that never empties its socket.
 */
import { type HeldRequests, holdRequests } from './held-requests.ts'
import type { Wire } from './wire.ts'
import { cutMessages, type WireInput } from './wire-input.ts'

/** The longest message we know is a block of 128 KiB; a bitfield of 131,072 pieces has 16 KiB. */
const MESSAGE_BYTES_MAX = 256 * 1024
/** Said to the peer (BEP 10 `reqq`): 8 MiB under way are enough for 80 MiB/s at 100 ms. */
const REQUESTS_MAX = 512
const OUTGOING_BYTES_MAX = 16 * 1024 * 1024
/** Of all wires together. */
const ALL_OUTGOING_BYTES_MAX = 64 * 1024 * 1024
/** When that is reached, a wire with no more than this waiting still gets what it asks for. */
const OUTGOING_BYTES_FAIR = 256 * 1024

/** Bytes that wait for the sockets of many wires: a thousand peers that ask and never read must not each have their fill. */
export class Outgoing {
  readonly #byWire = new Map<Wire, number>()
  #bytes = 0

  /** What waits for this wire now counts. */
  isFull(wire: Wire): boolean {
    const { buffered } = wire._readableState
    const before = this.#byWire.get(wire)
    if (before === undefined) wire.once('close', () => this.#forget(wire))
    this.#byWire.set(wire, buffered)
    this.#bytes += buffered - (before ?? 0)
    if (buffered > OUTGOING_BYTES_MAX) return true
    return this.#bytes > ALL_OUTGOING_BYTES_MAX && buffered > OUTGOING_BYTES_FAIR
  }

  #forget(wire: Wire): void {
    this.#bytes -= this.#byWire.get(wire) ?? 0
    this.#byWire.delete(wire)
  }
}

/**
 * A wire that broke a bound says `hostile` before it is destroyed. `isOver`: the torrent is destroyed; the package would then look for
 * its store in vain, and throw.
 */
export function guardWire(
  wire: Wire,
  isOver: () => boolean,
  outgoing = new Outgoing(),
): { readonly input: WireInput; readonly held: HeldRequests } {
  wire.extendedHandshake.reqq = REQUESTS_MAX
  wire._debug = () => {}
  const drop = () => {
    wire.emit('hostile')
    wire.destroy()
  }

  const parse = wire._parse.bind(wire)
  wire._parse = (sizeBytes, parser) => {
    if (isTooLong(sizeBytes)) {
      parse(Number.MAX_VALUE, () => {})
      drop()
    } else {
      parse(sizeBytes, parser)
    }
  }
  // The length of a message that came in one packet with the handshake is read already.
  wire._parse(wire._parserSize, wire._parser)
  const input = cutMessages(wire, MESSAGE_BYTES_MAX)

  const answer = wire._onRequest.bind(wire)
  const held = holdRequests(wire, (piece, offset, length) => {
    if (!isOver()) answer(piece, offset, length)
  })
  const onRequest = wire._onRequest
  wire._onRequest = (piece, offset, length) => {
    if (isOver()) return
    const full = wire.peerRequests.length + held.count >= REQUESTS_MAX || outgoing.isFull(wire)
    if (!full) onRequest(piece, offset, length)
    else if (wire.hasFast)
      wire.reject(piece, offset, length) // BEP 6
    else drop()
  }
  return { input, held }
}

/** After its end the wire asks for MAX_VALUE bytes, which never come. */
function isTooLong(sizeBytes: number): boolean {
  return sizeBytes > MESSAGE_BYTES_MAX && sizeBytes !== Number.MAX_VALUE
}

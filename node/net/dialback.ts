/**
 * Port tests by dial-back (PROTOCOL 4): a node asks a peer to open TCP connections to some of its ports. The peer dials only
 * the address that it sees the request come from, so nobody can be made to knock at a third door.
 */
import { connect } from 'node:net'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { boolean, integer, list, record, ShapeError, text } from '../../protocol/codec/shape.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { Network, Peer } from '../ports.ts'
import { RequestError } from './request-error.ts'

const MESSAGE_BYTES_MAX = 128
/** Of an IPv6 address with an IPv4 tail (RFC 4291). */
const HOST_LENGTH_MAX = 45
/** libp2p's and BitTorrent's. */
const PORTS_MAX = 2
const CONNECT_TIMEOUT_MS = 3_000
/** One request per peer in this time; asking more often is refused. */
const INTERVAL_MS = 10_000
const DIALS_MAX = 16
const ASK_TIMEOUT_MS = 10_000

export interface DialbackAnswer {
  /** For each port, in their order. */
  readonly reached: readonly boolean[]
  /** Our address as the peer says it sees it: `203.0.113.7`. */
  readonly host: string
}

/**
 * Asks one connected peer which of our ports it reaches. null: it refused, was busy, or could not be asked, which says nothing
 * about the ports. Never rejects for what the peer does.
 */
export async function askReachable(
  network: Network,
  peer: NodeId,
  ports: readonly number[],
): Promise<DialbackAnswer | null> {
  const request = encodeCbor({ ports })
  try {
    const answer = await network.request(peer, 'dialback', request, { timeoutMs: ASK_TIMEOUT_MS })
    const fields = record(decodeCbor(answer, 'answer', MESSAGE_BYTES_MAX), 'answer', ['reached', 'host'])
    const reached = list(fields.reached, 'answer.reached', PORTS_MAX, boolean)
    const host = text(fields.host, 'answer.host', HOST_LENGTH_MAX)
    return reached.length === ports.length ? { reached, host } : null
  } catch (error) {
    if (error instanceof RequestError || error instanceof ShapeError) return null
    throw error
  }
}

/** Answers the dial-backs of others. */
export function serveDialback(network: Network, monotonicMs: () => number = () => performance.now()): void {
  const lastMs = new Map<NodeId, number>()
  let dials = 0
  network.handle('dialback', async (request: Uint8Array, from: Peer) => {
    const fields = record(decodeCbor(request, 'request', MESSAGE_BYTES_MAX), 'request', ['ports'])
    const ports = list(fields.ports, 'request.ports', PORTS_MAX, (port, path) =>
      integer(port, path, 1, 65_535),
    )
    const nowMs = monotonicMs()
    // Holds the peers of the last 10 s only.
    for (const [nodeId, atMs] of lastMs) if (nowMs - atMs >= INTERVAL_MS) lastMs.delete(nodeId)
    if (lastMs.has(from.nodeId)) throw new Error('asked again too soon')
    // Over a relay no address is seen: there is nothing to dial.
    if (from.address === '') throw new Error('no address to dial')
    if (dials + ports.length > DIALS_MAX) throw new Error('too many dial-backs at once')
    lastMs.set(from.nodeId, nowMs)
    dials += ports.length
    try {
      const reached = await Promise.all(ports.map((port) => canConnect(from.address, port)))
      return encodeCbor({ reached, host: from.address })
    } finally {
      dials -= ports.length
    }
  })
}

/** Opens a TCP connection and closes it: nothing is sent, nothing is read. */
function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (reachable: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(reachable)
    }
    const timer = setTimeout(() => end(false), CONNECT_TIMEOUT_MS)
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

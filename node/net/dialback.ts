/**
 * Reachability by dial-back (PROTOCOL 5): a node asks a peer to open a TCP connection to its BitTorrent port. The peer
 * dials only the address that it sees the request come from, so nobody can be made to knock at a third door.
 */
import { connect } from 'node:net'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { boolean, integer, record, ShapeError } from '../../protocol/codec/shape.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { Network, Peer } from '../ports.ts'
import { RequestError } from './request-error.ts'

const MESSAGE_BYTES_MAX = 64
const CONNECT_TIMEOUT_MS = 3_000
/** One dial per peer in this time; asking more often is refused. */
const INTERVAL_MS = 10_000
const DIALS_MAX = 16
const ASK_TIMEOUT_MS = 10_000

/** `unknown`: the peer refused, was busy, or could not be asked. Says nothing about the port. */
export type Reachability = 'reachable' | 'unreachable' | 'unknown'

/** Asks one connected peer whether it reaches our BitTorrent port. Never rejects for what the peer does. */
export async function askReachable(
  network: Network,
  peer: NodeId,
  bittorrentPort: number,
): Promise<Reachability> {
  const request = encodeCbor({ bittorrentPort })
  try {
    const answer = await network.request(peer, 'dialback', request, { timeoutMs: ASK_TIMEOUT_MS })
    const fields = record(decodeCbor(answer, 'answer', MESSAGE_BYTES_MAX), 'answer', ['reachable'])
    return boolean(fields.reachable, 'answer.reachable') ? 'reachable' : 'unreachable'
  } catch (error) {
    if (error instanceof RequestError || error instanceof ShapeError) return 'unknown'
    throw error
  }
}

/** Answers the dial-backs of others. */
export function serveDialback(network: Network, monotonicMs: () => number = () => performance.now()): void {
  const lastMs = new Map<NodeId, number>()
  let dials = 0
  network.handle('dialback', async (request: Uint8Array, from: Peer) => {
    const fields = record(decodeCbor(request, 'request', MESSAGE_BYTES_MAX), 'request', ['bittorrentPort'])
    const port = integer(fields.bittorrentPort, 'request.bittorrentPort', 1, 65_535)
    const nowMs = monotonicMs()
    // Holds the peers of the last 10 s only.
    for (const [nodeId, atMs] of lastMs) if (nowMs - atMs >= INTERVAL_MS) lastMs.delete(nodeId)
    if (lastMs.has(from.nodeId)) throw new Error('asked again too soon')
    // Over a relay no address is seen: there is nothing to dial.
    if (from.address === '') throw new Error('no address to dial')
    if (dials >= DIALS_MAX) throw new Error('too many dial-backs at once')
    lastMs.set(from.nodeId, nowMs)
    dials++
    try {
      return encodeCbor({ reachable: await canConnect(from.address, port) })
    } finally {
      dials--
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

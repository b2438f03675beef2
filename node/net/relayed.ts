/** Connections to nodes that are only reached through a relay: their addresses, and dialling when something is asked. */
import type { Connection, Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { NodeId } from '../../protocol/ids.ts'
import { ENDPOINTS_MAX, STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'

/** Nodes of which addresses through relays are known. */
const NODES_MAX = 1_000
/** The largest request and its answer still fit through a relayed connection. */
const ROOM_BYTES_MIN = 2 * STREAM_MESSAGE_BYTES_MAX + 32 * 1024

export function isDirect({ limits }: Connection): boolean {
  return limits === undefined
}

export class Relayed {
  /** The longest known first. */
  readonly #addresses = new Map<NodeId, readonly string[]>()

  /** Instead of those that were known of this node. */
  note(nodeId: NodeId, addresses: readonly string[]): void {
    this.#addresses.delete(nodeId)
    if (addresses.length === 0) return
    const [oldest] = this.#addresses.keys()
    if (this.#addresses.size >= NODES_MAX && oldest !== undefined) this.#addresses.delete(oldest)
    this.#addresses.set(nodeId, addresses.slice(0, ENDPOINTS_MAX))
  }

  /** A direct connection, or else one through a relay that has room for a request, if relays are known. */
  async connectionTo(host: Libp2p, nodeId: NodeId, signal: AbortSignal): Promise<Connection> {
    const peerId = peerIdFromString(nodeId)
    const addresses = this.#addresses.get(nodeId)
    const open = host.getConnections(peerId).filter((one) => one.status === 'open')
    if (addresses === undefined || open.some(isDirect)) return host.dial(peerId, { signal })
    const roomy = open.find(({ limits }) => Number(limits?.bytes ?? 0) >= ROOM_BYTES_MIN)
    if (roomy !== undefined) return roomy
    const targets = addresses.map((address) => multiaddr(address))
    // It has addresses of its own too, perhaps: they are tried when no relay leads there.
    return host.dial(targets, { signal, force: true }).catch(() => host.dial(peerId, { signal }))
  }
}

/** Multiaddrs as text. */
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { NodeId } from '../../protocol/ids.ts'
import { TEXT_BYTES_MAX } from '../../protocol/limits.ts'
import { nodeIdOfAddress } from './names.ts'

export function isMultiaddr(text: string): boolean {
  if (text.length > TEXT_BYTES_MAX) return false
  try {
    multiaddr(text)
    return true
  } catch {
    return false
  }
}

/** Ends in `/p2p/` and that node. */
export function withNodeId(address: Multiaddr, nodeId: NodeId): string {
  const text = address.toString()
  return nodeIdOfAddress(text) === null ? `${text}/p2p/${nodeId}` : text
}

export interface TcpAddress {
  readonly host: string
  readonly port: number
}

/** Of `/ip4/127.0.0.1/tcp/4811`, and null for anything longer or else. */
export function tcpAddressIn(text: string): TcpAddress | null {
  const [, host, port] = /^\/ip[46]\/([^/]+)\/tcp\/(\d+)$/.exec(text) ?? []
  return host === undefined ? null : { host, port: Number(port) }
}

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

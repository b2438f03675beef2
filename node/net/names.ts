/**
 * What topics and request protocols are called on the wire. They carry the federation and the protocol's major version
 * (PROTOCOL 3), so that two federations that share a peer never hear each other.
 */
import type { FederationId, NodeId } from '../../protocol/ids.ts'
import { isNodeId } from '../../protocol/ids.ts'
import type { RequestProtocol, Topic } from '../ports.ts'

export const PROTOCOL_MAJOR = 1
/** 64 bits tell federations apart; nothing is trusted because of a name. */
const FEDERATION_HEX_DIGITS = 16

export const TOPICS: readonly Topic[] = ['manifests', 'catalogs', 'observations']

export function topicName(federationId: FederationId, topic: Topic): string {
  return wireName(federationId, topic)
}

export function protocolName(federationId: FederationId, protocol: RequestProtocol): string {
  return wireName(federationId, protocol)
}

function wireName(federationId: FederationId, name: string): string {
  return `/wikiseed/${federationId.slice(0, FEDERATION_HEX_DIGITS)}/${PROTOCOL_MAJOR}/${name}`
}

/**
 * The node at the end of `/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...`, or, through one relay, of
 * `/ip4/127.0.0.1/tcp/4001/p2p/<relay>/p2p-circuit/p2p/12D3KooW...`; null for anything else.
 */
export function nodeIdOfAddress(multiaddr: string): NodeId | null {
  const [, first = '', second, third] = multiaddr.split('/p2p/')
  if (third !== undefined) return null
  if (second === undefined) return isNodeId(first) ? first : null
  const relay = first.endsWith(CIRCUIT) ? first.slice(0, -CIRCUIT.length) : ''
  return isNodeId(relay) && isNodeId(second) ? second : null
}
const CIRCUIT = '/p2p-circuit'

/** One libp2p 3 host with our settings. A DHT or mDNS would join here, as a service or a transport. */
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { GossipSub } from '@libp2p/gossipsub'
import { type Identify, type IdentifyPush, identify, identifyPush } from '@libp2p/identify'
import type { Connection, Libp2p } from '@libp2p/interface'
import type { AddressManager, TransportManager } from '@libp2p/interface-internal'
import { noise } from '@libp2p/noise'
import { type Ping, ping } from '@libp2p/ping'
import { yamux } from '@libp2p/yamux'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { type FederationId, isNodeId, type NodeId } from '../../protocol/ids.ts'
import type { Log, Peer } from '../ports.ts'
import { DialPort } from './dial-port.ts'
import { gossipService } from './gossip.ts'
import type { HostIdentity } from './identity.ts'
import { Punch } from './punch.ts'
import { Relay, RelayPace, relayTransport } from './relay.ts'

export interface Services extends Record<string, unknown> {
  identify: Identify
  identifyPush: IdentifyPush
  ping: Ping
  pubsub: GossipSub
  relay: Relay
  dialPort: DialPort
  inside: Inside
}

/** Parts of libp2p that it shows to services only. */
interface Inside {
  readonly addressManager: AddressManager
  readonly transportManager: TransportManager
}

export type Host = Libp2p<Services>

export interface HostOptions {
  readonly identity: HostIdentity
  readonly federationId: FederationId
  /** Multiaddrs, e.g. `/ip4/127.0.0.1/tcp/4001`. */
  readonly listen: readonly string[]
  /** Said to others instead of what is listened on: the address that a router forwards. */
  readonly announce: readonly string[]
  /** Who may be connected, besides being of our kind: everybody unless told otherwise. */
  readonly admits?: (nodeId: NodeId) => boolean
  readonly log: Log
}

const KiB = 1024
/** Per address and second. libp2p's 5 refuses most of a test's, a home's or a university's nodes when they start together. */
const INBOUND_CONNECTIONS_PER_SECOND_MAX = 100
/** libp2p's 10 pending ones are full when thirty nodes dial at once. */
const INBOUND_PENDING_MAX = 64
/** A remembered peer has at most 200 of these; the rest of the queue waits. */
const PARALLEL_DIALS_MAX = 16
const MONITOR_INTERVAL_MS = 15_000
/** libp2p's 5 s ends the connection to a peer whose event loop is busy for a moment. */
const MONITOR_TIMEOUT_MS = 20_000
/** A stream's receive window: one message fits. */
const STREAM_WINDOW_BYTES = 1024 * KiB

/** Made, not started. */
export async function createHost(options: HostOptions): Promise<Host> {
  const { admits = () => true } = options
  const refused = (peer: { toString(): string }): boolean => {
    const id = peer.toString()
    return !isNodeId(id) || !admits(id)
  }
  const relayPace = new RelayPace()
  const dialPort = new DialPort()
  return createLibp2p<Services>({
    start: false,
    privateKey: privateKeyFromRaw(options.identity.privateKeyRaw()),
    nodeInfo: { name: 'wikiseed', userAgent: 'wikiseed' },
    addresses: { listen: [...options.listen], announce: [...options.announce] },
    transports: [dialPort.transport(), relayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES } })],
    // A node is an Ed25519 key (PROTOCOL 3): nobody else is let in, so every peer has a NodeId.
    connectionGater: {
      denyInboundEncryptedConnection: refused,
      denyOutboundEncryptedConnection: refused,
      denyOutboundRelayedConnection: () => !relayPace.admits(),
    },
    connectionManager: {
      inboundConnectionThreshold: INBOUND_CONNECTIONS_PER_SECOND_MAX,
      maxIncomingPendingConnections: INBOUND_PENDING_MAX,
      maxParallelDials: PARALLEL_DIALS_MAX,
    },
    connectionMonitor: {
      pingInterval: MONITOR_INTERVAL_MS,
      pingTimeout: { minTimeout: MONITOR_TIMEOUT_MS },
    },
    services: {
      identify: identify({ protocolPrefix: 'wikiseed' }),
      // For what connected peers must know at once. At each change of ourselves it would cost a stream to each of them.
      identifyPush: identifyPush({ protocolPrefix: 'wikiseed', runOnSelfUpdate: false }),
      ping: ping(),
      pubsub: gossipService(options.federationId),
      // Who was called over a relay dials back, where the caller has an address; else both dial.
      punch: new Punch(dialPort, options.log).service(),
      relay: (components: ConstructorParameters<typeof Relay>[0]) => new Relay(components),
      dialPort: () => dialPort,
      inside: ({ addressManager, transportManager }: Inside) => ({ addressManager, transportManager }),
    },
  })
}

/** libp2p's own words about a busy port hold stack traces and advice for programmers. */
export function startError(error: unknown): unknown {
  const port = /EADDRINUSE[^\n]*:(\d+)/.exec(error instanceof Error ? error.message : '')?.[1]
  return port === undefined ? error : new Error(`libp2p port ${port} is already in use`, { cause: error })
}

/** The peer of a connection; null for an identity that is not ours, which the gater lets nobody have. */
export function peerOf(connection: Connection): Peer | null {
  const nodeId = connection.remotePeer.toString()
  return isNodeId(nodeId) ? { nodeId, address: ipOf(connection.remoteAddr) } : null
}

/** `127.0.0.1`, `2001:db8::1`; empty over a relay, whose address says nothing about the peer (PROTOCOL 5). */
function ipOf(address: Multiaddr): string {
  const parts = address.getComponents()
  if (parts.some((part) => part.name === 'p2p-circuit')) return ''
  const ip = parts.find((part) => part.name === 'ip4' || part.name === 'ip6')?.value ?? ''
  // An IPv4 peer on a socket that listens for both.
  return ip.startsWith('::ffff:') && ip.includes('.') ? ip.slice('::ffff:'.length) : ip
}

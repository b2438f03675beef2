/** The Network port over libp2p: gossip, requests, and peers that are kept. */
import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { FederationId, NodeId } from '../../protocol/ids.ts'
import { isNodeId } from '../../protocol/ids.ts'
import { TEXT_BYTES_MAX } from '../../protocol/limits.ts'
import type { Log, NatMapping, Network, Peer, RequestHandler, RequestProtocol, Topic } from '../ports.ts'
import { Gossip } from './gossip.ts'
import { createHost, type Host, peerOf, startError } from './host.ts'
import type { HostIdentity } from './identity.ts'
import { isMultiaddr, type TcpAddress, tcpAddressIn, withNodeId } from './multiaddrs.ts'
import { nodeIdOfAddress } from './names.ts'
import { Redialer } from './redial.ts'
import { ANY_RELAY, addressesToTell, isRelayed, RELAYS_WANTED } from './relay.ts'
import { isDirect, Relayed } from './relayed.ts'
import { RequestError } from './request-error.ts'
import { RequestLimit } from './request-limit.ts'
import { checkGossipSize, checkMessageSize, type GossipHandler } from './rules.ts'
import { RequestStreams } from './streams.ts'

export const LISTEN_DEFAULT: readonly string[] = ['/ip4/127.0.0.1/tcp/0']
const DIAL_TIMEOUT_MS = 5_000
/** Remembered peers are the last that are let go when there are too many connections. */
const REMEMBERED_TAG = { 'wikiseed-remembered': { value: 100 } }

export interface NetworkOptions {
  readonly identity: HostIdentity
  readonly federationId: FederationId
  /** Multiaddrs; this machine alone (LISTEN_DEFAULT) unless told otherwise. */
  readonly listen?: readonly string[]
  readonly announce?: readonly string[]
  /** Multiaddrs with `/p2p/` of peers known from before. */
  readonly remembered?: readonly string[]
  /** Whom to be connected with, asked at each new connection; everybody unless told otherwise. */
  readonly admits?: (nodeId: NodeId) => boolean
  readonly log: Log
}

type PeerEventHandler = (event: { kind: 'connected' | 'disconnected'; peer: Peer }) => void

interface Running {
  readonly host: Host
  readonly gossip: Gossip
  readonly streams: RequestStreams
}

export class Libp2pNetwork implements Network {
  readonly nodeId: NodeId
  readonly #options: NetworkOptions
  readonly #log: Log
  readonly #redialer: Redialer
  readonly #limit = new RequestLimit()
  readonly #gossipHandlers = new Map<Topic, GossipHandler>()
  readonly #requestHandlers = new Map<RequestProtocol, RequestHandler>()
  readonly #peerHandlers: PeerEventHandler[] = []
  readonly #connected = new Map<NodeId, Peer>()
  readonly #stopping = new AbortController()
  readonly #addressHandlers: (() => void)[] = []
  readonly #relayed = new Relayed()
  #external: readonly string[] = []
  #asksRelays = false
  #running: Running | null = null

  constructor(options: NetworkOptions) {
    this.nodeId = options.identity.nodeId
    this.#options = options
    this.#log = options.log
    this.#redialer = new Redialer({
      dial: (nodeId, addresses) => this.#dial(nodeId, addresses),
      onFailure: (nodeId, failures, error) => {
        this.#log.debug({ nodeId, failures, error }, 'a remembered peer cannot be reached')
      },
    })
    for (const [nodeId, addresses] of this.#byNode(options.remembered ?? [])) {
      const direct = this.#directOf(nodeId, addresses)
      if (direct.length > 0) this.#redialer.remember(nodeId, direct)
    }
  }

  async start(): Promise<void> {
    if (this.#running !== null || this.#stopping.signal.aborted) throw new Error('a network starts once')
    const { federationId } = this.#options
    const host = await createHost({ listen: LISTEN_DEFAULT, announce: [], ...this.#options })
    const streams = new RequestStreams({
      libp2p: host,
      connectionTo: (nodeId, signal) => this.#relayed.connectionTo(host, nodeId, signal),
      federationId,
      limit: this.#limit,
      peerOf,
      log: this.#log,
    })
    const gossip = new Gossip(host.services.pubsub, federationId, this.#log)
    host.addEventListener('connection:open', (event) => this.#onOpen(host, event.detail))
    host.addEventListener('connection:close', (event) => this.#onClose(host, event.detail))
    host.addEventListener('self:peer:update', () => {
      for (const handler of this.#addressHandlers) handler()
    })
    for (const [protocol, handler] of this.#requestHandlers) await streams.handle(protocol, handler)
    try {
      await host.start()
    } catch (error) {
      await host.stop()
      throw startError(error)
    }
    this.#running = { host, gossip, streams }
    for (const [topic, handler] of this.#gossipHandlers) gossip.subscribe(topic, handler)
    this.#redialer.start()
  }

  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    this.#stopping.abort(new Error('stopping'))
    const running = this.#running
    this.#running = null
    await this.#redialer.stop()
    await running?.host.services.relay.end()
    await running?.host.stop()
    this.#connected.clear()
  }

  addresses(): string[] {
    const addresses = this.#running?.host.getMultiaddrs() ?? []
    return addressesToTell(addresses.map((address) => address.toString()))
  }

  listens(): readonly TcpAddress[] {
    const addresses = this.#running?.host.services.inside.transportManager.getAddrs() ?? []
    return addresses.flatMap((address) => tcpAddressIn(address.toString()) ?? [])
  }

  setExternal(multiaddrs: readonly string[]): void {
    if (multiaddrs.join() === this.#external.join()) return
    const { addressManager } = this.#started().host.services.inside
    for (const old of this.#external) addressManager.removeObservedAddr(multiaddr(old))
    this.#external = multiaddrs
    // libp2p tells only what somebody vouched for: the router, or peers that got in there.
    for (const address of multiaddrs)
      addressManager.confirmObservedAddr(multiaddr(address), { type: 'observed' })
  }

  async setReachable(isReachable: boolean): Promise<void> {
    const { relay, inside, identifyPush } = this.#started().host.services
    if (isReachable) return relay.offer().then(() => identifyPush.push())
    if (this.#asksRelays) return
    this.#asksRelays = true
    await inside.transportManager.listen(Array.from({ length: RELAYS_WANTED }, () => ANY_RELAY))
  }

  natMapping(): NatMapping {
    const host = this.#running?.host
    const found = host?.services.dialPort.outside(host.getConnections()) ?? []
    return found.find(({ mapping }) => mapping !== 'unknown')?.mapping ?? 'unknown'
  }

  onAddresses(handler: () => void): void {
    this.#addressHandlers.push(handler)
  }

  peers(): Peer[] {
    return [...this.#connected.values()]
  }

  /** Addresses of the remembered peers, to be kept for `remembered` at the next start. */
  remembered(): string[] {
    return this.#redialer.addresses()
  }

  onGossip(topic: Topic, handler: GossipHandler): void {
    if (this.#gossipHandlers.has(topic)) throw new Error(`${topic} has a handler already`)
    this.#gossipHandlers.set(topic, handler)
    this.#running?.gossip.subscribe(topic, handler)
  }

  async publish(topic: Topic, data: Uint8Array): Promise<number> {
    checkGossipSize(data)
    return this.#started().gossip.publish(topic, data)
  }

  handle(protocol: RequestProtocol, handler: RequestHandler): void {
    if (this.#requestHandlers.has(protocol)) throw new Error(`${protocol} has a handler already`)
    this.#requestHandlers.set(protocol, handler)
    this.#running?.streams.handle(protocol, handler).catch((error: unknown) => {
      this.#log.error({ error, protocol }, 'a request protocol could not be offered')
    })
  }

  async request(
    to: NodeId,
    protocol: RequestProtocol,
    request: Uint8Array,
    options: { timeoutMs: number },
  ): Promise<Uint8Array> {
    checkMessageSize(request)
    if (this.#running === null) throw new RequestError('unreachable', 'the network is not running')
    return this.#running.streams.request(to, protocol, request, options.timeoutMs)
  }

  async connect(multiaddrs: string[]): Promise<boolean> {
    this.#started()
    const dials = [...this.#byNode(multiaddrs)].map(async ([nodeId, all]) => {
      const addresses = this.#directOf(nodeId, all)
      if (addresses.length === 0) return false
      if (this.#redialer.remember(nodeId, addresses)) {
        return this.#redialer.now(nodeId)
      }
      this.#log.warn({ nodeId }, 'too many remembered peers: this one is dialled once only')
      return this.#dial(nodeId, addresses).then(
        () => true,
        () => false,
      )
    })
    return (await Promise.all(dials)).includes(true)
  }

  onPeer(handler: PeerEventHandler): void {
    this.#peerHandlers.push(handler)
  }

  score(nodeId: NodeId): number {
    return this.#started().gossip.score(nodeId)
  }

  #started(): Running {
    if (this.#running === null) throw new Error('the network is not running')
    return this.#running
  }

  /** Those that are dialled and kept; those through relays are noted for requests. */
  #directOf(nodeId: NodeId, addresses: readonly string[]): string[] {
    this.#relayed.note(nodeId, addresses.filter(isRelayed))
    return addresses.filter((address) => !isRelayed(address))
  }

  /** Dials all addresses that were given and that the peer itself told us. */
  async #dial(nodeId: NodeId, addresses: readonly string[]): Promise<void> {
    const { host } = this.#started()
    const told = await host.peerStore.get(peerIdFromString(nodeId)).then(
      (peer) => peer.addresses.map((address) => withNodeId(address.multiaddr, nodeId)),
      () => [],
    )
    // Over a relay it would be no connection that is kept.
    const direct = [...new Set([...addresses, ...told])].filter((address) => !isRelayed(address))
    const targets = direct.map((address) => multiaddr(address))
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
    const connection = await host.dial(targets, { signal })
    if (connection.status !== 'open') throw new Error('closed as it opened')
    this.#redialer.connected(nodeId)
    await host.peerStore.merge(connection.remotePeer, { tags: REMEMBERED_TAG })
  }

  /** Who is only reached through a relay is no peer: neither gossip nor manifests go that way. */
  #onOpen(host: Host, connection: Connection): void {
    const peer = isDirect(connection) ? peerOf(connection) : null
    if (peer === null || this.#connected.has(peer.nodeId)) return
    const peerId = connection.remotePeer
    this.#connected.set(peer.nodeId, peer)
    if (this.#redialer.has(peer.nodeId)) {
      this.#redialer.connected(peer.nodeId)
      host.peerStore.merge(peerId, { tags: REMEMBERED_TAG }).catch((error: unknown) => {
        this.#log.debug({ error, nodeId: peer.nodeId }, 'a peer could not be tagged')
      })
    }
    this.#emit({ kind: 'connected', peer })
  }

  #onClose(host: Host, { remotePeer }: Connection): void {
    const nodeId = remotePeer.toString()
    if (!isNodeId(nodeId)) return
    const isOpen = (one: Connection) => one.status === 'open' && isDirect(one)
    if (host.getConnections(remotePeer).some(isOpen)) return
    const peer = this.#connected.get(nodeId)
    if (peer === undefined) return
    this.#connected.delete(nodeId)
    this.#redialer.disconnected(nodeId)
    this.#emit({ kind: 'disconnected', peer })
  }

  #emit(event: { kind: 'connected' | 'disconnected'; peer: Peer }): void {
    for (const handler of this.#peerHandlers) {
      try {
        handler(event)
      } catch (error) {
        this.#log.error({ error }, 'a peer handler threw')
      }
    }
  }

  /** Usable addresses by node; others are named in the log and left out, our own silently. */
  #byNode(addresses: readonly string[]): Map<NodeId, string[]> {
    const byNode = new Map<NodeId, string[]>()
    for (const address of addresses) {
      const nodeId = isMultiaddr(address) ? nodeIdOfAddress(address) : null
      if (nodeId === null)
        this.#log.warn({ address: address.slice(0, TEXT_BYTES_MAX) }, 'not a multiaddr with /p2p/')
      else if (nodeId !== this.nodeId) byNode.set(nodeId, [...(byNode.get(nodeId) ?? []), address])
    }
    return byNode
  }
}

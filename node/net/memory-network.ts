/**
 * The in-memory twin of the Network port: nodes of one process that share a hub. It keeps the port's promises (verdicts
 * before forwarding, bounds, scores, peers that are kept), without sockets and without gossipsub's mesh: an accepted
 * message goes on to every neighbour.
 */
import { isIP } from 'node:net'
import { bytesToHex } from '../../protocol/codec/bytes.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import type { Log, Network, Peer, RequestHandler, RequestProtocol, Topic } from '../ports.ts'
import { nodeIdOfAddress } from './names.ts'
import { REMEMBERED_PEERS_MAX } from './redial.ts'
import { RequestError } from './request-error.ts'
import { RequestLimit } from './request-limit.ts'
import {
  checkGossipSize,
  checkMessageSize,
  type GossipHandler,
  judge,
  messageId,
  REJECTED_MESSAGE_WEIGHT,
  SCORE_THRESHOLDS,
} from './rules.ts'

/** Message ids that one node remembers as seen; the oldest go first. */
const SEEN_MAX = 10_000
const PORT_FIRST = 20_000

/** What nodes of one test share. Hubs know nothing of each other. */
export class MemoryHub {
  readonly #nodes = new Map<NodeId, MemoryNetwork>()
  #nextPort = PORT_FIRST

  /** A port number that was not given before. */
  nextPort(): number {
    return this.#nextPort++
  }

  find(nodeId: NodeId): MemoryNetwork | undefined {
    return this.#nodes.get(nodeId)
  }

  add(network: MemoryNetwork): void {
    const port = network.port
    if ([...this.#nodes.values()].some((other) => other.port === port)) {
      throw new Error(`libp2p port ${port} is already in use`)
    }
    this.#nodes.set(network.nodeId, network)
    for (const other of this.#nodes.values()) other.meet(network)
  }

  remove(network: MemoryNetwork): void {
    if (this.#nodes.get(network.nodeId) === network) this.#nodes.delete(network.nodeId)
  }
}

export interface MemoryNetworkOptions {
  readonly hub: MemoryHub
  readonly nodeId: NodeId
  readonly log: Log
  /** As others see this node. */
  readonly host?: string
  /** The hub gives one when it is left out. */
  readonly port?: number
  readonly remembered?: readonly string[]
}

type PeerEvent = { kind: 'connected' | 'disconnected'; peer: Peer }

export class MemoryNetwork implements Network {
  readonly nodeId: NodeId
  readonly port: number
  readonly #hub: MemoryHub
  readonly #log: Log
  readonly #host: string
  readonly #limit = new RequestLimit()
  readonly #gossipHandlers = new Map<Topic, GossipHandler>()
  readonly #requestHandlers = new Map<RequestProtocol, RequestHandler>()
  readonly #peerHandlers: ((event: PeerEvent) => void)[] = []
  readonly #remembered = new Map<NodeId, string>()
  readonly #neighbours = new Map<NodeId, MemoryNetwork>()
  readonly #rejected = new Map<NodeId, number>()
  readonly #seen = new Set<string>()
  readonly #addressHandlers: (() => void)[] = []
  #external: readonly string[] = []
  #state: 'new' | 'running' | 'stopped' = 'new'

  constructor(options: MemoryNetworkOptions) {
    this.nodeId = options.nodeId
    this.port = options.port ?? options.hub.nextPort()
    this.#hub = options.hub
    this.#log = options.log
    this.#host = options.host ?? '127.0.0.1'
    for (const address of options.remembered ?? []) this.#remember(address)
  }

  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error('a network starts once')
    this.#hub.add(this)
    this.#state = 'running'
    for (const nodeId of this.#remembered.keys()) this.#join(nodeId)
  }

  async stop(): Promise<void> {
    if (this.#state === 'running') this.#hub.remove(this)
    this.#state = 'stopped'
    for (const neighbour of [...this.#neighbours.values()]) {
      this.#leave(neighbour)
      neighbour.#leave(this)
    }
  }

  addresses(): string[] {
    if (this.#state !== 'running') return []
    const own = `/ip${isIP(this.#host)}/${this.#host}/tcp/${this.port}`
    return [own, ...this.#external].map((address) => `${address}/p2p/${this.nodeId}`)
  }

  listens(): readonly { host: string; port: number }[] {
    return this.#state === 'running' ? [{ host: this.#host, port: this.port }] : []
  }

  setExternal(multiaddrs: readonly string[]): void {
    this.#external = multiaddrs
    for (const handler of this.#addressHandlers) handler()
  }

  /** In memory everybody reaches everybody. */
  async setReachable(): Promise<void> {}
  readonly natMapping = (): 'unknown' => 'unknown'

  onAddresses(handler: () => void): void {
    this.#addressHandlers.push(handler)
  }

  peers(): Peer[] {
    return [...this.#neighbours.values()].map((neighbour) => neighbour.#asPeer())
  }

  /** Addresses of the remembered peers, to be kept for `remembered` at the next start. */
  remembered(): string[] {
    return [...this.#remembered.values()]
  }

  onGossip(topic: Topic, handler: GossipHandler): void {
    if (this.#gossipHandlers.has(topic)) throw new Error(`${topic} has a handler already`)
    this.#gossipHandlers.set(topic, handler)
  }

  async publish(topic: Topic, data: Uint8Array): Promise<number> {
    checkGossipSize(data)
    this.#checkRunning()
    if (!this.#see(topic, data)) return 0
    return this.#send(topic, data, null)
  }

  handle(protocol: RequestProtocol, handler: RequestHandler): void {
    if (this.#requestHandlers.has(protocol)) throw new Error(`${protocol} has a handler already`)
    this.#requestHandlers.set(protocol, handler)
  }

  async request(
    to: NodeId,
    protocol: RequestProtocol,
    request: Uint8Array,
    options: { timeoutMs: number },
  ): Promise<Uint8Array> {
    checkMessageSize(request)
    const peer = this.#neighbours.get(to)
    if (peer === undefined) throw new RequestError('unreachable', `${to} cannot be reached`)
    const answer = peer.#answer(protocol, new Uint8Array(request), this.#asPeer())
    return withTimeout(answer, options.timeoutMs, `${protocol} request to ${to}`)
  }

  async connect(multiaddrs: string[]): Promise<boolean> {
    this.#checkRunning()
    let connected = false
    for (const address of multiaddrs) {
      const nodeId = this.#remember(address)
      if (nodeId !== null && this.#join(nodeId)) connected = true
    }
    return connected
  }

  onPeer(handler: (event: PeerEvent) => void): void {
    this.#peerHandlers.push(handler)
  }

  score(nodeId: NodeId): number {
    this.#checkRunning()
    return REJECTED_MESSAGE_WEIGHT * (this.#rejected.get(nodeId) ?? 0) ** 2
  }

  /** Called by the hub when a node starts: who remembers it connects. */
  meet(other: MemoryNetwork): void {
    if (this.#remembered.has(other.nodeId)) setImmediate(() => this.#join(other.nodeId))
  }

  #checkRunning(): void {
    if (this.#state !== 'running') throw new Error('the network is not running')
  }

  #remember(address: string): NodeId | null {
    const nodeId = nodeIdOfAddress(address)
    if (nodeId === null) this.#log.warn({ address: address.slice(0, 256) }, 'not a multiaddr with /p2p/')
    if (nodeId === null || nodeId === this.nodeId) return null
    if (this.#remembered.size < REMEMBERED_PEERS_MAX) this.#remembered.set(nodeId, address)
    return nodeId
  }

  /** True when both are connected afterwards. */
  #join(nodeId: NodeId): boolean {
    const other = this.#hub.find(nodeId)
    if (this.#state !== 'running' || other === undefined) return false
    if (this.#neighbours.has(nodeId)) return true
    this.#neighbours.set(nodeId, other)
    other.#neighbours.set(this.nodeId, this)
    this.#emit({ kind: 'connected', peer: other.#asPeer() })
    other.#emit({ kind: 'connected', peer: this.#asPeer() })
    return true
  }

  #leave(neighbour: MemoryNetwork): void {
    if (!this.#neighbours.delete(neighbour.nodeId)) return
    this.#emit({ kind: 'disconnected', peer: neighbour.#asPeer() })
  }

  /** False when it was seen before. */
  #see(topic: Topic, data: Uint8Array): boolean {
    const id = bytesToHex(messageId(topic, data))
    if (this.#seen.has(id)) return false
    this.#seen.add(id)
    if (this.#seen.size > SEEN_MAX) {
      const [oldest] = this.#seen
      if (oldest !== undefined) this.#seen.delete(oldest)
    }
    return true
  }

  /** To every neighbour that listens, but for the one it came from. */
  #send(topic: Topic, data: Uint8Array, except: NodeId | null): number {
    let count = 0
    for (const neighbour of this.#neighbours.values()) {
      if (neighbour.nodeId === except || !neighbour.#gossipHandlers.has(topic)) continue
      if (this.score(neighbour.nodeId) < SCORE_THRESHOLDS.publishThreshold) continue
      const copy = new Uint8Array(data)
      setImmediate(() => neighbour.#receive(topic, copy, this.nodeId))
      count++
    }
    return count
  }

  #receive(topic: Topic, data: Uint8Array, from: NodeId): void {
    const handler = this.#gossipHandlers.get(topic)
    if (this.#state !== 'running' || handler === undefined || !this.#neighbours.has(from)) return
    if (this.score(from) < SCORE_THRESHOLDS.graylistThreshold || !this.#see(topic, data)) return
    const verdict = judge(handler, data, from, this.#log)
    if (verdict === 'reject') this.#rejected.set(from, (this.#rejected.get(from) ?? 0) + 1)
    if (verdict === 'accept') this.#send(topic, data, from)
  }

  async #answer(protocol: RequestProtocol, request: Uint8Array, from: Peer): Promise<Uint8Array> {
    const handler = this.#requestHandlers.get(protocol)
    if (handler === undefined) throw new RequestError('unsupported', `${protocol}: unknown there`)
    const leave = this.#limit.enter(from.nodeId)
    if (leave === null) throw new RequestError('refused', 'too many requests')
    try {
      const answer = new Uint8Array(await handler(request, from))
      if (answer.length <= STREAM_MESSAGE_BYTES_MAX && this.#state === 'running') return answer
    } catch (error) {
      throw new RequestError('refused', `${protocol} was not answered`, { cause: error })
    } finally {
      leave()
    }
    throw new RequestError('refused', `${protocol}: stopped, or the answer is too large to be sent`)
  }

  #asPeer(): Peer {
    return { nodeId: this.nodeId, address: this.#host }
  }

  #emit(event: PeerEvent): void {
    for (const handler of this.#peerHandlers) {
      try {
        handler(event)
      } catch (error) {
        this.#log.error({ error }, 'a peer handler threw')
      }
    }
  }
}

function withTimeout<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new RequestError('timed-out', `${what} timed out`)), timeoutMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

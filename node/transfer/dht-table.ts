/**
 * One table of BitTorrent's mainline DHT, of IPv4 (BEP 5) or of IPv6 (BEP 32): an adapter around bittorrent-dht, one client for all
 * torrents. The package has table, look-ups and answers; ours are the socket (`dht-socket`), who is asked first, when, and how long.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { Client, type DhtNode } from 'bittorrent-dht'
import type { Infohash } from '../../protocol/ids.ts'
import type { Log, TorrentPeer } from '../ports.ts'
import {
  ANNOUNCED_MAX,
  ANNOUNCED_MS,
  type DhtAddresses,
  type Family,
  IPV4,
  Ipv6StandIns,
} from './dht-addresses.ts'
import { NodesFile, type SavedNodes } from './dht-nodes.ts'
import { type DhtOptions, nodeOf, type Surroundings } from './dht-options.ts'
import { DhtSocket } from './dht-socket.ts'
import { until } from './dht-wait.ts'
import { isPrivateHost, mayBePublic } from './told-hosts.ts'
import { startError } from './torrent-errors.ts'
import { orAbort } from './torrent-transfer.ts'
import { type Announce, TrackerError } from './tracker-answer.ts'

interface Found {
  readonly peers: Map<string, TorrentPeer>
  readonly onPeer: (peer: TorrentPeer) => void
}

/** Of one torrent at one table. */
export interface TableAnswer {
  readonly peers: readonly TorrentPeer[]
  /** Nodes that took it. */
  readonly taken: number
}

/** Then a look-up goes on with those that it found. */
const LOOKUP_MS = 30_000
/** Beyond that it counts as not answered: the package is not waited for. */
const LOOKUP_MS_MAX = 40_000
const PEERS_MAX = 200
/** BEP 5: K. A table with fewer nodes is filled up. */
const BUCKET_NODES = 8
const CONCURRENCY = 32
const LOOK_MS = 5_000
const BOOTSTRAP_PAUSE_MS_MIN = 10_000
const BOOTSTRAP_PAUSE_MS_MAX = 15 * 60_000
const SAVE_MS = 10 * 60_000

export class DhtTable {
  readonly family: Family
  readonly isPrivate: boolean
  readonly #addresses: DhtAddresses
  readonly #client: Client
  readonly #socket: DhtSocket
  readonly #bootstrap: readonly TorrentPeer[]
  readonly #file: NodesFile
  readonly #log: Log | undefined
  /** Asked once, at start. */
  #remembered: readonly TorrentPeer[]
  /** Peers that look-ups under way found, by infohash. */
  readonly #found = new Map<string, Found>()
  readonly #timer: NodeJS.Timeout
  readonly #stopping = new AbortController()
  /** Somebody is in the table. */
  readonly #entered = Promise.withResolvers<void>()
  #bootstraps = 0
  #bootstrapAtMs = 0
  #savedAtMs = performance.now()
  #isPopulating = false

  /** Rejects with an Error of one plain sentence when the port is in use or forbidden. */
  static async start(
    family: Family,
    options: DhtOptions & { readonly port: number },
    around: Surroundings,
  ): Promise<DhtTable> {
    const file = new NodesFile(
      family === 'ipv4' ? options.nodesPath : (options.nodes6Path ?? null),
      around.log,
    )
    const addresses = family === 'ipv4' ? IPV4 : new Ipv6StandIns()
    const saved = await file.load()
    const bootstrap = options.bootstrap.map(nodeOf)
    const isPrivate = bootstrap.some(({ host }) => isPrivateHost(host))
    const isPublic = mayBePublic(around.announceHost)
    let dht: DhtTable | null = null
    const host = family === 'ipv4' && around.host === '::' ? '0.0.0.0' : around.host
    const socket = await DhtSocket.open({
      host,
      port: options.port,
      addresses,
      mayReach: (address) => (isPrivateHost(address) ? isPrivate : isPublic),
      onAsker: (node) => dht?.meet(node),
      isReader: around.isReader ?? false,
    }).catch((error: NodeJS.ErrnoException) => {
      throw startError(error, host, options.port, 'DHT')
    })
    dht = new DhtTable(socket, { addresses, isPrivate, bootstrap, saved, file, log: around.log })
    return dht
  }

  private constructor(
    socket: DhtSocket,
    kept: {
      readonly addresses: DhtAddresses
      readonly isPrivate: boolean
      readonly bootstrap: readonly TorrentPeer[]
      readonly saved: SavedNodes | null
      readonly file: NodesFile
      readonly log: Log | undefined
    },
  ) {
    this.family = kept.addresses.family
    this.isPrivate = kept.isPrivate
    this.#addresses = kept.addresses
    this.#bootstrap = kept.bootstrap
    this.#remembered = kept.saved?.nodes ?? []
    this.#file = kept.file
    this.#log = kept.log
    this.#socket = socket
    this.#client = new Client({
      ...(kept.saved === null ? {} : { nodeId: kept.saved.id }),
      bootstrap: false,
      socket,
      k: BUCKET_NODES,
      concurrency: CONCURRENCY,
      maxTables: 16,
      maxPeers: ANNOUNCED_MAX,
      maxAge: ANNOUNCED_MS,
    })
    this.#client.on('node', (node: DhtNode) => this.#met(node))
    this.#client.on('peer', (peer: TorrentPeer, infohash: Buffer) => this.#note(peer, infohash))
    this.#client.on('announce', ({ host }: TorrentPeer) => this.#addresses.keep(host))
    this.#client.on('warning', (error: Error) => this.#log?.debug({ error: String(error) }, 'DHT warning'))
    this.#client.on('error', (error: Error) => this.#log?.error({ error: String(error) }, 'the DHT failed'))
    // The package begins to look after its table when its socket says so.
    socket.emit('listening')
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
    this.#timer.unref()
    this.#look()
  }

  /** UDP port that it listens on. */
  get port(): number {
    return this.#socket.address().port
  }

  get isUp(): boolean {
    return this.#client.nodes.count() > 0
  }

  get nodes(): number {
    return this.#client.nodes.count()
  }

  /** Looks who has it, and tells those who should know it. Rejects with TrackerError, or with the signal's reason. */
  async announce(one: Announce, signal: AbortSignal): Promise<TableAnswer> {
    const infohash = Buffer.from(one.infohash, 'hex')
    const peers = await this.find(one.infohash, signal)
    // No router maps IPv6.
    const port = this.isPrivate || this.family === 'ipv6' ? one.port : one.outsidePort
    const taken = await until<number>(signal, LOOKUP_MS_MAX, (done) =>
      this.#client.announce(infohash, port, (_, count = 0) => done(count)),
    )
    return { peers, taken }
  }

  /** Resolves when somebody in the DHT answered. Rejects with the signal's reason. */
  entered(signal: AbortSignal): Promise<void> {
    return orAbort(this.#entered.promise, signal)
  }

  /** Who announced this torrent, each told as soon as it is found. Rejects with TrackerError, or with the signal's reason. */
  async find(
    infohash: Infohash,
    signal: AbortSignal,
    onPeer: (peer: TorrentPeer) => void = () => {},
  ): Promise<TorrentPeer[]> {
    const found: Found = { peers: new Map(), onPeer }
    this.#found.set(infohash, found)
    try {
      if ((await this.#lookup(Buffer.from(infohash, 'hex'), signal)) === 0)
        throw new TrackerError('no node of the DHT answers')
    } finally {
      this.#found.delete(infohash)
    }
    return [...found.peers.values()]
  }

  /** Somebody who may be a node. */
  meet(node: TorrentPeer): void {
    const { port } = node
    const host = this.#addresses.inner(node.host)
    const isKnown = this.#client.nodes.toArray().some((one) => one.host === host && one.port === port)
    if (host !== null && !isKnown && !this.#stopping.signal.aborted) this.#client.addNode({ host, port })
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#stopping.abort()
    await this.#save()
    await new Promise<void>((resolve) => this.#client.destroy(resolve))
  }

  /** How many nodes answered. */
  #lookup(infohash: Uint8Array, signal: AbortSignal): Promise<number> {
    return until<number>(signal, LOOKUP_MS_MAX, (done) => {
      const end = this.#client.lookup(infohash, (_, count = 0) => {
        clearTimeout(timer)
        done(count)
      })
      // Nodes that name ever nearer ones would keep it going for ever.
      const timer = setTimeout(end, LOOKUP_MS)
      timer.unref()
    })
  }

  #note(inner: TorrentPeer, infohash: Buffer): void {
    const host = this.#addresses.outer(inner.host)
    if (host === null) return
    const peer = { host, port: inner.port }
    const found = this.#found.get(infohash.toString('hex'))
    const name = `${host} ${peer.port}`
    if (found === undefined || found.peers.size >= PEERS_MAX || found.peers.has(name)) return
    found.peers.set(name, peer)
    found.onPeer(peer)
  }

  /** The package took a node into its table. */
  #met({ id, host: inner }: DhtNode): void {
    this.#entered.resolve()
    // One machine with many ids could surround a torrent, or fill the table.
    const host = this.#addresses.outer(inner)
    const machine = host && this.#addresses.machineOf(host)
    const isOfIt = (node: DhtNode) => {
      const other = this.#addresses.outer(node.host)
      return other !== null && this.#addresses.machineOf(other) === machine
    }
    const isAlone = this.#client.nodes.toArray().filter(isOfIt).length === 1
    if (host === null || (!isAlone && !isPrivateHost(host))) this.#client.removeNode(id)
    void this.#populate()
  }

  /** Looks for our own neighbours as long as few nodes are known. */
  async #populate(): Promise<void> {
    const count = this.#client.nodes.count()
    if (this.#isPopulating || this.#stopping.signal.aborted || count === 0 || count >= BUCKET_NODES) return
    this.#isPopulating = true
    try {
      await this.#lookup(this.#client.nodeId, this.#stopping.signal)
    } catch (error) {
      this.#log?.debug({ error: String(error) }, 'nobody near in the DHT')
    } finally {
      this.#isPopulating = false
    }
  }

  /** Now and then. */
  #look(): void {
    const nowMs = performance.now()
    // Whom the package knows must not be forgotten between it and the network.
    for (const { host } of this.#client.nodes.toArray()) this.#addresses.outer(host)
    if (nowMs - this.#savedAtMs >= SAVE_MS) {
      this.#savedAtMs = nowMs
      void this.#save()
    }
    if (this.#client.nodes.count() >= BUCKET_NODES) this.#bootstraps = 0
    else if (nowMs >= this.#bootstrapAtMs) void this.#enter(nowMs)
  }

  async #enter(nowMs: number): Promise<void> {
    const pauseMs = BOOTSTRAP_PAUSE_MS_MIN * 2 ** Math.min(this.#bootstraps++, 10)
    this.#bootstrapAtMs = nowMs + Math.min(pauseMs, BOOTSTRAP_PAUSE_MS_MAX)
    const remembered = this.#remembered
    this.#remembered = []
    for (const node of remembered) this.meet(node)
    for (const { host, port } of this.#bootstrap) {
      try {
        const family = this.family === 'ipv4' ? 4 : 6
        const { address } = isIP(host) === 0 ? await lookup(host, { family }) : { address: host }
        this.meet({ host: address, port })
      } catch (error) {
        this.#log?.debug({ host, error: String(error) }, 'a router of the DHT has no address')
      }
    }
    // Who is known already may not have answered the last time.
    void this.#populate()
  }

  #save(): Promise<void> {
    const nodes = this.#client.nodes.toArray().flatMap(({ host: inner, port }) => {
      const host = this.#addresses.outer(inner)
      return host === null ? [] : [{ host, port }]
    })
    return this.#file.save({ id: Buffer.from(this.#client.nodeId).toString('hex'), nodes })
  }
}

/**
 * BitTorrent's mainline DHT (BEP 5, IPv4) as a place to announce at: an adapter around bittorrent-dht, one client for all
 * torrents. The package has table, look-ups and answers; ours are the socket (`dht-socket`), who is asked first, when, and how long.
 */
import { lookup } from 'node:dns/promises'
import { isIPv4 } from 'node:net'
import { Client, type DhtNode } from 'bittorrent-dht'
import type { Infohash } from '../../protocol/ids.ts'
import type { DiscoveryStats, Log, TorrentPeer } from '../ports.ts'
import type { AnnouncePlace, PlaceAnswer } from './announce-place.ts'
import { AnnounceSchedule } from './announce-schedule.ts'
import { loadOrBegin, type SavedNodes, saveNodes } from './dht-nodes.ts'
import { type DhtOptions, nodeOf } from './dht-options.ts'
import { DhtSocket } from './dht-socket.ts'
import { until } from './dht-wait.ts'
import { isPrivateHost, mayBePublic } from './told-hosts.ts'
import { startError } from './torrent-errors.ts'
import { orAbort } from './torrent-transfer.ts'
import { type Announce, TrackerError } from './tracker-answer.ts'

interface Surroundings {
  /** Address to listen on. */
  readonly host: string
  /** By which others reach us. */
  readonly announceHost: string
  /** Others are asked and not answered, and told so (BEP 43): for who is there for a moment only. @default false */
  readonly isReader?: boolean
  readonly log?: Log | undefined
}

interface Found {
  readonly peers: Map<string, TorrentPeer>
  readonly onPeer: (peer: TorrentPeer) => void
}

/** Programs forget a peer that was not announced for half an hour. */
const INTERVAL_MS = 15 * 60_000
/** Of all torrents together. */
const LOOKUP_GAP_MS = 1_000
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

export class Dht implements AnnouncePlace {
  readonly name = 'DHT'
  readonly schedule = new AnnounceSchedule({
    intervalMs: INTERVAL_MS,
    gapMsMin: LOOKUP_GAP_MS,
    gapMsMax: LOOKUP_GAP_MS,
  })
  readonly isPrivate: boolean
  readonly #client: Client
  readonly #socket: DhtSocket
  readonly #bootstrap: readonly TorrentPeer[]
  readonly #nodesPath: string | null
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
  #saving = Promise.resolve()
  #isPopulating = false
  #announcedAtMs: number | null = null

  /** Rejects with an Error of one plain sentence when the port is in use or forbidden. */
  static async start(options: DhtOptions & { readonly port: number }, around: Surroundings): Promise<Dht> {
    const { nodesPath } = options
    const saved = nodesPath === null ? null : await loadOrBegin(nodesPath, around.log)
    const bootstrap = options.bootstrap.map(nodeOf)
    const isPrivate = bootstrap.some(({ host }) => isPrivateHost(host))
    const isPublic = mayBePublic(around.announceHost)
    let dht: Dht | null = null
    const host = around.host === '::' ? '0.0.0.0' : around.host
    const socket = await DhtSocket.open({
      host,
      port: options.port,
      mayReach: (address) => (isPrivateHost(address) ? isPrivate : isPublic),
      onAsker: (node) => dht?.meet(node),
      isReader: around.isReader ?? false,
    }).catch((error: NodeJS.ErrnoException) => {
      throw startError(error, host, options.port, 'DHT')
    })
    dht = new Dht(socket, { isPrivate, bootstrap, saved, nodesPath, log: around.log })
    return dht
  }

  private constructor(
    socket: DhtSocket,
    kept: {
      readonly isPrivate: boolean
      readonly bootstrap: readonly TorrentPeer[]
      readonly saved: SavedNodes | null
      readonly nodesPath: string | null
      readonly log: Log | undefined
    },
  ) {
    this.isPrivate = kept.isPrivate
    this.#bootstrap = kept.bootstrap
    this.#remembered = kept.saved?.nodes ?? []
    this.#nodesPath = kept.nodesPath
    this.#log = kept.log
    this.#socket = socket
    this.#client = new Client({
      ...(kept.saved === null ? {} : { nodeId: kept.saved.id }),
      bootstrap: false,
      socket,
      k: BUCKET_NODES,
      concurrency: CONCURRENCY,
      maxTables: 16,
      maxPeers: 2_000,
      maxAge: 2 * INTERVAL_MS,
    })
    this.#client.on('node', (node: DhtNode) => this.#met(node))
    this.#client.on('peer', (peer: TorrentPeer, infohash: Buffer) => this.#note(peer, infohash))
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

  stats(): DiscoveryStats {
    const nodes = this.#client.nodes.count()
    return { off: null, port: this.port, nodes, announcedAtMs: this.#announcedAtMs }
  }

  async announce([one]: readonly Announce[], signal: AbortSignal): Promise<PlaceAnswer> {
    if (one === undefined) throw new TrackerError('nothing to announce')
    const infohash = Buffer.from(one.infohash, 'hex')
    const peers = await this.find(one.infohash, signal)
    const taken = await until<number>(signal, LOOKUP_MS_MAX, (done) =>
      this.#client.announce(infohash, this.isPrivate ? one.port : one.outsidePort, (_, count = 0) =>
        done(count),
      ),
    )
    if (taken > 0) this.#announcedAtMs = Date.now()
    return {
      intervalMs: INTERVAL_MS,
      seeds: peers.length,
      // Unknown. Those who lack something find us there as we find them.
      leeches: 0,
      peers,
      isPoor: taken === 0 || (one.leftBytes > 0 && peers.length === 0),
    }
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
    const known = this.#client.nodes.toArray()
    if (
      this.#stopping.signal.aborted ||
      known.some(({ host, port }) => host === node.host && port === node.port)
    )
      return
    this.#client.addNode(node)
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

  #note(peer: TorrentPeer, infohash: Buffer): void {
    const found = this.#found.get(infohash.toString('hex'))
    const name = `${peer.host}:${peer.port}`
    if (found === undefined || found.peers.size >= PEERS_MAX || found.peers.has(name)) return
    found.peers.set(name, peer)
    found.onPeer(peer)
  }

  /** The package took a node into its table. */
  #met({ id, host }: DhtNode): void {
    this.#entered.resolve()
    // One machine with many ids could surround a torrent, or fill the table.
    const others = this.#client.nodes.toArray().filter((node) => node.host === host)
    if (others.length > 1 && !isPrivateHost(host)) this.#client.removeNode(id)
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
        const { address } = isIPv4(host) ? { address: host } : await lookup(host, { family: 4 })
        this.meet({ host: address, port })
      } catch (error) {
        this.#log?.debug({ host, error: String(error) }, 'a router of the DHT has no address')
      }
    }
    // Who is known already may not have answered the last time.
    void this.#populate()
  }

  #save(): Promise<void> {
    const path = this.#nodesPath
    const nodes = this.#client.nodes.toArray()
    // What was known is worth more than nothing.
    if (path === null || nodes.length === 0) return this.#saving
    const id = Buffer.from(this.#client.nodeId).toString('hex')
    this.#saving = this.#saving
      .then(() => saveNodes(path, { id, nodes }))
      .catch((error: unknown) =>
        this.#log?.warn({ path, error: String(error) }, 'the nodes of the DHT could not be kept'),
      )
    return this.#saving
  }
}

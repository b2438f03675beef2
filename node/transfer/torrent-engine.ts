// Longer than 300 lines: every method of the port, in one adapter.
/**
 * The BitTorrent engine: an adapter around WebTorrent.
 *
 * A fetch goes in two steps. First a torrent that knows only its infohash, whose wires carry our own BEP 9 exchange: no
 * payload can be asked for or written yet. When the raw info dictionary passed `accept`, that one is dropped and a second
 * torrent is added with whole metadata and our chunk store. A whole small fetch
 * takes about 15 ms on loopback, both steps together. What takes only a part of a torrent (`fetchFile`, `open`) stays with the
 * first torrent and asks its wires itself.
 */

import type { Socket } from 'node:net'
import type WebTorrent from 'webtorrent'
import type { Infohash } from '../../protocol/ids.ts'
import { decodeInfo, type Info, infohashOf } from '../../protocol/torrent/info.ts'
import type { FileTime } from '../files/file-time.ts'
import {
  type Discovery,
  type SeedSource,
  type TorrentEngine,
  TorrentError,
  type TorrentPeer,
  type TorrentReader,
  type TorrentStats,
} from '../ports.ts'
import { Announcer, type AnnouncerOptions } from './announcer.ts'
import { BlockMemory } from './block-memory.ts'
import { ChunkStore } from './chunk-store.ts'
import { Dialler } from './dialler.ts'
import { type RunningDiscovery, startDiscovery } from './discovery.ts'
import { NO_DISCOVERY } from './discovery-stats.ts'
import { Door } from './door.ts'
import { FilePool } from './file-pool.ts'
import { FileTaker } from './file-taker.ts'
import { PieceMemory } from './piece-memory.ts'
import { PieceTaker, readerOf } from './piece-taker.ts'
import { sourceOf } from './seed-source.ts'
import { Seeds } from './seeds.ts'
import { SwarmFetch } from './swarm-fetch.ts'
import { listen, type WebTorrentEngineOptions } from './torrent-client.ts'
import { aborted, asTorrentError } from './torrent-errors.ts'
import { type Opened, openTorrent } from './torrent-opening.ts'
import { attach, orAbort, type Taker, Transfer } from './torrent-transfer.ts'
import { Outgoing } from './wire-guard.ts'

type FetchOptions = Parameters<TorrentEngine['fetchFile']>[3]
type Fetched = Awaited<ReturnType<TorrentEngine['fetchFile']>>

/** Least time between two progress reports of a fetch. */
const PROGRESS_MS = 200
const TORRENTS_MAX = 10_000

export class WebTorrentEngine implements TorrentEngine {
  readonly #options: WebTorrentEngineOptions
  readonly #pool: FilePool
  readonly #blocks = new BlockMemory()
  readonly #memory = new PieceMemory()
  /** Fetches and readings; what is seeded is in `seeds`. */
  readonly #transfers = new Map<Infohash, Transfer>()
  readonly #seeds: Seeds
  readonly #announcer: Announcer
  #seedFailed: (infohash: Infohash, error: TorrentError) => void = () => {}
  #door: Door | null = null
  #discovery: RunningDiscovery | null = null
  #client: WebTorrent | null = null
  #port = 0
  #outside: TorrentPeer | null = null

  constructor(options: WebTorrentEngineOptions) {
    this.#options = options
    this.#pool = new FilePool(options.openFilesMax)
    const outgoing = new Outgoing()
    this.#seeds = new Seeds({
      run: async (transfer, root, metadata, times) => {
        transfer.outgoing = outgoing
        await this.#open(transfer, root, metadata, times)
        transfer.doneBytes = () => transfer.sizeBytes
      },
      onFailed: (infohash, error) => {
        this.#announcer.delete(infohash)
        this.#seedFailed(infohash, error)
      },
      awakeMax: options.seedsAwakeMax,
      sleepAfterMs: options.sleepAfterMs,
      log: options.log,
    })
    this.#announcer = new Announcer({
      trackers: options.trackers ?? [],
      host: options.announceHost ?? options.host ?? '127.0.0.1',
      log: options.log,
      describe: (infohash) => this.#describe(infohash),
      onPeers: (infohash, peers, { leeches }) => {
        // Of what is complete here only those that lack something are worth a call.
        if (leeches > 0 || this.#transfers.has(infohash)) this.addPeers(infohash, peers)
      },
    })
  }

  get port(): number {
    return this.#port
  }

  /** Rejects with an Error of one plain sentence when the port is in use or forbidden. */
  async start(): Promise<void> {
    if (this.#client !== null) throw new TorrentError('engine', 'the BitTorrent engine runs already')
    const { log } = this.#options
    const discovery = await startDiscovery(this.#options, (infohashes, peer) => {
      for (const infohash of infohashes) if (this.#transfers.has(infohash)) this.addPeers(infohash, [peer])
    })
    const client = await listen(this.#options).catch(async (error: unknown) => {
      await discovery.stop()
      throw error
    })
    client.on('error', (error: Error) => {
      log?.error({ error: error.message }, 'the BitTorrent engine failed')
      if (!client.destroyed) return
      const failure = new TorrentError('engine', error.message)
      for (const transfer of this.#transfers.values()) transfer.fail(failure)
      this.#seeds.failAll(failure)
    })
    const { tcpServer, _onTCPConnectionBound } = client._connPool
    tcpServer.removeListener('connection', _onTCPConnectionBound)
    const { handshakeMs } = this.#options
    this.#door = new Door(tcpServer, {
      wake: (infohash) => this.#wake(infohash),
      admit: (socket, infohash) => this.#admit(client, socket, infohash),
      ...(handshakeMs === undefined ? {} : { handshakeMs }),
    })
    this.#client = client
    this.#discovery = discovery
    this.#port = client.torrentPort
    this.#seeds.start()
    this.#announcer.start(discovery.places)
  }

  async seed(torrent: Uint8Array | SeedSource, root: string): Promise<void> {
    const source = torrent instanceof Uint8Array ? await sourceOf(torrent, root) : torrent
    if (this.#client === null) throw new TorrentError('engine', 'the BitTorrent engine is not running')
    const { infohash } = source
    if (this.#transfers.has(infohash)) throw new TorrentError('engine', `${infohash} is active already`)
    await this.#seeds.add(source, root)
    this.#announcer.add(infohash, false)
  }

  onSeedFailed(handler: (infohash: Infohash, error: TorrentError) => void): void {
    this.#seedFailed = handler
  }

  async fetch(
    infohash: Infohash,
    root: string,
    options: FetchOptions & { onProgress?: (stats: TorrentStats) => void },
  ): Promise<Fetched> {
    return this.#fetch(infohash, null, options, async (transfer, metadata) => {
      await transfer.halt()
      transfer.state = 'fetching'
      await this.#fetchPieces(transfer, root, metadata, options.onProgress)
    })
  }

  async fetchFile(infohash: Infohash, file: number, path: string, options: FetchOptions): Promise<Fetched> {
    const taker = new FileTaker()
    return this.#fetch(infohash, taker, options, async (transfer, { info }) => {
      transfer.state = 'fetching'
      await orAbort(taker.take(info, file, path), transfer.signal)
    })
  }

  async open(
    infohash: Infohash,
    options: FetchOptions & { info?: Uint8Array; patienceMs?: number },
  ): Promise<TorrentReader> {
    const taker = new PieceTaker(options.patienceMs)
    const opened = Promise.withResolvers<TorrentReader>()
    const closed = Promise.withResolvers<void>()
    const running = this.#fetch(infohash, taker, options, async (transfer, { raw, info }) => {
      transfer.state = 'fetching'
      taker.begin(info)
      opened.resolve(readerOf(taker, transfer, raw, closed.resolve))
      await orAbort(closed.promise, transfer.signal)
    })
    // A failure after the opening is told to whoever reads.
    running.catch((error: unknown) => opened.reject(error))
    return opened.promise
  }

  addPeers(infohash: Infohash, peers: readonly TorrentPeer[]): void {
    const others = peers.filter((peer) => !this.#isSelf(peer))
    const transfer = this.#transfers.get(infohash)
    if (transfer?.taker?.isClosed !== true) transfer?.dialler.addPeers(others)
    if (transfer !== undefined || others.length === 0 || !this.#seeds.has(infohash)) return
    this.#seeds.wake(infohash).then(
      (seed) => seed.dialler.addPeers(others),
      () => {}, // it was said where it failed
    )
  }

  setOutside(endpoint: TorrentPeer | null): void {
    const isNew = (endpoint?.port ?? this.#port) !== (this.#outside?.port ?? this.#port)
    this.#outside = endpoint
    if (isNew) this.#announcer.again()
  }

  async remove(infohash: Infohash): Promise<void> {
    this.#announcer.delete(infohash)
    await this.#seeds.remove(infohash)
    const transfer = this.#transfers.get(infohash)
    if (transfer === undefined) return
    transfer.fail(aborted())
    await transfer.ended
  }

  async stats(): Promise<TorrentStats[]> {
    return [...this.#seeds.stats(), ...[...this.#transfers.values()].map((transfer) => transfer.stats())]
  }

  async discovery(): Promise<Discovery> {
    return this.#discovery?.stats() ?? NO_DISCOVERY
  }

  async stop(): Promise<void> {
    const client = this.#client
    this.#client = null
    if (client === null) return
    this.#door?.close()
    await this.#announcer.stop()
    await this.#discovery?.stop()
    await this.#seeds.stop()
    await Promise.all([...this.#transfers.keys()].map((infohash) => this.remove(infohash)))
    if (!client.destroyed) await new Promise<void>((resolve) => client.destroy(() => resolve()))
    await this.#pool.close()
  }

  /** Somebody's handshake names this torrent. */
  async #wake(infohash: Infohash): Promise<boolean> {
    if (this.#transfers.has(infohash)) return true
    if (!this.#seeds.has(infohash)) return false
    await this.#seeds.wake(infohash)
    return true
  }

  #admit(client: WebTorrent, socket: Socket, infohash: Infohash): void {
    if (this.#seeds.has(infohash)) {
      this.#seeds.enter(infohash)
      socket.once('close', () => this.#seeds.leave(infohash))
    }
    client._connPool._onTCPConnectionBound(socket)
  }

  #begin(infohash: Infohash, state: TorrentStats['state'], dialler: Dialler, taker?: Taker | null) {
    if (this.#client === null) throw new TorrentError('engine', 'the BitTorrent engine is not running')
    if (this.#transfers.has(infohash) || this.#seeds.has(infohash)) {
      throw new TorrentError('engine', `${infohash} is active already`)
    }
    if (this.#transfers.size >= TORRENTS_MAX) throw new TorrentError('engine', 'too many torrents')
    const transfer = new Transfer(infohash, state, dialler, taker)
    this.#transfers.set(infohash, transfer)
    if (transfer.taker === null) this.#announcer.add(infohash, true)
    return transfer
  }

  /** What trackers are told of it. */
  #describe(infohash: Infohash): ReturnType<AnnouncerOptions['describe']> {
    const transfer = this.#transfers.get(infohash)
    const counts = transfer ?? this.#seeds.counts(infohash)
    if (counts === null || this.#client === null) return null
    // Of a torrent whose size is not known yet something is left.
    const leftBytes = transfer === undefined ? 0 : Math.max(transfer.sizeBytes - transfer.doneBytes(), 1)
    const { uploadedBytes } = counts
    const downloadedBytes = transfer?.downloadedBytes ?? 0
    return {
      peerId: this.#client.peerId,
      port: this.#port,
      outsidePort: this.#outside?.port ?? this.#port,
      uploadedBytes,
      downloadedBytes,
      leftBytes,
    }
  }

  #isSelf({ host, port }: TorrentPeer): boolean {
    const { host: own = '127.0.0.1', announceHost } = this.#options
    if (host === this.#outside?.host && port === this.#outside.port) return true
    return port === this.#port && (host === own || host === announceHost)
  }

  /** The info dictionary first; once it is accepted, `body` fetches what it names. */
  async #fetch(
    infohash: Infohash,
    taker: Taker | null,
    options: FetchOptions & { info?: Uint8Array },
    body: (transfer: Transfer, metadata: { raw: Uint8Array; info: Info }) => Promise<void>,
  ): Promise<Fetched> {
    if (options.signal?.aborted) throw aborted()
    const transfer = this.#begin(infohash, 'fetching-metadata', new Dialler(), taker)
    const abort = () => transfer.fail(aborted())
    options.signal?.addEventListener('abort', abort, { once: true })
    try {
      transfer.dialler.addPeers(options.peers.filter((peer) => !this.#isSelf(peer)))
      const raw = await this.#fetchInfo(transfer, options.info)
      const info = decodeInfo(raw)
      const isWanted = info !== null && (await orAbort(Promise.resolve(options.accept(raw)), transfer.signal))
      if (info === null || !isWanted) {
        const detail = `the info dictionary of ${infohash} is not what was expected`
        throw new TorrentError('metadata-mismatch', detail)
      }
      await body(transfer, { raw, info })
      return { info: raw, downloadedBytes: transfer.downloadedBytes }
    } catch (error) {
      throw asTorrentError(error)
    } finally {
      options.signal?.removeEventListener('abort', abort)
      await this.#end(transfer)
    }
  }

  /** Step one: the raw info dictionary, its SHA-1 checked; peers are only dialled when it is known already. */
  async #fetchInfo(transfer: Transfer, known?: Uint8Array): Promise<Uint8Array> {
    const { infohash } = transfer
    const torrent = this.#running(transfer).add(infohash, {})
    transfer.torrent = torrent
    if (known !== undefined && infohashOf(known) === infohash) {
      attach(torrent, transfer, { kind: 'serve', info: known }, this.#options.log)
      return known
    }
    const { promise, resolve } = Promise.withResolvers<Uint8Array>()
    attach(torrent, transfer, { kind: 'want', infohash, onInfo: resolve }, this.#options.log)
    return orAbort(promise, transfer.signal)
  }

  /** Step two: what is on disk is checked, the rest fetched, all made durable. */
  async #fetchPieces(
    transfer: Transfer,
    root: string,
    metadata: { raw: Uint8Array; info: Info },
    onProgress: ((stats: TorrentStats) => void) | undefined,
  ): Promise<void> {
    const { torrent, store } = await this.#open(transfer, root, metadata)
    const fetch = new SwarmFetch({
      torrent,
      info: metadata.info,
      memory: this.#memory,
      put: (piece, bytes) => store.put(piece, bytes),
    })
    transfer.doneBytes = () => fetch.doneBytes
    let reportedAt = 0
    const report = () => {
      const now = performance.now()
      if (now - reportedAt < PROGRESS_MS) return
      reportedAt = now
      onProgress?.(transfer.stats())
    }
    torrent.on('verified', report)
    try {
      await orAbort(fetch.done, transfer.signal)
    } finally {
      fetch.stop()
    }
    await store.seal()
    transfer.doneBytes = () => transfer.sizeBytes
    onProgress?.(transfer.stats())
  }

  #open(
    transfer: Transfer,
    root: string,
    metadata: { raw: Uint8Array; info: Info },
    times?: readonly FileTime[],
  ): Promise<Opened> {
    return openTorrent(this.#running(transfer), transfer, {
      ...metadata,
      store: new ChunkStore(this.#pool, root, metadata.info, times, this.#blocks),
      root,
      log: this.#options.log,
    })
  }

  /** The package, as long as it runs and the transfer may go on. Throws TorrentError. */
  #running(transfer: Transfer): WebTorrent {
    if (this.#client === null) throw aborted()
    transfer.signal.throwIfAborted()
    return this.#client
  }

  async #end(transfer: Transfer): Promise<void> {
    await transfer.halt()
    if (this.#transfers.get(transfer.infohash) === transfer) {
      this.#transfers.delete(transfer.infohash)
      this.#announcer.delete(transfer.infohash)
    }
    transfer.end()
  }
}

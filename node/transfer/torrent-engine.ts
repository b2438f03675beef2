/**
 * The BitTorrent engine: an adapter around WebTorrent.
 *
 * A fetch goes in two steps. First a torrent that knows only its infohash, whose wires carry our own BEP 9 exchange: no
 * payload can be asked for or written yet. When the raw info dictionary passed `accept`, that one is dropped and a second
 * torrent is added with whole metadata and our chunk store. A whole small fetch
 * takes about 15 ms on loopback, both steps together. What takes only a part of a torrent (`fetchFile`, `open`) stays with the
 * first torrent and asks its wires itself.
 */

import type WebTorrent from 'webtorrent'
import type { TorrentOptions } from 'webtorrent'
import type { Infohash } from '../../protocol/ids.ts'
import { decodeInfo, type Info, infohashOf } from '../../protocol/torrent/info.ts'
import { decodeMetainfo, encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import {
  type TorrentEngine,
  TorrentError,
  type TorrentPeer,
  type TorrentReader,
  type TorrentStats,
} from '../ports.ts'
import { ChunkStore, checkSizes } from './chunk-store.ts'
import { Dialler } from './dialler.ts'
import { FilePool } from './file-pool.ts'
import { FileTaker } from './file-taker.ts'
import { PieceTaker, readerOf } from './piece-taker.ts'
import { listen, type WebTorrentEngineOptions } from './torrent-client.ts'
import { aborted, asTorrentError, diskError, isMissing } from './torrent-errors.ts'
import { attach, orAbort, storeClass, type Taker, Transfer, until } from './torrent-transfer.ts'
import type { EngineTorrent } from './wire.ts'

type FetchOptions = Parameters<TorrentEngine['fetchFile']>[3]
type Fetched = Awaited<ReturnType<TorrentEngine['fetchFile']>>

/** Dials of a seed to a peer that wants from it: that one dials too. */
const SEED_DIALS_MAX = 6
/** Least time between two progress reports of a fetch. */
const PROGRESS_MS = 200
const TORRENTS_MAX = 10_000

export class WebTorrentEngine implements TorrentEngine {
  readonly #options: WebTorrentEngineOptions
  readonly #pool: FilePool
  readonly #transfers = new Map<Infohash, Transfer>()
  #client: WebTorrent | null = null
  #port = 0

  constructor(options: WebTorrentEngineOptions) {
    this.#options = options
    this.#pool = new FilePool(options.openFilesMax)
  }

  get port(): number {
    return this.#port
  }

  /** Rejects with an Error of one plain sentence when the port is in use or forbidden. */
  async start(): Promise<void> {
    if (this.#client !== null) throw new TorrentError('engine', 'the BitTorrent engine runs already')
    const { log } = this.#options
    const client = await listen(this.#options)
    client.on('error', (error: Error) => {
      log?.error({ error: error.message }, 'the BitTorrent engine failed')
      if (!client.destroyed) return
      for (const transfer of this.#transfers.values())
        transfer.fail(new TorrentError('engine', error.message))
    })
    this.#client = client
    this.#port = client.torrentPort
  }

  async seed(torrent: Uint8Array, root: string): Promise<void> {
    const metainfo = decodeMetainfo(torrent)
    const info = metainfo === null ? null : decodeInfo(metainfo.info)
    if (metainfo === null || info === null) {
      throw new TorrentError('metadata-mismatch', 'not a .torrent file of a shard')
    }
    const { infohash } = metainfo
    const known = this.#transfers.get(infohash)
    if (known?.state === 'seeding') return
    if (known?.state === 'failed') await this.remove(infohash)
    const transfer = this.#begin(infohash, 'seeding', new Dialler({ attemptsMax: SEED_DIALS_MAX }))
    try {
      await checkSizes(root, info)
      await this.#open(transfer, root, { raw: metainfo.info, info }, transfer.signal)
      transfer.doneBytes = () => transfer.sizeBytes
    } catch (error) {
      await this.#end(transfer)
      throw asTorrentError(error)
    }
    // From here on a failure (a file that vanished) stops the seed; stats say so until it is removed.
    transfer.signal.addEventListener('abort', () => void transfer.halt(), { once: true })
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
    const transfer = this.#transfers.get(infohash)
    if (transfer?.taker === null) this.#dial(transfer, peers)
  }

  async remove(infohash: Infohash): Promise<void> {
    const transfer = this.#transfers.get(infohash)
    if (transfer === undefined) return
    transfer.fail(aborted())
    await (transfer.isFetch ? transfer.ended : this.#end(transfer))
  }

  stats(): TorrentStats[] {
    return [...this.#transfers.values()].map((transfer) => transfer.stats())
  }

  async stop(): Promise<void> {
    const client = this.#client
    this.#client = null
    if (client === null) return
    await Promise.all([...this.#transfers.keys()].map((infohash) => this.remove(infohash)))
    if (!client.destroyed) await new Promise<void>((resolve) => client.destroy(() => resolve()))
    await this.#pool.close()
  }

  #begin(infohash: Infohash, state: TorrentStats['state'], dialler: Dialler, taker?: Taker | null) {
    if (this.#client === null) throw new TorrentError('engine', 'the BitTorrent engine is not running')
    if (this.#transfers.has(infohash)) throw new TorrentError('engine', `${infohash} is active already`)
    if (this.#transfers.size >= TORRENTS_MAX) throw new TorrentError('engine', 'too many torrents')
    const transfer = new Transfer(infohash, state, dialler, taker)
    this.#transfers.set(infohash, transfer)
    return transfer
  }

  #dial({ dialler }: Transfer, peers: readonly TorrentPeer[]): void {
    for (const { host, port } of peers) {
      if (!Number.isInteger(port) || port < 1 || port > 65_534) continue
      if (port === this.#port && host === (this.#options.host ?? '127.0.0.1')) continue
      dialler.add(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
    }
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
      this.#dial(transfer, options.peers)
      const raw = await this.#fetchInfo(transfer, options.info)
      const info = decodeInfo(raw)
      if (info === null || !options.accept(raw)) {
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
    const torrent = this.#add(transfer, infohash, {})
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
    const { torrent, store } = await this.#open(transfer, root, metadata, transfer.signal)
    transfer.doneBytes = () => torrent.downloaded
    let reportedAt = 0
    const report = () => {
      const now = performance.now()
      if (now - reportedAt < PROGRESS_MS) return
      reportedAt = now
      onProgress?.(transfer.stats())
    }
    torrent.on('verified', report)
    const last = torrent.pieces.length - 1
    // Fetchers that begin at different places have something to give each other; the package's own rarest-first is slow.
    const cut = Math.floor(Math.random() * torrent.pieces.length)
    if (!torrent.done) {
      const done = until(torrent, 'done', transfer.signal)
      torrent.select(cut, last, 1)
      if (cut > 0) torrent.select(0, cut - 1, 0)
      await done
    }
    await store.seal()
    transfer.doneBytes = () => transfer.sizeBytes
    onProgress?.(transfer.stats())
  }

  /** Adds a torrent with whole metadata and our store, until it is ready (and, for a fetch, what is on disk is checked). */
  async #open(
    transfer: Transfer,
    root: string,
    { raw, info }: { raw: Uint8Array; info: Info },
    signal: AbortSignal,
  ): Promise<{ torrent: EngineTorrent; store: ChunkStore }> {
    const store = new ChunkStore(this.#pool, root, info)
    transfer.store = store
    transfer.sizeBytes = store.totalBytes
    const torrent = this.#add(transfer, encodeMetainfo({ info: raw }), {
      path: root,
      store: storeClass(store, (error, reading) => {
        // A fetch begins by looking for what is there; that a file is not is no failure.
        const expected = reading && transfer.isFetch && !torrent.ready && isMissing(error)
        if (!expected && !signal.aborted) transfer.fail(diskError(error))
      }),
      storeCacheSlots: 0,
      skipVerify: !transfer.isFetch,
      deselect: true,
    })
    attach(torrent, transfer, { kind: 'serve', info: raw }, this.#options.log)
    await until(torrent, 'ready', signal)
    return { torrent, store }
  }

  #add(transfer: Transfer, id: string | Uint8Array, options: TorrentOptions): EngineTorrent {
    if (this.#client === null) throw aborted()
    transfer.signal.throwIfAborted()
    const torrent = this.#client.add(id, options)
    transfer.torrent = torrent
    return torrent
  }

  async #end(transfer: Transfer): Promise<void> {
    await transfer.halt()
    if (this.#transfers.get(transfer.infohash) === transfer) this.#transfers.delete(transfer.infohash)
    transfer.end()
  }
}

/** One active torrent of the engine: its counters, its end, and the listeners that keep both. */
import type { Socket } from 'node:net'
import type { Infohash } from '../../protocol/ids.ts'
import { type Log, TorrentError, type TorrentStats } from '../ports.ts'
import { Blame } from './blame.ts'
import { answerRequests } from './block-answers.ts'
import { CalledSocket } from './called-socket.ts'
import type { ChunkStore } from './chunk-store.ts'
import type { Dialler } from './dialler.ts'
import { gatherMessages, gatherWrites } from './gather-writes.ts'
import { hearOfLastPiece } from './last-piece.ts'
import { type MetadataRole, metadataExchange } from './metadata-exchange.ts'
import { diskError } from './torrent-errors.ts'
import type { EngineTorrent, Wire } from './wire.ts'
import { guardWire, Outgoing } from './wire-guard.ts'

/** What asks the wires itself instead of leaving that to the engine's package. */
export interface Taker {
  /** Nobody is asked but the peers that were given with the order. */
  readonly isClosed: boolean
  /** A peer that may be asked. */
  watch(wire: Wire): void
  /** After this nothing is asked for or written any more. */
  stop(): Promise<void>
}

interface Heard {
  readBytes: number
  readAtMs: number
  writtenBytes: number
  writtenAtMs: number
  readonly sinceMs: number
}

const SILENT_MS_MAX = 180_000
/** A peer that takes nothing of what it asked for holds memory. */
const STUCK_MS_MAX = 30_000
const COMPLETE_MS_MAX = 60_000

export class Transfer {
  readonly infohash: Infohash
  readonly isFetch: boolean
  readonly dialler: Dialler
  /** What takes a part; null = the whole torrent. */
  readonly taker: Taker | null
  state: TorrentStats['state']
  sizeBytes = 0
  /** Payload only, without the protocol's own bytes. */
  downloadedBytes = 0
  uploadedBytes = 0
  /** Monotonic ms of the last block sent or peer met; a seed that is used sleeps later. */
  lastUsedMs = performance.now()
  doneBytes: () => number = () => 0
  /** Shared by all seeds. */
  outgoing = new Outgoing()
  torrent: EngineTorrent | null = null
  store: ChunkStore | null = null
  /** Resolves when nothing of it runs any more. */
  readonly ended: Promise<void>
  readonly end: () => void
  readonly #abort = new AbortController()
  /** What each connection had received when it was last looked at. */
  readonly #heard = new WeakMap<Socket, Heard>()
  #halted = Promise.resolve()

  constructor(
    infohash: Infohash,
    state: TorrentStats['state'],
    dialler: Dialler,
    taker: Taker | null = null,
  ) {
    this.infohash = infohash
    this.state = state
    this.isFetch = state !== 'seeding'
    this.dialler = dialler
    this.taker = taker
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.end = resolve
  }

  /** Aborts when the transfer failed or was stopped; the reason is the TorrentError. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Stops the torrent and closes its files; the transfer stays known. Calls wait for each other. */
  halt(): Promise<void> {
    const { torrent, store, taker } = this
    this.torrent = null
    this.store = null
    this.dialler.stop()
    this.#halted = this.#halted.then(async () => {
      if (torrent !== null) await destroyTorrent(torrent)
      await store?.close()
      await taker?.stop()
    })
    return this.#halted
  }

  /** The first failure counts. */
  fail(error: TorrentError): void {
    if (this.#abort.signal.aborted) return
    this.state = 'failed'
    this.#abort.abort(error)
  }

  /**
   * Hangs up on peers of a seed that take nothing: complete ones, and those that did not even say that they are alive (BEP 3: every
   * two minutes). Called now and then; `nowMs` is monotonic.
   */
  dropIdlers(nowMs: number): void {
    for (const { conn, wire } of [...(this.torrent?._peers?.values() ?? [])]) {
      if (conn === null || wire === null) continue
      const heard = this.#heard.get(conn) ?? newlyHeard(nowMs)
      if (conn.bytesRead !== heard.readBytes) heard.readAtMs = nowMs
      // What the system took, not what waits in this process.
      const writtenBytes = conn.bytesWritten - conn.writableLength
      if (writtenBytes !== heard.writtenBytes || wire._readableState.buffered === 0) heard.writtenAtMs = nowMs
      heard.readBytes = conn.bytesRead
      heard.writtenBytes = writtenBytes
      this.#heard.set(conn, heard)
      const isComplete = wire.isSeeder === true && nowMs - heard.sinceMs > COMPLETE_MS_MAX
      const isStuck = nowMs - heard.writtenAtMs > STUCK_MS_MAX
      if (isComplete || isStuck || nowMs - heard.readAtMs > SILENT_MS_MAX) wire.destroy()
    }
  }

  stats(): TorrentStats {
    return {
      infohash: this.infohash,
      state: this.state,
      sizeBytes: this.sizeBytes,
      doneBytes: this.doneBytes(),
      downloadedBytes: this.downloadedBytes,
      uploadedBytes: this.uploadedBytes,
      peers: this.torrent?.numPeers ?? 0,
    }
  }
}

const newlyHeard = (nowMs: number): Heard => ({
  readBytes: -1,
  readAtMs: nowMs,
  writtenBytes: -1,
  writtenAtMs: nowMs,
  sinceMs: nowMs,
})

/** Wires a torrent to its transfer: peers are dialled, wires guarded, payload counted, liars cut off. */
export function attach(torrent: EngineTorrent, transfer: Transfer, role: MetadataRole, log?: Log): void {
  const { dialler } = transfer
  const blame = new Blame()
  torrent.on('wire', (wire: Wire, address: string | undefined) => {
    const peer = address === undefined ? undefined : torrent._peers?.get(address)
    // The first message may be too long already.
    wire.once('hostile', () => peer?.conn?.emit('hostile'))
    const { store } = transfer
    if (store !== null) {
      answerRequests(wire, store, {
        has: (piece) => torrent.ready && torrent.bitfield.get(piece),
        isOver: () => torrent.destroyed,
        onError: (error) => transfer.fail(diskError(error)),
      })
    }
    const { input, held } = guardWire(wire, () => torrent.destroyed, transfer.outgoing)
    gatherMessages(wire)
    const socket = peer?.conn
    if (address === undefined || peer === undefined || !socket) {
      // It has hung up already.
      wire.destroy()
      return
    }
    wire.use(metadataExchange(role))
    if (transfer.taker !== null) {
      // PROTOCOL 7: anybody may call and send anything; only who was named, and was called by us, is asked.
      if (!(socket instanceof CalledSocket && dialler.has(socket.id))) {
        wire.destroy()
        return
      }
      transfer.taker.watch(wire)
    }
    if (transfer.isFetch) blame.watch(wire)
    else hearOfLastPiece(wire, torrent.pieces.length)
    wire.on('download', (count: number) => (transfer.downloadedBytes += count))
    transfer.lastUsedMs = performance.now()
    wire.on('upload', (count: number) => {
      transfer.uploadedBytes += count
      transfer.lastUsedMs = performance.now()
    })
    peer.on('upload', () => held.serve())
    // The wire writes many small messages; with Nagle's algorithm each batch waits 40 ms for the other side's late ACK.
    socket.setNoDelay(true)
    gatherWrites(socket, (bytes) => store?.memory.sent(bytes))
    // A limit is kept by the package's streams.
    if (socket instanceof CalledSocket && !torrent.client.throttleGroups.down.getEnabled())
      socket.giveTo(input)
    dialler.connected(address)
    wire.once('banned', () => dialler.ban(address))
    wire.once('close', () => {
      // A wire of the metadata step may end when the next step has dialled already.
      if (transfer.torrent === torrent) dialler.closed(address, wire.downloaded > 0)
    })
  })
  // Without a listener the package would raise it at the client, as if that had failed.
  torrent.on('error', (error: Error) =>
    transfer.fail(new TorrentError('engine', error.message, { cause: error })),
  )
  torrent.on('verified', (piece: number) => blame.verified(piece))
  torrent.on('warning', (warning: Error | string) => {
    const message = String(warning instanceof Error ? warning.message : warning)
    log?.debug({ infohash: transfer.infohash, message }, 'torrent warning')
    const piece = /^Piece ([0-9]+) failed verification$/.exec(message)?.[1]
    if (piece === undefined) return
    for (const wire of blame.failed(Number(piece))) {
      log?.warn({ infohash: transfer.infohash, piece: Number(piece) }, 'a BitTorrent peer sent wrong bytes')
      wire.emit('banned')
      wire.destroy()
    }
  })
  // Peers may be added once the infohash is set.
  torrent.once('infoHash', () =>
    dialler.start((address) => {
      if (!torrent.destroyed) call(torrent, address)
    }),
  )
}

/** Unless there is a connection to it already, or too many. */
function call(torrent: EngineTorrent, address: string): void {
  const peers = torrent._peers
  if (peers === null || peers.has(address) || peers.size >= torrent.client.maxConns) return
  const socket = new CalledSocket(address)
  if (!torrent.addPeer(socket)) return
  const peer = peers.get(address)
  if (peer !== undefined) peer.addr = address
  socket.call()
}

/** Resolves at the event; rejects with the transfer's failure. */
export function until(torrent: EngineTorrent, event: 'ready', signal: AbortSignal): Promise<void> {
  return orAbort(new Promise((resolve) => torrent.once(event, resolve)), signal)
}

/** The promise's value, or a rejection with the signal's reason, or with what `why` says. */
export function orAbort<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  why: () => unknown = () => signal.reason,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(why())
    if (signal.aborted) {
      promise.catch(() => {}) // nobody waits for it any more
      return stop()
    }
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

/** Closes all connections and the store; files stay. */
async function destroyTorrent(torrent: EngineTorrent): Promise<void> {
  // In a turn of its own: the package has microtasks under way that forget to look whether the torrent still lives.
  await new Promise((resolve) => setImmediate(resolve))
  if (torrent.destroyed) return
  await new Promise<void>((resolve) => torrent.destroy({ destroyStore: false }, () => resolve()))
}

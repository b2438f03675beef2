/**
 * Parts of a torrent, read into memory: pieces are asked for when somebody wants bytes of them, each whole from one peer, and
 * given out only when their SHA-1 is that of the info dictionary (BEP 3). Who sent a wrong piece is cut off. Several peers are
 * asked at once, for different pieces.
 */
import { createHash } from 'node:crypto'
import { equalBytes } from '../../protocol/codec/bytes.ts'
import { type Info, PIECE_HASH_BYTES } from '../../protocol/torrent/info.ts'
import { type Layout, layoutOf } from '../../protocol/torrent/spans.ts'
import { READ_BYTES_MAX, TorrentError, type TorrentReader } from '../ports.ts'
import { aborted } from './torrent-errors.ts'
import { orAbort, type Taker, type Transfer } from './torrent-transfer.ts'
import type { Wire } from './wire.ts'

/** What every peer answers. */
const BLOCK_BYTES = 16 * 1024
/** Asked for at once of one peer: 1 MiB. */
const REQUESTS_MAX = 64
/** Pieces under way, all peers together. */
const OPEN_BYTES_MAX = 64 * 1024 * 1024
/** Pieces kept after they were read: neighbours in a file share one. */
const CACHE_BYTES_MAX = 32 * 1024 * 1024
/** A peer that needs longer for one piece is left: 10 s and 64 KiB/s. */
const PIECE_MS = 10_000
const PIECE_BYTES_PER_MS_MIN = 64

interface Piece {
  readonly index: number
  readonly promise: Promise<Uint8Array>
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: unknown) => void
}

/** A piece that one peer is asked for. */
interface Taking {
  readonly piece: Piece
  readonly wire: Wire
  readonly bytes: Uint8Array
  readonly timer: NodeJS.Timeout
  /** Where the next block to ask for begins. */
  askedTo: number
  received: number
  /** Requests under way. */
  open: number
}

export class PieceTaker implements Taker {
  readonly isClosed = false
  readonly #patienceMs: number
  readonly #wires = new Set<Wire>()
  /** Wanted and not here, in the order of asking. */
  readonly #wanted = new Map<number, Piece>()
  readonly #taking = new Map<number, Taking>()
  /** The longest unused first. */
  readonly #cache = new Map<number, Uint8Array>()
  #cacheBytes = 0
  #openBytes = 0
  #torrent: { info: Info; layout: Layout } | null = null
  #silence: NodeJS.Timeout | null = null
  #stopped = false

  constructor(patienceMs = 30_000) {
    this.#patienceMs = patienceMs
  }

  /** From now on pieces may be read. */
  begin(info: Info): void {
    this.#torrent = { info, layout: layoutOf(info.files) }
    this.#spread()
  }

  watch(wire: Wire): void {
    this.#wires.add(wire)
    for (const event of ['unchoke', 'bitfield', 'have', 'have-all'])
      wire.on(event, () => {
        // The set of pieces is replaced only after the event.
        queueMicrotask(() => this.#spread())
      })
    wire.once('close', () => {
      this.#wires.delete(wire)
      for (const taking of [...this.#taking.values()]) if (taking.wire === wire) this.#release(taking)
      this.#spread()
    })
    this.#spread()
  }

  /** Bytes of one file. Rejects with RangeError when there are no such bytes, or with TorrentError. */
  async read(file: number, start: number, end: number): Promise<Uint8Array> {
    if (this.#torrent === null) throw new TorrentError('engine', 'the torrent is not open')
    const { info, layout } = this.#torrent
    const fileStart = layout.starts[file]
    const sizeBytes = info.files[file]?.sizeBytes
    if (fileStart === undefined || sizeBytes === undefined) throw new RangeError(`file ${file}`)
    if (!(start >= 0 && start <= end && end <= sizeBytes)) {
      throw new RangeError(`bytes ${start}..${end} of ${sizeBytes}`)
    }
    if (end - start > READ_BYTES_MAX) throw new RangeError(`more than ${READ_BYTES_MAX} bytes at once`)
    const out = new Uint8Array(end - start)
    const [from, to] = [fileStart + start, fileStart + end]
    const length = info.pieceLengthBytes
    const copies: Promise<void>[] = []
    for (let index = Math.floor(from / length); index * length < to; index++) {
      const at = index * length
      const copy = (bytes: Uint8Array) => {
        const piece = bytes.subarray(Math.max(0, from - at), to - at)
        out.set(piece, Math.max(0, at - from))
      }
      copies.push(this.#piece(index).then(copy))
    }
    await Promise.all(copies)
    return out
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const taking of [...this.#taking.values()]) this.#release(taking)
    this.#fail(aborted())
    this.#cache.clear()
  }

  #piece(index: number): Promise<Uint8Array> {
    const kept = this.#cache.get(index)
    if (kept !== undefined) {
      this.#cache.delete(index)
      this.#cache.set(index, kept)
      return Promise.resolve(kept)
    }
    if (this.#stopped) return Promise.reject(aborted())
    const known = this.#wanted.get(index)
    if (known !== undefined) return known.promise
    const piece = { index, ...Promise.withResolvers<Uint8Array>() }
    // Whoever reads hears of it; one reader less is no failure of its own.
    piece.promise.catch(() => {})
    this.#wanted.set(index, piece)
    if (this.#silence === null) this.#listen()
    queueMicrotask(() => this.#spread())
    return piece.promise
  }

  /** Gives every peer that has room one wanted piece after the other, in turns. */
  #spread(): void {
    if (this.#torrent === null || this.#stopped) return
    for (let gave = true; gave; ) {
      gave = false
      for (const wire of this.#wires) {
        if (this.#wanted.size > 0 && !wire.destroyed) wire.interested()
        if (wire.destroyed || wire.peerChoking || this.#room(wire) <= 0) continue
        const piece = this.#next(wire)
        if (piece === null) continue
        this.#take(piece, wire)
        gave = true
      }
    }
  }

  #next(wire: Wire): Piece | null {
    if (this.#openBytes >= OPEN_BYTES_MAX) return null
    for (const piece of this.#wanted.values()) {
      if (!this.#taking.has(piece.index) && wire.peerPieces.get(piece.index)) return piece
    }
    return null
  }

  /** How many more blocks this peer may be asked for. */
  #room(wire: Wire): number {
    let open = 0
    for (const taking of this.#taking.values()) {
      // A piece whose blocks are not all asked for comes first.
      if (taking.wire === wire) open += taking.askedTo < taking.bytes.length ? REQUESTS_MAX : taking.open
    }
    return REQUESTS_MAX - open
  }

  #take(piece: Piece, wire: Wire): void {
    const sizeBytes = this.#sizeOf(piece.index)
    const timer = setTimeout(() => wire.destroy(), PIECE_MS + sizeBytes / PIECE_BYTES_PER_MS_MIN)
    const bytes = new Uint8Array(sizeBytes)
    const taking: Taking = { piece, wire, bytes, timer, askedTo: 0, received: 0, open: 0 }
    this.#taking.set(piece.index, taking)
    this.#openBytes += sizeBytes
    this.#ask(taking)
  }

  #ask(taking: Taking): void {
    const { piece, wire, bytes } = taking
    while (this.#isCurrent(taking) && taking.askedTo < bytes.length && taking.open < REQUESTS_MAX) {
      const offset = taking.askedTo
      const length = Math.min(BLOCK_BYTES, bytes.length - offset)
      taking.askedTo += length
      taking.open++
      wire.request(piece.index, offset, length, (error, block) => {
        taking.open--
        if (!this.#isCurrent(taking)) return
        // Refused, choked or cut: somebody else is asked. The dialler comes back to this one after a while.
        if (error !== null || block === undefined || block.length !== length) return wire.destroy()
        bytes.set(block, offset)
        taking.received += length
        this.#listen()
        if (taking.received < bytes.length) this.#ask(taking)
        else this.#judge(taking)
        this.#spread()
      })
    }
  }

  #isCurrent(taking: Taking): boolean {
    return this.#taking.get(taking.piece.index) === taking
  }

  #judge(taking: Taking): void {
    const { piece, wire, bytes } = taking
    this.#release(taking)
    const at = piece.index * PIECE_HASH_BYTES
    const expected = this.#torrent?.info.pieces.subarray(at, at + PIECE_HASH_BYTES) ?? new Uint8Array()
    if (!equalBytes(createHash('sha1').update(bytes).digest(), expected)) {
      wire.emit('banned')
      wire.destroy()
      return
    }
    this.#wanted.delete(piece.index)
    this.#keep(piece.index, bytes)
    if (this.#wanted.size === 0) this.#listen()
    piece.resolve(bytes)
  }

  /** Nobody is asked for it any more; what came of it is dropped, so that who sends a wrong piece sent all of it. */
  #release(taking: Taking): void {
    clearTimeout(taking.timer)
    if (this.#taking.delete(taking.piece.index)) this.#openBytes -= taking.bytes.length
  }

  #keep(index: number, bytes: Uint8Array): void {
    this.#cache.set(index, bytes)
    this.#cacheBytes += bytes.length
    for (const [oldest, old] of this.#cache) {
      if (this.#cacheBytes <= CACHE_BYTES_MAX || oldest === index) return
      this.#cache.delete(oldest)
      this.#cacheBytes -= old.length
    }
  }

  #sizeOf(index: number): number {
    if (this.#torrent === null) return 0
    const { info, layout } = this.#torrent
    return Math.min(info.pieceLengthBytes, layout.totalBytes - index * info.pieceLengthBytes)
  }

  /** Begins to wait anew for a block, or ends waiting when nothing is wanted. */
  #listen(): void {
    if (this.#silence !== null) clearTimeout(this.#silence)
    this.#silence = null
    if (this.#wanted.size === 0 || this.#stopped) return
    this.#silence = setTimeout(() => {
      this.#silence = null
      const who = this.#wires.size === 0 ? 'no peer could be reached' : 'no peer sent what was asked for'
      this.#fail(new TorrentError('silent', `${who} within ${Math.ceil(this.#patienceMs / 1000)} s`))
    }, this.#patienceMs)
  }

  #fail(error: TorrentError): void {
    if (this.#silence !== null) clearTimeout(this.#silence)
    this.#silence = null
    const pieces = [...this.#wanted.values()]
    this.#wanted.clear()
    for (const taking of [...this.#taking.values()]) this.#release(taking)
    for (const piece of pieces) piece.reject(error)
  }
}

/** The port's view of a transfer that reads. `close` makes its body end. */
export function readerOf(
  taker: PieceTaker,
  transfer: Transfer,
  info: Uint8Array,
  close: () => void,
): TorrentReader {
  return {
    info,
    get downloadedBytes() {
      return transfer.downloadedBytes
    },
    read: async (file, start, end, signal) => {
      if (signal?.aborted) throw aborted()
      const reading = orAbort(taker.read(file, start, end), transfer.signal)
      return signal === undefined ? reading : orAbort(reading, signal, aborted)
    },
    close: async () => {
      close()
      await transfer.ended
    },
  }
}

// Longer than 300 lines: who is asked for which block, and every way in which an answer does not come.
/**
 * Fetches what a torrent lacks from all its wires: the rarest piece first, each from one peer as long as others have something else
 * to do. Blocks are copied into their piece and hashed as they come; the piece goes to the store once its SHA-1 is right (BEP 3), and
 * is offered once it is written. The engine's package keeps choking, interest and offering; it asks for nothing.
 */
import { createHash, type Hash } from 'node:crypto'
import { equalBytes } from '../../protocol/codec/bytes.ts'
import { type Info, PIECE_HASH_BYTES, totalBytes } from '../../protocol/torrent/info.ts'
import type { PieceMemory } from './piece-memory.ts'
import { RarestFirst } from './rarest-first.ts'
import type { EngineTorrent, Wire } from './wire.ts'

/** What every peer answers. */
const BLOCK_BYTES = 16 * 1024
/** Requests under way to one peer: 8 MiB are enough for 80 MiB/s at 100 ms. Transmission forgets the last of the 512 that it says to take. */
const REQUESTS_MIN = 4
const REQUESTS_MAX = 500
/** To one that does not say how many it takes: as BEP 10 has for libtorrent. */
const REQUESTS_UNSAID = 250
/**
 * So much is under way however near a peer is: it may send only now and then, as Transmission does every half second, and must
 * have more to send each time than it had the last.
 */
const QUEUED_MS = 1_500
/** But no more of who answers each request at once. */
const REQUESTS_NEAR = 128
const NEAR_MS = 100
/** Who has had nothing to do for so long asks for what others are slow with. */
const LOOK_MS = 500
/** Peers that one block is asked of. */
const ASKED_MAX = 3
/** What is in order is hashed in runs of so much, while it is in the processor's cache. */
const HASH_BYTES = 128 * 1024

const UNASKED = 0
const HERE = 255

interface Peer {
  readonly wire: Wire
  /** What it was counted for, one bit a piece. */
  readonly counted: Uint8Array
  /** The piece that it alone is asked for. */
  own: Taking | null
  /** Requests under way, and how many there may be. */
  open: number
  target: number
  /** Blocks that it sent. */
  sent: number
  /** Shortest time from a request to its block. */
  nearestMs: number
  /** The request whose answer is timed. */
  timed: { readonly atMs: number } | null
  /** Since when it is measured how much it sends, without the time in which it was asked for nothing, and what it had sent by then. */
  measured: { readonly atMs: number; readonly sent: number }
  /** When it had sent all that it was asked for. */
  emptyAtMs: number
  /** It refused a block: nothing more until the next look. */
  rests: boolean
  /** It had nothing to do at the last look. */
  idle: boolean
  woken: boolean
}

/** A piece of which blocks are asked for. */
interface Taking {
  readonly index: number
  readonly bytes: Buffer
  /** How many peers each block is asked of, or HERE. */
  readonly blocks: Uint8Array
  readonly hash: Hash
  hashedBytes: number
  /** The first block that nobody was ever asked for. */
  next: number
  /** Blocks to ask for again. */
  readonly again: number[]
  left: number
  /** Others leave it to this peer. */
  owner: Peer | null
}

export interface SwarmFetchOptions {
  readonly torrent: EngineTorrent
  readonly info: Info
  readonly memory: PieceMemory
  readonly put: (piece: number, bytes: Uint8Array) => Promise<void>
}

export class SwarmFetch {
  /** Resolves when all is written; rejects with what writing failed with. */
  readonly done: Promise<void>
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void
  readonly #torrent: EngineTorrent
  readonly #info: Info
  readonly #put: SwarmFetchOptions['put']
  readonly #memory: PieceMemory
  readonly #sizeBytes: number
  readonly #pieces: number
  readonly #rarest: RarestFirst
  readonly #peers = new Map<Wire, Peer>()
  readonly #takings = new Map<number, Taking>()
  /** Memory of whole pieces, for the next ones. */
  readonly #free: Buffer[] = []
  #buffers = 0
  /** Pieces that are not written. */
  #missing = 0
  #doneBytes = 0
  readonly #look: NodeJS.Timeout
  #stopped = false

  /** Begins. `torrent` is ready. */
  constructor({ torrent, info, memory, put }: SwarmFetchOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.done = promise
    this.#resolve = resolve
    this.#reject = reject
    this.#torrent = torrent
    this.#info = info
    this.#put = put
    this.#memory = memory
    this.#sizeBytes = totalBytes(info.files)
    this.#pieces = info.pieces.length / PIECE_HASH_BYTES
    this.#rarest = new RarestFirst(this.#pieces)
    const wanted: number[] = []
    for (let piece = 0; piece < this.#pieces; piece++) {
      if (torrent.bitfield.get(piece)) this.#doneBytes += this.#sizeOf(piece)
      else wanted.push(piece)
    }
    this.#missing = wanted.length
    // In random order, so that fetchers of the same have something to give each other.
    for (const piece of shuffled(wanted)) this.#rarest.add(piece)
    torrent._update = () => {}
    for (const wire of torrent.wires) this.#watch(wire)
    torrent.on('wire', (wire: Wire) => this.#watch(wire))
    this.#look = setInterval(() => this.#lookAround(), LOOK_MS).unref()
    if (this.#missing === 0) resolve()
  }

  /** Bytes that are here: written, or in pieces under way. */
  get doneBytes(): number {
    return this.#doneBytes
  }

  /** Nothing is asked for or offered any more. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    clearInterval(this.#look)
    this.#takings.clear()
    this.#free.length = 0
    this.#memory.give(this.#buffers * this.#info.pieceLengthBytes)
  }

  #watch(wire: Wire): void {
    if (this.#stopped || this.#peers.has(wire)) return
    const peer: Peer = {
      wire,
      counted: new Uint8Array(Math.ceil(this.#pieces / 8)),
      own: null,
      open: 0,
      target: REQUESTS_MIN,
      sent: 0,
      nearestMs: Number.POSITIVE_INFINITY,
      timed: null,
      measured: { atMs: 0, sent: 0 },
      emptyAtMs: 0,
      rests: false,
      idle: false,
      woken: false,
    }
    this.#peers.set(wire, peer)
    this.#count(peer, (piece) => wire.peerPieces.get(piece))
    wire.on('have', (piece: number) => {
      if (this.#stopped || piece < 0 || piece >= this.#pieces) return
      this.#countOne(peer, piece, true)
      this.#wake(peer)
    })
    for (const event of ['bitfield', 'have-all', 'have-none'])
      wire.on(event, () => {
        if (this.#stopped) return
        this.#count(peer, (piece) => wire.peerPieces.get(piece))
        this.#wake(peer)
      })
    wire.on('unchoke', () => this.#wake(peer))
    wire.once('close', () => {
      this.#peers.delete(wire)
      if (this.#stopped) return
      this.#count(peer, () => false)
      for (const taking of this.#takings.values()) if (taking.owner === peer) taking.owner = null
      this.#wakeAll()
    })
    this.#wake(peer)
  }

  /** Looks anew at what it has. */
  #count(peer: Peer, has: (piece: number) => boolean): void {
    for (let piece = 0; piece < this.#pieces; piece++) this.#countOne(peer, piece, has(piece))
  }

  #countOne({ counted }: Peer, piece: number, has: boolean): void {
    const [at, bit] = [piece >> 3, 1 << (piece & 7)]
    const had = ((counted[at] ?? 0) & bit) !== 0
    if (had === has) return
    counted[at] = (counted[at] ?? 0) ^ bit
    if (has) this.#rarest.more(piece)
    else this.#rarest.less(piece)
  }

  /** Asks it for more after what else this turn brings. */
  #wake(peer: Peer): void {
    if (peer.woken) return
    peer.woken = true
    queueMicrotask(() => {
      peer.woken = false
      this.#ask(peer)
    })
  }

  #wakeAll(): void {
    for (const peer of this.#peers.values()) if (peer.open < peer.target) this.#wake(peer)
  }

  /** Now and then: who rested may be asked again, and who has nothing to do helps those that are slow. */
  #lookAround(): void {
    for (const peer of this.#peers.values()) {
      peer.rests = false
      this.#ask(peer)
      const isIdle = peer.open < peer.target && !peer.wire.peerChoking
      if (isIdle && peer.idle) this.#help(peer)
      peer.idle = isIdle
    }
  }

  #ask(peer: Peer): void {
    while (this.#hasRoom(peer)) {
      const taking = this.#next(peer)
      if (taking === null) return
      this.#request(peer, taking, taking.again.pop() ?? taking.next++)
    }
  }

  #hasRoom({ wire, rests, open, target }: Peer): boolean {
    return open < target && !rests && !wire.peerChoking && !wire.destroyed && !this.#stopped
  }

  /** A piece with a block that this peer may be asked for. */
  #next(peer: Peer): Taking | null {
    if (peer.own !== null && hasUnasked(peer.own) && this.#takings.get(peer.own.index) === peer.own)
      return peer.own
    const has = (piece: number) => peer.wire.peerPieces.get(piece)
    let others: Taking | null = null
    for (const taking of this.#takings.values()) {
      if (!hasUnasked(taking) || !has(taking.index)) continue
      if (taking.owner === null) return this.#own(peer, taking)
      others ??= taking
    }
    const piece = this.#rarest.first(has)
    const taking = piece === -1 ? null : this.#begin(piece)
    return taking === null ? others : this.#own(peer, taking)
  }

  #own(peer: Peer, taking: Taking): Taking {
    taking.owner = peer
    peer.own = taking
    return taking
  }

  /** Null when there is no memory for it. */
  #begin(index: number): Taking | null {
    const sizeBytes = this.#sizeOf(index)
    const buffer = this.#free.pop() ?? this.#allocate()
    if (buffer === null) return null
    this.#rarest.remove(index)
    const count = Math.ceil(sizeBytes / BLOCK_BYTES)
    const taking: Taking = {
      index,
      bytes: buffer.subarray(0, sizeBytes),
      blocks: new Uint8Array(count),
      hash: createHash('sha1'),
      hashedBytes: 0,
      next: 0,
      again: [],
      left: count,
      owner: null,
    }
    this.#takings.set(index, taking)
    return taking
  }

  #allocate(): Buffer | null {
    const sizeBytes = this.#info.pieceLengthBytes
    if (!this.#memory.take(sizeBytes, this.#buffers)) return null
    this.#buffers++
    return Buffer.allocUnsafeSlow(sizeBytes)
  }

  #request(peer: Peer, taking: Taking, block: number): void {
    const offset = block * BLOCK_BYTES
    const length = Math.min(BLOCK_BYTES, taking.bytes.length - offset)
    const timed = peer.timed === null ? { atMs: performance.now() } : null
    if (timed !== null) peer.timed = timed
    if (peer.open === 0) {
      const { atMs, sent } = peer.measured
      peer.measured = { atMs: atMs + performance.now() - peer.emptyAtMs, sent }
    }
    peer.open++
    taking.blocks[block] = (taking.blocks[block] ?? 0) + 1
    peer.wire.request(taking.index, offset, length, (error, bytes) => {
      peer.open--
      if (peer.open === 0) peer.emptyAtMs = performance.now()
      if (peer.timed === timed && timed !== null) peer.timed = null
      if (error !== null || bytes === undefined) {
        this.#missed(peer, taking, block)
      } else {
        peer.sent++
        if (timed !== null) adapt(peer, timed.atMs)
        this.#got(peer, taking, block, bytes)
      }
      this.#wake(peer)
    })
  }

  /** Refused, choked, late or closed. */
  #missed(peer: Peer, taking: Taking, block: number): void {
    const asked = taking.blocks[block] ?? 0
    if (asked === HERE) return
    peer.rests ||= !peer.wire.peerChoking
    taking.blocks[block] = asked - 1
    if (asked > 1) return
    taking.again.push(block)
    taking.owner = null
    if (this.#takings.get(taking.index) === taking) this.#wakeAll()
  }

  #got(peer: Peer, taking: Taking, block: number, bytes: Uint8Array): void {
    const asked = taking.blocks[block] ?? 0
    if (asked === HERE || this.#takings.get(taking.index) !== taking) return
    taking.blocks[block] = HERE
    taking.bytes.set(bytes, block * BLOCK_BYTES)
    taking.left--
    this.#doneBytes += bytes.length
    if (asked > 1) this.#cancel(peer, taking.index, block * BLOCK_BYTES, bytes.length)
    hashUpTo(taking, taking.left === 0 ? 0 : HASH_BYTES)
    // After the wire has told everybody of the block, so that whoever sent the last one of a wrong piece is known.
    if (taking.left === 0) queueMicrotask(() => this.#judge(taking))
  }

  /** The others need not send it any more. */
  #cancel(but: Peer, piece: number, offset: number, length: number): void {
    for (const { wire } of this.#peers.values()) {
      if (wire === but.wire) continue
      if (isAsked(wire, piece, offset)) wire.cancel(piece, offset, length)
    }
  }

  #judge(taking: Taking): void {
    const { index, hash, bytes } = taking
    if (this.#stopped || !this.#takings.delete(index)) return
    const at = index * PIECE_HASH_BYTES
    if (equalBytes(hash.digest(), this.#info.pieces.subarray(at, at + PIECE_HASH_BYTES))) {
      this.#put(index, bytes).then(() => this.#written(taking), this.#reject)
      return
    }
    this.#doneBytes -= bytes.length
    this.#rarest.add(index)
    this.#release(bytes)
    // Whoever sent it is looked for, as when the package finds one.
    this.#torrent.emit('warning', new Error(`Piece ${index} failed verification`))
  }

  #written({ index, bytes }: Taking): void {
    if (this.#stopped) return
    this.#missing--
    this.#torrent._markVerified(index)
    for (const wire of this.#torrent.wires) wire.have(index)
    this.#release(bytes)
    if (this.#missing === 0) this.#resolve()
  }

  #release(bytes: Buffer): void {
    this.#free.push(Buffer.from(bytes.buffer))
    this.#wakeAll()
  }

  /** Asks a peer for blocks that others were asked for and have not sent. */
  #help(peer: Peer): void {
    for (const taking of this.#takings.values()) {
      if (!peer.wire.peerPieces.get(taking.index)) continue
      for (const [block, asked] of taking.blocks.entries()) {
        if (!this.#hasRoom(peer)) return
        if (asked === UNASKED || asked >= ASKED_MAX) continue
        if (!isAsked(peer.wire, taking.index, block * BLOCK_BYTES)) this.#request(peer, taking, block)
      }
    }
  }

  #sizeOf(piece: number): number {
    const { pieceLengthBytes } = this.#info
    return Math.min(pieceLengthBytes, this.#sizeBytes - piece * pieceLengthBytes)
  }
}

function isAsked({ requests }: Wire, piece: number, offset: number): boolean {
  return requests.some((request) => request.piece === piece && request.offset === offset)
}

function hasUnasked({ again, next, blocks }: Taking): boolean {
  return again.length > 0 || next < blocks.length
}

/** Hashes what is here in order, if that is `atLeastBytes` more. */
function hashUpTo(taking: Taking, atLeastBytes: number): void {
  const { blocks, bytes, hash, hashedBytes } = taking
  let block = hashedBytes / BLOCK_BYTES
  while (block < blocks.length && blocks[block] === HERE) block++
  const end = Math.min(block * BLOCK_BYTES, bytes.length)
  if (end - hashedBytes < atLeastBytes || end === hashedBytes) return
  hash.update(bytes.subarray(hashedBytes, end))
  taking.hashedBytes = end
}

/**
 * How many requests may be under way, when the answer to one of `atMs` came: twice what the peer sends in the shortest time that one
 * took. With too few each takes that time, and twice as many are asked for; with too many each waits for the others.
 */
function adapt(peer: Peer, atMs: number): void {
  const nowMs = performance.now()
  const tookMs = Math.max(nowMs - atMs, 0.01)
  // From the answer that was timed before to this one: what comes at once is counted as a whole.
  const blocksPerMs = (peer.sent - peer.measured.sent) / Math.max(nowMs - peer.measured.atMs, 0.01)
  peer.measured = { atMs: nowMs, sent: peer.sent }
  peer.nearestMs = Math.min(peer.nearestMs, tookMs)
  const queued = Math.min(tookMs < NEAR_MS ? REQUESTS_NEAR : REQUESTS_MAX, QUEUED_MS * blocksPerMs)
  const wanted = Math.max(2 * blocksPerMs * peer.nearestMs, queued)
  peer.target = Math.min(Math.max(Math.ceil(wanted), REQUESTS_MIN), takesOf(peer.wire))
}

/** How many requests a peer takes without dropping any (BEP 10 `reqq`). */
function takesOf({ peerExtendedHandshake: { reqq } }: Wire): number {
  if (typeof reqq !== 'number' || !(reqq >= 1)) return REQUESTS_UNSAID
  return Math.min(reqq, REQUESTS_MAX)
}

function shuffled(pieces: number[]): number[] {
  for (let i = pieces.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    const [a, b] = [pieces[i] ?? 0, pieces[j] ?? 0]
    pieces[i] = b
    pieces[j] = a
  }
  return pieces
}

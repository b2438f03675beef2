/** Fetching from peers that are slow, refuse, choke, lie or go away: with wires that do only what a test says. */
import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { PieceMemory } from '../../node/transfer/piece-memory.ts'
import { SwarmFetch } from '../../node/transfer/swarm-fetch.ts'
import type { EngineTorrent } from '../../node/transfer/wire.ts'
import type { Info } from '../../protocol/torrent/info.ts'
import { seededBytes } from '../support/shards.ts'

const PIECE = 64 * 1024
const PIECES = 9
const bytes = seededBytes('swarm', 8 * PIECE + 10)
const info: Info = {
  name: 'tenwiki',
  files: [{ path: '20260101/a', sizeBytes: bytes.length }],
  pieceLengthBytes: PIECE,
  pieces: Buffer.concat(
    Array.from({ length: PIECES }, (_, index) =>
      createHash('sha1')
        .update(bytes.subarray(index * PIECE, (index + 1) * PIECE))
        .digest(),
    ),
  ),
}

interface Request {
  readonly piece: number
  readonly offset: number
  readonly length: number
  readonly answer: (error: Error | null, bytes?: Uint8Array) => void
}

class FakeWire extends EventEmitter {
  peerChoking = false
  destroyed = false
  peerPieces = { get: (_piece: number) => true }
  peerExtendedHandshake: { reqq?: unknown } = {}
  requests: Request[] = []
  readonly haves: number[] = []
  readonly asked: number[] = []

  request(piece: number, offset: number, length: number, answer: Request['answer']): void {
    this.requests.push({ piece, offset, length, answer })
    this.asked.push(piece)
  }
  cancel(piece: number, offset: number): void {
    const at = this.requests.findIndex((one) => one.piece === piece && one.offset === offset)
    for (const { answer } of this.requests.splice(at, 1)) answer(new Error('request was cancelled'))
  }
  have(piece: number): void {
    this.haves.push(piece)
  }
  /** Answers the oldest request. */
  answer(change: (block: Uint8Array) => Uint8Array = (block) => block): boolean {
    const request = this.requests.shift()
    if (request === undefined) return false
    const at = request.piece * PIECE + request.offset
    // In memory that is used again for the next.
    const block = change(Uint8Array.from(bytes.subarray(at, at + request.length)))
    request.answer(null, block)
    block.fill(0)
    this.emit('piece', request.piece)
    return true
  }
  close(): void {
    this.destroyed = true
    for (const { answer } of this.requests.splice(0)) answer(new Error('wire was closed'))
    this.emit('close')
  }
}

const settle = () => vi.advanceTimersByTimeAsync(0)

describe('fetching from a swarm', () => {
  let fetch: SwarmFetch
  let wires: FakeWire[]
  let torrent: EventEmitter & { have: Set<number> }
  let written: Buffer
  let putPieces: number[]
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    wires = []
    written = Buffer.alloc(bytes.length)
    putPieces = []
  })
  afterEach(() => {
    fetch.stop()
    vi.useRealTimers()
  })

  function begin(
    peers: FakeWire[],
    { have = [] as number[], memory = new PieceMemory(), fails = false } = {},
  ) {
    wires = peers
    const had = new Set(have)
    torrent = Object.assign(new EventEmitter(), {
      have: had,
      wires,
      bitfield: { get: (piece: number) => had.has(piece) },
      _update: () => {},
      _markVerified: (piece: number) => void had.add(piece),
    })
    fetch = new SwarmFetch({
      torrent: torrent as unknown as EngineTorrent,
      info,
      memory,
      put: async (piece, piecesBytes) => {
        if (fails) throw new Error('no room')
        putPieces.push(piece)
        written.set(piecesBytes, piece * PIECE)
      },
    })
    return settle()
  }
  /** In turns, until nobody is asked for anything. */
  async function serve(...who: FakeWire[]): Promise<void> {
    for (let gave = true; gave; ) {
      gave = who.map((wire) => wire.answer()).includes(true)
      await settle()
    }
  }

  it('takes each missing piece once, writes it whole and tells everybody', async () => {
    const peers = [new FakeWire(), new FakeWire()]
    await begin(peers, { have: [2] })
    expect(fetch.doneBytes).toBe(PIECE)
    await serve(...peers)
    await fetch.done
    expect(putPieces.toSorted()).toEqual([0, 1, 3, 4, 5, 6, 7, 8])
    expect(written.equals(Buffer.from(bytes).fill(0, 2 * PIECE, 3 * PIECE))).toBe(true)
    expect(fetch.doneBytes).toBe(bytes.length)
    expect(peers[1]?.haves.toSorted()).toEqual(putPieces.toSorted())
    const shared = new Set(peers[0]?.asked.filter((piece) => peers[1]?.asked.includes(piece)))
    // The last pieces may be finished by whoever is free.
    expect(shared.size).toBeLessThanOrEqual(2)
  })

  it('asks for more each time of who answers all at once now and then', async () => {
    let nowMs = 1_000
    const now = vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
    const wire = new FakeWire()
    await begin([wire])
    const asked: number[] = []
    while (wire.requests.length > 0) {
      nowMs += 450
      asked.push(wire.requests.length)
      for (const _ of asked.slice(-1).flatMap((count) => Array(count).fill(0))) wire.answer()
      await settle()
    }
    now.mockRestore()
    await fetch.done
    // 33 blocks: four at a time would be nine times.
    expect(asked.length).toBeLessThanOrEqual(4)
  })

  it('asks nobody for more at once than it says to take', async () => {
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000)
    const wire = new FakeWire()
    wire.peerExtendedHandshake = { reqq: 7 }
    await begin([wire])
    let most = 0
    do {
      most = Math.max(most, wire.requests.length)
      wire.answer()
      await settle()
    } while (wire.requests.length > 0)
    now.mockRestore()
    await fetch.done
    expect(most).toBe(7)
  })

  it('begins with what the fewest peers have, and asks a peer for nothing that it lacks', async () => {
    const [all, few] = [new FakeWire(), new FakeWire()]
    few.peerPieces = { get: (piece) => piece !== 7 }
    await begin([all, few])
    expect(all.asked[0]).toBe(7)
    await serve(few)
    expect(few.asked).not.toContain(7)
    await serve(all, few)
    await fetch.done
  })

  it('asks somebody else for what a peer that went away was asked for', async () => {
    const [going, staying] = [new FakeWire(), new FakeWire()]
    await begin([going, staying])
    for (let i = 0; i < 5; i++) going.answer()
    going.close()
    wires.splice(0, 1)
    await settle()
    await serve(staying)
    await fetch.done
    expect(written.equals(bytes)).toBe(true)
  })

  it('asks nothing of who chokes, and of who refuses not again at once', async () => {
    const wire = new FakeWire()
    wire.peerChoking = true
    await begin([wire])
    expect(wire.asked).toEqual([])
    wire.peerChoking = false
    wire.emit('unchoke')
    await settle()
    for (const { answer } of wire.requests.splice(0)) answer(new Error('request was rejected'))
    await settle()
    expect(wire.requests).toEqual([])
    await vi.advanceTimersByTimeAsync(500)
    await serve(wire)
    await fetch.done
    expect(written.equals(bytes)).toBe(true)
  })

  it('has who is idle send what others are slow with, and cancels it there', async () => {
    const [slow, quick] = [new FakeWire(), new FakeWire()]
    await begin([slow, quick])
    await serve(quick)
    expect(slow.requests.length).toBeGreaterThan(0)
    expect(fetch.doneBytes).toBeLessThan(bytes.length)
    await vi.advanceTimersByTimeAsync(1_000)
    await serve(quick)
    await fetch.done
    expect(written.equals(bytes)).toBe(true)
    expect(slow.requests).toEqual([])
  })

  it('writes no piece with a wrong hash, says so once all of it is known to have come, and takes it anew', async () => {
    const wire = new FakeWire()
    const warnings: string[] = []
    let blocks = 0
    await begin([wire])
    const wrong = wire.requests[0]?.piece
    wire.on('piece', (piece: number) => {
      if (piece === wrong) blocks++
    })
    torrent.on('warning', (warning: Error) => warnings.push(`${warning.message} after ${blocks} blocks`))
    wire.answer((block) => block.map((byte) => byte ^ 1))
    await settle()
    await serve(wire)
    await fetch.done
    const count = wrong === PIECES - 1 ? 1 : PIECE / (16 * 1024)
    expect(warnings).toEqual([`Piece ${wrong} failed verification after ${count} blocks`])
    expect(written.equals(bytes)).toBe(true)
    expect(fetch.doneBytes).toBe(bytes.length)
  })

  it('rejects with what writing failed with', async () => {
    const wire = new FakeWire()
    await begin([wire], { fails: true })
    const failed = expect(fetch.done).rejects.toThrow('no room')
    await serve(wire)
    await failed
  })

  it('fills no more pieces at once than there is memory for, and gives it back', async () => {
    const memory = new PieceMemory()
    const everything = 16 * 1024 * 1024
    expect(memory.take(everything, 0)).toBe(true)
    const peers = Array.from({ length: 5 }, () => new FakeWire())
    await begin(peers, { memory })
    expect(new Set(peers.flatMap((wire) => wire.requests.map(({ piece }) => piece))).size).toBe(3)
    await serve(...peers)
    await fetch.done
    fetch.stop()
    memory.give(everything)
    expect(memory.take(everything, 3)).toBe(true)
  })
})

import { describe, expect, it } from 'vitest'
import { answerRequests, type BlockSource } from '../../node/transfer/block-answers.ts'
import { BlockMemory, MEMORY_BYTES_MAX } from '../../node/transfer/block-memory.ts'
import { hearOfLastPiece } from '../../node/transfer/last-piece.ts'
import type { Wire } from '../../node/transfer/wire.ts'
import { layoutOf, spansOf } from '../../protocol/torrent/spans.ts'
import { fakeWire } from '../support/fake-wire.ts'
import { seededBytes } from '../support/shards.ts'

const KIB = 1024
const PIECE_BYTES = 16 * KIB
const SIZES = [40 * KIB, 0, 3 * KIB, 2_000 * KIB]

/** A torrent in memory, and a peer that asks for blocks of it. */
function asking(fields: Partial<Wire> = {}) {
  const layout = layoutOf(SIZES.map((sizeBytes) => ({ sizeBytes })))
  const whole = seededBytes('blocks', layout.totalBytes)
  const reads: { file: number; position: number; bytes: number }[] = []
  const state = { broken: false, isOver: false, missing: -1 }
  const errors: Error[] = []
  const sent: Uint8Array[] = []
  const memory = new BlockMemory()
  const source: BlockSource = {
    memory,
    spans: (piece, offset, length) => {
      const start = piece * PIECE_BYTES + offset
      return start + length > layout.totalBytes ? null : spansOf(layout, start, start + length)
    },
    read: async (file, buffers, position) => {
      let at = (layout.starts[file] ?? 0) + position
      reads.push({ file, position, bytes: buffers.reduce((sum, buffer) => sum + buffer.length, 0) })
      for (const buffer of buffers) {
        buffer.set(whole.subarray(at, at + buffer.length))
        at += buffer.length
      }
      if (state.broken) throw new Error('the disk is gone')
    },
  }
  const { wire, done } = fakeWire({ _push: (bytes) => void sent.push(bytes), ...fields })
  answerRequests(wire, source, {
    has: (piece) => piece !== state.missing,
    isOver: () => state.isOver,
    onError: (error) => errors.push(error),
  })
  const ask = (...pieces: number[]) => {
    for (const piece of pieces) wire._onRequest(piece, 0, PIECE_BYTES)
  }
  /** Blocks that were sent, as a peer reads them; each is looked at. */
  const got = () => {
    const stream = Buffer.concat(sent)
    const pieces: number[] = []
    for (let at = 0; at < stream.length; ) {
      const length = stream.readUInt32BE(at) - 9
      expect(stream[at + 4]).toBe(7)
      const piece = stream.readUInt32BE(at + 5)
      const start = piece * PIECE_BYTES + stream.readUInt32BE(at + 9)
      expect(stream.subarray(at + 13, at + 13 + length)).toEqual(
        Buffer.from(whole.subarray(start, start + length)),
      )
      pieces.push(piece)
      at += 13 + length
    }
    return pieces
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  return { wire, done, sent, reads, state, errors, memory, ask, got, settled }
}

describe('answers to requests', () => {
  it('reads what is asked for in one turn together, and what lies between near blocks with it', async () => {
    const { ask, reads, got, sent, settled } = asking()
    ask(30, 10, 12, 11, 60)
    await settled()
    expect(got()).toEqual([10, 11, 12, 30, 60])
    const at = (piece: number) => piece * PIECE_BYTES - 43 * KIB
    expect(reads).toEqual([
      { file: 3, position: at(10), bytes: 3 * PIECE_BYTES },
      { file: 3, position: at(30), bytes: PIECE_BYTES },
      { file: 3, position: at(60), bytes: PIECE_BYTES },
    ])
    ask(14, 10)
    await settled()
    expect(reads.at(-1)).toEqual({ file: 3, position: at(10), bytes: 5 * PIECE_BYTES })
    expect(sent.length).toBe(2)
  })

  it('sends blocks that lie in several files, and the same one twice', async () => {
    const { ask, got, settled } = asking()
    ask(2, 2)
    await settled()
    expect(got()).toEqual([2, 2])
  })

  it('holds no more memory for one read than its bound', async () => {
    const { ask, got, sent, settled } = asking()
    const all = Array.from({ length: 40 }, (_, piece) => piece)
    ask(...all)
    await settled()
    expect(got()).toEqual(all)
    expect(sent.length).toBe(3)
    for (const bytes of sent) expect(bytes.buffer.byteLength).toBeLessThanOrEqual(MEMORY_BYTES_MAX)
  })

  it('does not send what was cancelled or refused while it was read', async () => {
    const { wire, ask, got, settled } = asking()
    ask(10, 11, 12, 13)
    for (const piece of [11, 13]) {
      const at = wire.peerRequests.findIndex((request) => request.piece === piece)
      wire.peerRequests.splice(at, 1)
    }
    await settled()
    expect(got()).toEqual([10, 12])
    expect(wire.peerRequests).toEqual([])
  })

  it('counts what it sent', async () => {
    const { wire, ask, settled } = asking()
    let countedBytes = 0
    wire.on('upload', (bytes: number) => (countedBytes += bytes))
    ask(10, 11)
    await settled()
    expect([wire.uploaded, countedBytes]).toEqual([2 * PIECE_BYTES, 2 * PIECE_BYTES])
  })

  it('refuses what is not there, and everything while the peer is choked', async () => {
    const lacking = asking()
    lacking.state.missing = 3
    lacking.ask(3, 1_000)
    expect(lacking.done).toEqual(['reject', 'reject'])
    const choked = asking({ amChoking: true })
    choked.ask(1)
    expect(choked.done).toEqual(['reject'])
    const old = asking({ amChoking: true, hasFast: false })
    old.ask(1)
    expect(old.done).toEqual([])
    for (const { settled, sent } of [lacking, choked, old]) {
      await settled()
      expect(sent).toEqual([])
    }
  })

  it('cuts a peer off that asks for more than 128 KiB at once', () => {
    const { wire, done } = asking()
    wire._onRequest(3, 0, 128 * KIB + 1)
    expect(done).toEqual(['destroy'])
  })

  it('tells of a read that failed, and refuses what was to be read', async () => {
    const { wire, state, ask, done, errors, sent, settled } = asking()
    state.broken = true
    ask(10, 60)
    await settled()
    expect(errors.map((error) => error.message)).toEqual(['the disk is gone'])
    expect([done, sent, wire.peerRequests]).toEqual([['reject', 'reject'], [], []])
  })

  it('neither reads nor sends once the torrent is gone', async () => {
    const { state, ask, reads, sent, settled } = asking()
    ask(10)
    state.isOver = true
    await settled()
    expect([reads, sent]).toEqual([[], []])
  })

  it('uses memory again once all that lies in it is sent, and not before', async () => {
    const { ask, sent, memory, settled } = asking()
    const next = async (...pieces: number[]) => {
      sent.length = 0
      ask(...pieces)
      await settled()
      return sent[0]?.buffer
    }
    const first = await next(10, 11)
    const [bytes = new Uint8Array()] = sent
    memory.sent(bytes.subarray(0, 20_000))
    expect(await next(20, 21)).not.toBe(first)
    memory.sent(bytes.subarray(20_000))
    expect(await next(30, 31)).toBe(first)
  })
})

describe('pieces that a peer got from a seed', () => {
  it('are told of once the peer may have them all', () => {
    const held = new Set<number>()
    const { wire } = fakeWire({
      peerPieces: { get: (piece) => held.has(piece), set: (piece) => void held.add(piece) },
    })
    hearOfLastPiece(wire, 3)
    const told: number[] = []
    wire.on('have', (piece: number) => told.push(piece))
    for (const piece of [2, 0, 7, -1, 2]) wire._onHave(piece)
    expect([told, [...held]]).toEqual([[], [2, 0]])
    wire._onHave(1)
    expect(told).toEqual([1])
  })
})

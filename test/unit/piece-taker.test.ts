/** The reader of ranges among peers that are slow, refuse, choke or lie: with wires that do only what a test says. */
import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { PieceTaker } from '../../node/transfer/piece-taker.ts'
import type { Wire } from '../../node/transfer/wire.ts'
import type { Info } from '../../protocol/torrent/info.ts'
import { seededBytes } from '../support/shards.ts'

const PIECE = 64 * 1024
const bytes = seededBytes('pieces', 8 * PIECE + 10)
const info: Info = {
  name: 'tenwiki',
  files: [
    { path: '20260101/a', sizeBytes: 10 },
    { path: '20260101/b', sizeBytes: 8 * PIECE },
  ],
  pieceLengthBytes: PIECE,
  pieces: Buffer.concat(
    Array.from({ length: 9 }, (_, index) =>
      createHash('sha1')
        .update(bytes.subarray(index * PIECE, (index + 1) * PIECE))
        .digest(),
    ),
  ),
}

type Answer = (error: Error | null, bytes?: Uint8Array) => void
interface Asked {
  readonly piece: number
  readonly offset: number
  readonly length: number
  readonly answer: Answer
}

/** A peer; `asked` holds its open requests. */
class FakeWire extends EventEmitter {
  peerChoking = false
  destroyed = false
  banned = false
  peerPieces = { get: (_piece: number) => true }
  readonly asked: Asked[] = []

  constructor() {
    super()
    this.on('banned', () => {
      this.banned = true
    })
  }

  interested(): void {}
  request(piece: number, offset: number, length: number, answer: Answer): void {
    this.asked.push({ piece, offset, length, answer })
  }
  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    for (const { answer } of this.asked.splice(0)) answer(new Error('wire was closed'))
    this.emit('close')
  }
  /** Answers everything that is open, and what is asked for then. */
  async send(change: (block: Uint8Array) => Uint8Array = (block) => block): Promise<void> {
    for (let one = this.asked.shift(); one !== undefined; one = this.asked.shift()) {
      const at = one.piece * PIECE + one.offset
      one.answer(null, change(Uint8Array.from(bytes.subarray(at, at + one.length))))
      await Promise.resolve()
    }
  }
  get wire(): Wire {
    return this as unknown as Wire
  }
}

const settle = () => vi.advanceTimersByTimeAsync(0)

describe('reading ranges', () => {
  let taker: PieceTaker
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    taker = new PieceTaker(30_000)
    taker.begin(info)
  })
  afterEach(async () => {
    await taker.stop()
    vi.useRealTimers()
  })
  const whole = () => taker.read(1, 0, 8 * PIECE)
  const expected = new Uint8Array(bytes.subarray(10))

  it('spreads pieces over peers, each piece whole to one, and no block twice', async () => {
    const wires = [new FakeWire(), new FakeWire()]
    for (const { wire } of wires) taker.watch(wire)
    const reading = whole()
    await settle()
    const pieces = wires.map((wire) => new Set(wire.asked.map((one) => one.piece)))
    expect(pieces.map((set) => set.size)).toEqual([5, 4])
    expect([...(pieces[0] ?? [])].some((piece) => pieces[1]?.has(piece))).toBe(false)
    const blocks = wires.flatMap((wire) => wire.asked.map((one) => `${one.piece} ${one.offset}`))
    expect(new Set(blocks).size).toBe(blocks.length)
    await Promise.all(wires.map((wire) => wire.send()))
    expect(await reading).toEqual(expected)
  })

  it('asks a peer only for what it says it has, and when it unchokes', async () => {
    const [few, choking] = [new FakeWire(), new FakeWire()]
    few.peerPieces = { get: (piece) => piece < 2 }
    choking.peerChoking = true
    for (const { wire } of [few, choking]) taker.watch(wire)
    const reading = whole()
    await settle()
    expect(new Set(few.asked.map((one) => one.piece))).toEqual(new Set([0, 1]))
    expect(choking.asked).toEqual([])
    choking.peerChoking = false
    choking.emit('unchoke')
    await settle()
    await Promise.all([few.send(), choking.send()])
    expect(await reading).toEqual(expected)
  })

  it('cuts off who sent a piece with a wrong hash, and has all of it from another', async () => {
    const [liar, honest] = [new FakeWire(), new FakeWire()]
    taker.watch(liar.wire)
    const reading = taker.read(1, 0, 100)
    await settle()
    await liar.send((block) => block.map((byte) => byte ^ 1))
    expect([liar.banned, liar.destroyed]).toEqual([true, true])
    taker.watch(honest.wire)
    await settle()
    expect(honest.asked.reduce((sum, one) => sum + one.length, 0)).toBe(PIECE)
    await honest.send()
    expect(await reading).toEqual(expected.subarray(0, 100))
    expect([honest.banned, honest.destroyed]).toEqual([false, false])
  })

  it('leaves a peer that trickles, and one that refuses or sends another length', async () => {
    const ways: ((wire: FakeWire) => Promise<unknown>)[] = [
      async () => vi.advanceTimersByTimeAsync(11_100),
      async (wire: FakeWire) => wire.asked[0]?.answer(new Error('rejected')),
      async (wire: FakeWire) => wire.asked[0]?.answer(null, new Uint8Array(5)),
    ]
    for (const misbehave of ways) {
      const [bad, good] = [new FakeWire(), new FakeWire()]
      taker.watch(bad.wire)
      const reading = taker.read(1, 7 * PIECE, 7 * PIECE + 1)
      await settle()
      await misbehave(bad)
      expect([bad.destroyed, bad.banned]).toEqual([true, false])
      taker.watch(good.wire)
      await settle()
      await good.send()
      expect(await reading).toEqual(expected.subarray(7 * PIECE, 7 * PIECE + 1))
      await taker.stop()
      taker = new PieceTaker(30_000)
      taker.begin(info)
    }
  })

  it('waits as long as blocks come, and says so when none came for its patience', async () => {
    const slow = new FakeWire()
    taker.watch(slow.wire)
    const reading = taker.read(1, 0, 1)
    const failed = expect(reading).rejects.toMatchObject({ code: 'silent' })
    await vi.advanceTimersByTimeAsync(10_500)
    const one = slow.asked.shift()
    one?.answer(null, Uint8Array.from(bytes.subarray(one.offset, one.offset + one.length)))
    await vi.advanceTimersByTimeAsync(29_000)
    const state = await Promise.race([reading.catch(() => 'failed'), Promise.resolve('waiting')])
    expect(state).toBe('waiting')
    await vi.advanceTimersByTimeAsync(1_500)
    await failed
  })

  it('keeps what it read lately within a bound', async () => {
    const big: Info = {
      ...info,
      files: [{ path: 'x', sizeBytes: 40 * 1024 * 1024 }],
      pieceLengthBytes: 8 * 1024 * 1024,
    }
    const content = Buffer.alloc(40 * 1024 * 1024, 7)
    const hash = createHash('sha1').update(content.subarray(0, big.pieceLengthBytes)).digest()
    const large = new PieceTaker()
    large.begin({ ...big, pieces: Buffer.concat(Array(5).fill(hash)) })
    const wire = new FakeWire()
    wire.request = (_piece, _offset, length, answer) => {
      requests++
      queueMicrotask(() => answer(null, new Uint8Array(length).fill(7)))
    }
    let requests = 0
    large.watch(wire.wire)
    const blocks = big.pieceLengthBytes / 16_384
    for (let piece = 0; piece < 5; piece++)
      await large.read(0, piece * big.pieceLengthBytes, piece * big.pieceLengthBytes + 1)
    expect(requests).toBe(5 * blocks)
    await large.read(0, 4 * big.pieceLengthBytes, 5 * big.pieceLengthBytes)
    expect(requests).toBe(5 * blocks)
    await large.read(0, 0, 1)
    expect(requests).toBe(6 * blocks)
    await large.stop()
  })
})

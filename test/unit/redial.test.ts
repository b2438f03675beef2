import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { identityFromSeed } from '../../node/net/identity.ts'
import { REMEMBERED_PEERS_MAX, Redialer, redialDelayMs } from '../../node/net/redial.ts'
import {
  OPEN_REQUESTS_MAX,
  OPEN_REQUESTS_PER_PEER_MAX,
  REQUEST_BURST_MAX,
  REQUESTS_PER_SECOND_MAX,
  RequestLimit,
} from '../../node/net/request-limit.ts'
import type { NodeId } from '../../protocol/ids.ts'

const node = (n: number): NodeId => identityFromSeed(new Uint8Array(32).fill(n & 255).fill(n >> 8, 31)).nodeId

describe('the wait before a redial', () => {
  it('grows to a minute, jittered by a fifth', () => {
    expect(redialDelayMs(0, 0.5)).toBeCloseTo(300)
    expect(redialDelayMs(0, 0)).toBeCloseTo(240)
    expect(redialDelayMs(1_000, 0.5)).toBe(60_000)
    expect(redialDelayMs(1_000, 1)).toBeCloseTo(72_000)
  })

  it('is at most 10 s until a peer has been away for half a minute', () => {
    let awayMs = 0
    for (let failures = 0; awayMs < 30_000; failures++) {
      expect(redialDelayMs(failures, 1)).toBeLessThan(10_000)
      awayMs += redialDelayMs(failures, 0)
    }
  })
})

describe('the redialer', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  function dialler(reachable: { now: boolean }) {
    const dialled: number[] = []
    const redialer: Redialer = new Redialer({
      dial: async (nodeId) => {
        dialled.push(performance.now())
        if (!reachable.now) throw new Error('refused')
        redialer.connected(nodeId)
      },
      random: () => 0.5,
    })
    return { redialer, dialled }
  }

  it('tries for ever, and stops when connected', async () => {
    const reachable = { now: false }
    const { redialer, dialled } = dialler(reachable)
    redialer.remember(node(1), ['/ip4/127.0.0.1/tcp/1'])
    redialer.start()
    await vi.advanceTimersByTimeAsync(24 * 3_600_000)
    expect(dialled.length).toBeGreaterThan(24 * 60 * 0.9)
    reachable.now = true
    await vi.advanceTimersByTimeAsync(60_000)
    const count = dialled.length
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(dialled).toHaveLength(count)
    await redialer.stop()
  })

  it('begins soon after a long connection ends, and later each time a peer throws us out', async () => {
    const { redialer, dialled } = dialler({ now: true })
    redialer.remember(node(1), [])
    redialer.start()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(dialled).toHaveLength(1)
    redialer.disconnected(node(1))
    await vi.advanceTimersByTimeAsync(400)
    expect(dialled).toHaveLength(2)
    for (let i = 0; i < 30; i++) {
      redialer.disconnected(node(1))
      await vi.advanceTimersByTimeAsync(60_000)
    }
    // Every connection lived for less than 10 s in the end: the waits have grown to their bound.
    const gaps = dialled.slice(1).map((at, i) => at - (dialled[i] ?? 0))
    expect(Math.max(...gaps)).toBeGreaterThan(59_000)
    await redialer.stop()
  })

  it('does nothing after it was stopped', async () => {
    const { redialer, dialled } = dialler({ now: false })
    redialer.remember(node(1), [])
    redialer.start()
    await vi.advanceTimersByTimeAsync(10)
    await redialer.stop()
    const count = dialled.length
    redialer.disconnected(node(1))
    await vi.advanceTimersByTimeAsync(600_000)
    expect(dialled).toHaveLength(count)
  })

  it('remembers 200 peers, and lets the one that failed most go for a new one', async () => {
    const { redialer } = dialler({ now: false })
    for (let i = 0; i < REMEMBERED_PEERS_MAX; i++) expect(redialer.remember(node(i), [`/a/${i}`])).toBe(true)
    expect(redialer.remember(node(900), ['/a/900']), 'nobody has failed yet').toBe(false)
    await redialer.now(node(7))
    expect(redialer.remember(node(900), ['/a/900'])).toBe(true)
    expect(redialer.has(node(7))).toBe(false)
    expect(redialer.addresses()).toHaveLength(REMEMBERED_PEERS_MAX)
  })

  it('lets a peer that was never met go before one that was, however often that one failed', async () => {
    const reachable = { now: true }
    const { redialer } = dialler(reachable)
    for (let i = 0; i < REMEMBERED_PEERS_MAX; i++) redialer.remember(node(i), [])
    await redialer.now(node(3))
    redialer.disconnected(node(3))
    reachable.now = false
    for (let i = 0; i < 5; i++) await redialer.now(node(3))
    await redialer.now(node(9))
    expect(redialer.remember(node(900), [])).toBe(true)
    expect(redialer.has(node(3))).toBe(true)
    expect(redialer.has(node(9))).toBe(false)
  })

  it('keeps the newest 16 addresses of a peer', () => {
    const { redialer } = dialler({ now: false })
    for (let i = 0; i < 20; i++) redialer.remember(node(1), [`/a/${i}`])
    expect(redialer.addresses()).toHaveLength(16)
    expect(redialer.addresses()[0]).toBe('/a/19')
  })
})

describe('the limit on requests', () => {
  const drain = (limit: RequestLimit, nodeId: NodeId): number => {
    let count = 0
    for (let leave = limit.enter(nodeId); leave !== null; leave = limit.enter(nodeId)) {
      leave()
      count++
    }
    return count
  }

  it('allows a burst, then so many a second', () => {
    let nowMs = 0
    const limit = new RequestLimit(() => nowMs)
    expect(drain(limit, node(1))).toBe(REQUEST_BURST_MAX)
    expect(drain(limit, node(2)), 'another peer').toBe(REQUEST_BURST_MAX)
    nowMs += 1_000
    expect(drain(limit, node(1))).toBe(REQUESTS_PER_SECOND_MAX)
    nowMs += 3_600_000
    expect(drain(limit, node(1))).toBe(REQUEST_BURST_MAX)
  })

  it('bounds what is open for one peer and for all', () => {
    const limit = new RequestLimit(() => 0)
    const open: (() => void)[] = []
    for (let peer = 0; peer < 20; peer++) {
      for (let i = 0; i < OPEN_REQUESTS_PER_PEER_MAX + 1; i++) {
        const leave = limit.enter(node(peer))
        if (leave !== null) open.push(leave)
      }
      if (peer === 0) expect(open).toHaveLength(OPEN_REQUESTS_PER_PEER_MAX)
    }
    expect(open).toHaveLength(OPEN_REQUESTS_MAX)
    for (const leave of [...open, ...open]) leave()
    expect(limit.enter(node(1))).not.toBeNull()
  })
})

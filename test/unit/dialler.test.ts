import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Dialler, PEERS_MAX } from '../../node/transfer/dialler.ts'

const PEER = '127.0.0.1:6881'

describe('dialler', () => {
  let dials: string[]
  beforeEach(() => {
    vi.useFakeTimers()
    dials = []
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  function dialling(options = {}): Dialler {
    const dialler = new Dialler({ random: () => 1, ...options })
    dialler.add(PEER)
    dialler.start((address) => dials.push(address))
    return dialler
  }

  it('dials at once, then with pauses that grow to 15 s, for as long as it is wanted', () => {
    const dialler = dialling()
    vi.advanceTimersByTime(0)
    expect(dials.length).toBe(1)
    vi.advanceTimersByTime(250 + 500 + 1_000)
    expect(dials.length).toBe(4)
    vi.advanceTimersByTime(3_600_000)
    expect(dials.length).toBeGreaterThan(230)
    expect(dials.length).toBeLessThan(250)
    dialler.stop()
    vi.advanceTimersByTime(3_600_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('leaves a connected peer alone and dials again after it closed', () => {
    const dialler = dialling()
    vi.advanceTimersByTime(0)
    dialler.connected(PEER)
    vi.advanceTimersByTime(3_600_000)
    expect(dials.length).toBe(1)
    dialler.closed(PEER, true)
    vi.advanceTimersByTime(250)
    expect(dials.length).toBe(2)
  })

  it('does not dial in a hurry a peer that hangs up each time', () => {
    const dialler = dialling()
    const ends = Date.now() + 60_000
    while (Date.now() < ends) {
      const before = dials.length
      vi.advanceTimersByTime(50)
      if (dials.length > before) {
        dialler.connected(PEER)
        dialler.closed(PEER, false)
      }
    }
    expect(dials.length).toBeLessThan(12)
  })

  it('gives up after the attempts it was given, and dials no peer that was banned', () => {
    dialling({ attemptsMax: 3 })
    vi.advanceTimersByTime(3_600_000)
    expect(dials.length).toBe(3)
    const dialler = dialling()
    dialler.ban(PEER)
    dialler.add(PEER)
    dialler.closed(PEER, true)
    vi.advanceTimersByTime(3_600_000)
    expect(dials.length).toBe(3)
  })

  it('keeps a bounded number of peers', () => {
    const dialler = dialling()
    for (let i = 0; i < 2 * PEERS_MAX; i++) dialler.add(`10.0.0.1:${i + 1}`)
    vi.advanceTimersByTime(0)
    expect(new Set(dials).size).toBe(PEERS_MAX)
  })
})

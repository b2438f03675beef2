import { describe, expect, it } from 'vitest'
import { AnnounceSchedule, DEFAULT_INTERVAL_MS } from '../../node/transfer/announce-schedule.ts'
import type { Infohash } from '../../protocol/ids.ts'

const hash = (number: number) => number.toString(16).padStart(40, '0') as Infohash
const MINUTE_MS = 60_000

/** Who is announced when, until `untilMs`; each is answered at once with `seeds`. */
function play(schedule: AnnounceSchedule, untilMs: number, seeds: (infohash: Infohash) => number = () => 1) {
  const said: { infohash: Infohash; atMs: number; isFirst: boolean }[] = []
  for (let atMs = 0; atMs < untilMs; atMs += 10) {
    const turn = schedule.next(atMs)
    if (turn === null) continue
    said.push({ infohash: turn.infohash, atMs, isFirst: turn.isFirst })
    schedule.answered(turn.infohash, { seeds: seeds(turn.infohash), intervalMs: DEFAULT_INTERVAL_MS }, atMs)
  }
  return said
}

describe('the schedule of announces', () => {
  it('announces each torrent once an interval, and no two in less than an even share of it', () => {
    const schedule = new AnnounceSchedule()
    for (let i = 0; i < 5_000; i++) schedule.add(hash(i), { isFetch: false, nowMs: 0 })
    const gapMs = DEFAULT_INTERVAL_MS / 5_000
    const said = play(schedule, DEFAULT_INTERVAL_MS)
    expect(new Set(said.map((one) => one.infohash)).size).toBe(said.length)
    expect(said.length).toBeGreaterThan(4_900)
    for (const [i, one] of said.entries()) {
      if (i > 0) expect(one.atMs - (said[i - 1]?.atMs ?? 0)).toBeGreaterThanOrEqual(gapMs)
    }
  })

  it('does not make a few torrents wait for an even share of the interval', () => {
    const schedule = new AnnounceSchedule()
    for (let i = 0; i < 5; i++) schedule.add(hash(i), { isFetch: false, nowMs: 0 })
    expect(play(schedule, MINUTE_MS).map((one) => one.atMs)).toEqual([0, 1_000, 2_000, 3_000, 4_000])
  })

  it('lets what is fetched go first, then what fewest others seed', () => {
    const schedule = new AnnounceSchedule()
    const seeds = new Map([1, 2, 3].map((i) => [hash(i), 10 - i]))
    for (const infohash of seeds.keys()) schedule.add(infohash, { isFetch: false, nowMs: 0 })
    play(schedule, MINUTE_MS, (infohash) => seeds.get(infohash) ?? 0)
    schedule.add(hash(9), { isFetch: true, nowMs: 0 })
    const later = 2 * DEFAULT_INTERVAL_MS
    const order = [0, 1, 2, 3].map((i) => schedule.next(later + i * 1_000)?.infohash)
    expect(order).toEqual([hash(9), hash(3), hash(2), hash(1)])
  })

  it('says of each only once that it is the first announce', () => {
    const schedule = new AnnounceSchedule()
    schedule.add(hash(1), { isFetch: false, nowMs: 0 })
    const said = play(schedule, DEFAULT_INTERVAL_MS + MINUTE_MS)
    expect(said.map((one) => one.isFirst)).toEqual([true, false])
  })

  it('keeps to the interval that the tracker asks for, within bounds', () => {
    const schedule = new AnnounceSchedule()
    schedule.add(hash(1), { isFetch: false, nowMs: 0 })
    for (const [asked, kept] of [
      [1, MINUTE_MS],
      [10 * MINUTE_MS, 10 * MINUTE_MS],
      [1_000 * MINUTE_MS, 6 * 60 * MINUTE_MS],
    ] as const) {
      const one = new AnnounceSchedule()
      one.add(hash(1), { isFetch: false, nowMs: 0 })
      expect(one.next(0)).not.toBe(null)
      one.answered(hash(1), { seeds: 1, intervalMs: asked }, 0)
      expect(one.next(kept - 1)).toBe(null)
      expect(one.next(kept)).not.toBe(null)
    }
  })

  it('leaves a tracker that does not answer alone for ever longer, up to an interval', () => {
    const schedule = new AnnounceSchedule()
    for (let i = 0; i < 200; i++) schedule.add(hash(i), { isFetch: false, nowMs: 0 })
    const pauses: number[] = []
    let nowMs = 0
    for (let i = 0; i < 9; i++) {
      const turn = schedule.next(nowMs)
      if (turn === null) throw new Error('nobody is due')
      schedule.failed(turn.infohash, nowMs)
      const before = nowMs
      while (schedule.next(nowMs) === null) nowMs += 10_000
      pauses.push((nowMs - before) / 1_000)
      nowMs += 1_000
    }
    expect(pauses.slice(0, 7)).toEqual([30, 60, 120, 240, 480, 960, 1_800])
    expect(pauses.at(-1)).toBe(1_800)
  })

  it('forgets what is taken back', () => {
    const schedule = new AnnounceSchedule()
    schedule.add(hash(1), { isFetch: false, nowMs: 0 })
    schedule.delete(hash(1))
    expect(schedule.next(0)).toBe(null)
    expect(schedule.size).toBe(0)
  })
})

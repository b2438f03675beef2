import { describe, expect, it } from 'vitest'
import { AnnounceSchedule, DEFAULT_INTERVAL_MS } from '../../node/transfer/announce-schedule.ts'
import type { Infohash } from '../../protocol/ids.ts'

const hash = (number: number) => number.toString(16).padStart(40, '0') as Infohash
const MINUTE_MS = 60_000

/** Who is announced when, until `untilMs`; each is answered at once with `seeds`. */
function play(schedule: AnnounceSchedule, untilMs: number, seeds: (infohash: Infohash) => number = () => 1) {
  const said: { infohash: Infohash; atMs: number; isFirst: boolean }[] = []
  for (let atMs = 0; atMs < untilMs; atMs += 10) {
    for (const { infohash, isFirst } of schedule.next(atMs)) {
      said.push({ infohash, atMs, isFirst })
      schedule.answered(infohash, { seeds: seeds(infohash), intervalMs: DEFAULT_INTERVAL_MS }, atMs)
    }
  }
  return said
}

describe('a fetch that just began', () => {
  const early = { gapMs: 5_000, savedMax: 3 }
  const slow = { gapMsMin: MINUTE_MS, gapMsMax: MINUTE_MS, batchMax: 20 }
  /** A fetch begins every second; when something is said, and what. */
  const busy = (schedule: AnnounceSchedule, untilMs: number) => {
    const said: { atMs: number; infohashes: Infohash[] }[] = []
    for (let atMs = 0; atMs < untilMs; atMs += 1_000) {
      schedule.add(hash(1_000 + atMs / 1_000), { isFetch: true, nowMs: atMs })
      const infohashes = schedule.next(atMs).map((one) => one.infohash)
      if (infohashes.length > 0) said.push({ atMs, infohashes })
      for (const one of infohashes) schedule.answered(one, { seeds: 0, intervalMs: 5 * MINUTE_MS }, atMs)
    }
    return said
  }

  it('does not wait for the others where it need not, and takes none of them along', () => {
    const schedule = new AnnounceSchedule({ ...slow, early })
    for (let i = 0; i < 100; i++) schedule.add(hash(i), { isFetch: false, nowMs: 0 })
    expect(schedule.next(0)).toHaveLength(20)
    expect(schedule.next(10_000)).toEqual([])
    schedule.add(hash(500), { isFetch: true, nowMs: 10_000 })
    expect(schedule.next(10_000)).toEqual([{ infohash: hash(500), isFetch: true, isFirst: true }])
    expect(schedule.next(MINUTE_MS - 1)).toEqual([])
    expect(schedule.next(MINUTE_MS)).toHaveLength(20)
  })

  it('is answered at once by who seeds it, unless that was said in this minute', () => {
    const schedule = new AnnounceSchedule({ ...slow, batchMax: 1, early })
    schedule.add(hash(1), { isFetch: false, nowMs: 0 })
    expect(schedule.next(0)).toHaveLength(1)
    schedule.add(hash(2), { isFetch: false, nowMs: 1 })
    expect(schedule.next(MINUTE_MS)).toMatchObject([{ infohash: hash(2) }])
    schedule.wanted(hash(1), MINUTE_MS + 10_000)
    schedule.wanted(hash(2), MINUTE_MS + 10_000)
    expect(schedule.next(MINUTE_MS + 10_000)).toMatchObject([{ infohash: hash(1) }])
    expect(schedule.next(2 * MINUTE_MS - 1)).toEqual([])
    expect(schedule.next(2 * MINUTE_MS)).toMatchObject([{ infohash: hash(2) }])
  })

  it('waits for its turn where nobody said otherwise', () => {
    const schedule = new AnnounceSchedule(slow)
    schedule.add(hash(1), { isFetch: false, nowMs: 0 })
    expect(schedule.next(0)).toHaveLength(1)
    schedule.add(hash(2), { isFetch: true, nowMs: 0 })
    expect(schedule.next(MINUTE_MS - 1)).toEqual([])
  })

  it('waits with others for a turn or for one saved when there was much to say', () => {
    const schedule = new AnnounceSchedule({ ...slow, early })
    const said = busy(schedule, 60 * MINUTE_MS)
    // One in its turn and one saved a minute, and those of the beginning.
    expect(said.length).toBeLessThanOrEqual(2 * 60 + early.savedMax)
    expect(said.slice(0, 4).map((one) => one.atMs)).toEqual([0, 5_000, 10_000, 15_000])
    const all = said.flatMap((one) => one.infohashes)
    expect(new Set(all.slice(0, 1_000)).size).toBe(1_000)
  })
})

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
    const order = [0, 1, 2, 3].map((i) => schedule.next(later + i * 1_000)[0]?.infohash)
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
      expect(one.next(0)).toHaveLength(1)
      one.answered(hash(1), { seeds: 1, intervalMs: asked }, 0)
      expect(one.next(kept - 1)).toEqual([])
      expect(one.next(kept)).toHaveLength(1)
    }
  })

  it('leaves a tracker that does not answer alone for ever longer, up to an interval', () => {
    const schedule = new AnnounceSchedule()
    for (let i = 0; i < 200; i++) schedule.add(hash(i), { isFetch: false, nowMs: 0 })
    const pauses: number[] = []
    let nowMs = 0
    for (let i = 0; i < 9; i++) {
      const [turn] = schedule.next(nowMs)
      if (turn === undefined) throw new Error('nobody is due')
      schedule.failed([turn.infohash], nowMs)
      const before = nowMs
      while (schedule.next(nowMs).length === 0) nowMs += 10_000
      pauses.push((nowMs - before) / 1_000)
      nowMs += 1_000
    }
    expect(pauses.slice(0, 7)).toEqual([30, 60, 120, 240, 480, 960, 1_800])
    expect(pauses.at(-1)).toBe(1_800)
  })

  it('never takes two turns within the least gap, and gives each torrent one when not all fit into the interval', () => {
    const schedule = new AnnounceSchedule({ intervalMs: MINUTE_MS, gapMsMin: 1_000, gapMsMax: 1_000 })
    for (let i = 0; i < 300; i++) schedule.add(hash(i), { isFetch: false, nowMs: 0 })
    // Half of them are rare: without longer rounds these alone would be named.
    const said = play(schedule, 300_000, (infohash) => Number.parseInt(infohash.slice(-4), 16) % 2)
    expect(new Set(said.map((one) => one.infohash)).size).toBe(300)
    for (const [i, { atMs }] of said.entries()) expect(atMs).toBe(i * 1_000)
  })

  it('lets a fetch into the next gap, however many seeds wait', () => {
    const schedule = new AnnounceSchedule({ gapMsMin: 1_000, gapMsMax: 1_000 })
    for (let i = 0; i < 5_000; i++) schedule.add(hash(i), { isFetch: false, nowMs: 0 })
    play(schedule, 10_000)
    schedule.add(hash(9_999), { isFetch: true, nowMs: 10_000 })
    expect(schedule.next(10_000).map((one) => one.infohash)).toEqual([hash(9_999)])
  })

  it('tries again what came to nothing after a minute, then ever later, up to an interval', () => {
    const schedule = new AnnounceSchedule()
    schedule.add(hash(1), { isFetch: true, nowMs: 0 })
    const atMinutes: number[] = []
    for (let nowMs = 0; atMinutes.length < 7; nowMs += 1_000) {
      if (schedule.next(nowMs).length === 0) continue
      atMinutes.push(nowMs / MINUTE_MS)
      schedule.missed(hash(1), nowMs)
    }
    expect(atMinutes).toEqual([0, 1, 3, 7, 15, 31, 61])
  })

  it('lets the others go on when one came to nothing', () => {
    const schedule = new AnnounceSchedule({ gapMsMin: 1_000, gapMsMax: 1_000 })
    for (const i of [1, 2]) schedule.add(hash(i), { isFetch: i === 1, nowMs: 0 })
    expect(schedule.next(0)).toMatchObject([{ infohash: hash(1) }])
    schedule.missed(hash(1), 0)
    expect(schedule.next(1_000)).toMatchObject([{ infohash: hash(2) }])
  })

  it('gives as many at once as a place takes, and the next ones after the gap', () => {
    const schedule = new AnnounceSchedule({ gapMsMin: MINUTE_MS, gapMsMax: MINUTE_MS, batchMax: 20 })
    for (let i = 0; i < 30; i++) schedule.add(hash(i), { isFetch: false, nowMs: 0 })
    expect(schedule.next(0)).toHaveLength(20)
    expect(schedule.next(MINUTE_MS - 1)).toEqual([])
    expect(schedule.next(MINUTE_MS)).toHaveLength(10)
  })

  it('names first what somebody spoke of, but for that only once an interval', () => {
    const schedule = new AnnounceSchedule({ gapMsMin: 1_000, gapMsMax: 1_000 })
    for (let i = 0; i < 100; i++) schedule.add(hash(i), { isFetch: false, nowMs: 0 })
    play(schedule, 101_000)
    schedule.wanted(hash(77), 101_000)
    expect(schedule.next(101_000)).toMatchObject([{ infohash: hash(77) }])
    schedule.wanted(hash(77), 102_000)
    expect(schedule.next(102_000)).toEqual([])
    const laterMs = 101_000 + DEFAULT_INTERVAL_MS
    schedule.wanted(hash(77), laterMs)
    expect(schedule.next(laterMs)).toMatchObject([{ infohash: hash(77) }])
    schedule.wanted(hash(999), 0)
    expect(schedule.size).toBe(100)
  })

  it('forgets what is taken back', () => {
    const schedule = new AnnounceSchedule()
    schedule.add(hash(1), { isFetch: false, nowMs: 0 })
    schedule.delete(hash(1))
    expect(schedule.next(0)).toEqual([])
    expect(schedule.size).toBe(0)
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Budget } from '../../node/pace/budget.ts'
import { createPacer } from '../../node/pace/pacer.ts'
import {
  leavesTime,
  localMonth,
  parseQuietWindow,
  type QuietWindow,
  quietAt,
  windowText,
} from '../../node/pace/quiet-hours.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { virtualTime } from '../support/virtual-time.ts'

const MINUTE = 60_000
const MIB = 1024 * 1024

describe('the bandwidth cap', () => {
  it('is kept over every second, however many downloads there are and however they cut their chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 20, maxLength: 60 }), {
          minLength: 1,
          maxLength: 4,
        }),
        async (downloads) => {
          const rate = 200_000
          const time = virtualTime(0)
          const pace = createPacer(rate, time.clock, time.sleep)
          const got: { atMs: number; bytes: number }[] = []
          const all = downloads.map(async (chunks) => {
            for (const bytes of chunks) {
              got.push({ atMs: time.now(), bytes })
              await pace(bytes)
            }
          })
          const total = downloads.flat().reduce((sum, bytes) => sum + bytes, 0)
          await time.advance((total * 1_000) / rate + 2_000)
          await Promise.all(all)
          expect(got.reduce((sum, one) => sum + one.bytes, 0)).toBe(total)
          // What comes at once is a chunk of each download and the burst; beyond that the rate holds over any span of time.
          const slack = 60_000 * downloads.length + rate * 0.1
          for (const { atMs: from } of got) {
            for (const { atMs: to } of got) {
              if (to < from) continue
              const inside = got
                .filter((one) => one.atMs >= from && one.atMs <= to)
                .reduce((sum, one) => sum + one.bytes, 0)
              expect(inside).toBeLessThanOrEqual(((to - from) / 1_000) * rate + slack)
            }
          }
        },
      ),
      { numRuns: 15, seed: 1 },
    )
  }, 60_000)

  it('is used up: a long download takes its bytes divided by the rate', async () => {
    const time = virtualTime(0)
    const pace = createPacer(1_000_000, time.clock, time.sleep)
    let endedMs = 0
    const all = (async () => {
      for (let chunk = 0; chunk < 1_000; chunk++) await pace(16_384)
      endedMs = time.now()
    })()
    await time.advance(60_000)
    await all
    expect(endedMs).toBeGreaterThan(16_100)
    expect(endedMs).toBeLessThan(16_500)
  })
})

const at = (text: string) => new Date(text).getTime()
const windows = (...texts: string[]) => texts.map((text) => parseQuietWindow(text) as QuietWindow)

describe('quiet hours', () => {
  it.each([
    ['08:00-18:00', '2026-03-03T07:59:59', false, '2026-03-03T08:00:00'],
    ['08:00-18:00', '2026-03-03T08:00:00', true, '2026-03-03T18:00:00'],
    ['08:00-18:00', '2026-03-03T18:00:00', false, '2026-03-04T08:00:00'],
    ['22:00-06:30', '2026-03-03T23:00:00', true, '2026-03-04T06:30:00'],
    ['22:00-06:30', '2026-03-03T03:00:00', true, '2026-03-03T06:30:00'],
    ['18:00-00:00', '2026-03-03T19:00:00', true, '2026-03-04T00:00:00'],
    ['18:00-24:00', '2026-03-31T19:00:00', true, '2026-04-01T00:00:00'],
  ])('%s at %s', (text, now, isQuiet, until) => {
    expect(quietAt(windows(text), at(now))).toEqual({ isQuiet, untilMs: at(until) })
  })

  it('that touch or overlap are one', () => {
    expect(quietAt(windows('08:00-12:00', '11:00-13:00', '13:00-14:00'), at('2026-03-03T08:30:00'))).toEqual({
      isQuiet: true,
      untilMs: at('2026-03-03T14:00:00'),
    })
  })

  it.each(['8:00-18:00', '25:00-01:00', '08:00-08:00', '08:00', '08:60-09:00', '24:00-08:00', ''])(
    '%j is no window',
    (text) => {
      expect(parseQuietWindow(text)).toBeNull()
    },
  )

  it('change when they say they do, and are shown as they were given', () => {
    const window = fc
      .record({ from: fc.integer({ min: 0, max: 1_439 }), to: fc.integer({ min: 1, max: 1_440 }) })
      .filter(({ from, to }) => from !== to && !(from === 0 && to === 1_440))
    fc.assert(
      fc.property(
        fc.array(window, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 0, max: 400 * 1_440 }),
        (all, minutes) => {
          fc.pre(leavesTime(all))
          const now = at('2026-01-01T00:00:30') + minutes * MINUTE
          const { isQuiet, untilMs } = quietAt(all, now)
          expect(untilMs).not.toBeNull()
          expect(untilMs).toBeGreaterThan(now)
          expect(quietAt(all, untilMs as number).isQuiet).toBe(!isQuiet)
          expect(quietAt(all, (untilMs as number) - 1).isQuiet).toBe(isQuiet)
          for (const one of all) expect(parseQuietWindow(windowText(one))).toEqual(one)
        },
      ),
      { seed: 1 },
    )
    expect(leavesTime(windows('00:00-12:00', '12:00-24:00'))).toBe(false)
  })
})

describe('the monthly budget', () => {
  const time = (text: string) => {
    let nowMs = at(text)
    return { clock: { wallMs: () => nowMs, monotonicMs: () => nowMs }, set: (to: string) => (nowMs = at(to)) }
  }

  it('survives a restart, and a crash only makes the month look fuller', async () => {
    const store = createMemoryStore()
    const { clock } = time('2026-03-03T12:00:00')
    const parts = { store, clock, log: silentLog }
    const first = await Budget.open(parts, 100 * MIB)
    for (let mib = 0; mib < 10; mib++) {
      first.spend(MIB)
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    // Killed here: nothing is said.
    const second = await Budget.open(parts, 100 * MIB)
    expect(second.usedBytes).toBeGreaterThanOrEqual(10 * MIB)
    expect(second.usedBytes).toBeLessThanOrEqual(14 * MIB)
    const before = second.usedBytes
    second.spend(5)
    await second.close()
    expect((await Budget.open(parts, 100 * MIB)).usedBytes).toBe(before + 5)
  })

  it('is whole again in the next month of local time', async () => {
    const store = createMemoryStore()
    const { clock, set } = time('2026-03-31T23:59:59')
    const budget = await Budget.open({ store, clock, log: silentLog }, 1_000)
    budget.spend(1_000)
    expect(budget.isUsedUp).toBe(true)
    expect(localMonth(clock.wallMs())).toBe('2026-03')
    set('2026-04-01T00:00:00')
    expect([budget.isUsedUp, budget.usedBytes]).toEqual([false, 0])
    await budget.close()
    expect((await Budget.open({ store, clock, log: silentLog }, 1_000)).usedBytes).toBe(0)
  })
})

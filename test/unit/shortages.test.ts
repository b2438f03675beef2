/** Turns to claim: the heap of those to come against a list that is sorted each time, and the waits themselves. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Shortage, Shortages } from '../../protocol/core/shortages.ts'
import { waitMs } from '../../protocol/placement/rank.ts'

const shortage = (dueAtMs: number): Shortage => ({ sinceMs: 1, turn: 2, dueAtMs, taken: 1 })

type Act =
  | { readonly kind: 'put'; readonly shard: number; readonly dueAtMs: number }
  | { readonly kind: 'delete'; readonly shard: number }
  | { readonly kind: 'ready'; readonly nowMs: number }

const anyAct: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    kind: fc.constant('put' as const),
    shard: fc.nat(200),
    dueAtMs: fc.oneof(fc.nat(1_000), fc.constant(Number.POSITIVE_INFINITY)),
  }),
  fc.record({ kind: fc.constant('delete' as const), shard: fc.nat(200) }),
  fc.record({ kind: fc.constant('ready' as const), nowMs: fc.nat(1_000) }),
)

describe('shards that are short', () => {
  it('are ready when their turn has come, as a list that is sorted each time says', () => {
    fc.assert(
      fc.property(fc.array(anyAct, { maxLength: 300, size: 'max' }), (acts) => {
        const short = new Shortages()
        const waiting = new Map<number, number>()
        const ready = new Set<number>()
        for (const act of acts) {
          if (act.kind === 'put') {
            short.put(act.shard, shortage(act.dueAtMs))
            waiting.set(act.shard, act.dueAtMs)
            ready.delete(act.shard)
          } else if (act.kind === 'delete') {
            short.delete(act.shard)
            waiting.delete(act.shard)
            ready.delete(act.shard)
          } else {
            for (const [shard, dueAtMs] of waiting) {
              if (dueAtMs > act.nowMs) continue
              ready.add(shard)
              waiting.delete(shard)
            }
            expect([...short.ready(act.nowMs)].sort()).toEqual([...ready].sort())
          }
          expect(short.nextDueAtMs).toBe(Math.min(...waiting.values()))
          expect(short.size).toBe(waiting.size + ready.size)
          expect(new Set(short.shards())).toEqual(new Set([...waiting.keys(), ...ready]))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('give back what was put, and nothing of others', () => {
    const short = new Shortages()
    short.put(70_000, shortage(5))
    expect(short.get(70_000)).toEqual(shortage(5))
    expect([short.get(3), short.taken(3), short.has(3)]).toEqual([undefined, 0, false])
  })
})

describe('the wait of a rank', () => {
  it('is nothing below need, then one wave for each doubling, and never shorter for a worse rank', () => {
    expect([0, 1, 2].map((rank) => waitMs(rank, 3, 60_000))).toEqual([0, 0, 0])
    expect([3, 4, 5, 6].map((rank) => waitMs(rank, 3, 60_000))).toEqual([60_000, 80_000, 100_000, 120_000])
    fc.assert(
      fc.property(fc.nat(20_000), fc.integer({ min: 1, max: 5 }), (rank, need) => {
        expect(waitMs(rank + 1, need, 60_000)).toBeGreaterThanOrEqual(waitMs(rank, need, 60_000))
      }),
    )
  })

  it('differs for any two ranks that wait, as long as a wave has a millisecond for each', () => {
    const waits = Array.from({ length: 1_000 }, (_, rank) => waitMs(rank + 1, 1, 60_000))
    expect(new Set(waits).size).toBe(waits.length)
  })
})

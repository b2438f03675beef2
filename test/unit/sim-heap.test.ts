import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EventHeap } from '../sim/heap.ts'

describe('the heap of events', () => {
  it('gives events in order of time and, at one time, in order of arrival, whatever came between', () => {
    const command = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant('pop' as const))
    fc.assert(
      fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
        const heap = new EventHeap(2)
        let model: { time: number; id: number }[] = []
        let id = 0
        for (const one of commands) {
          if (one !== 'pop') {
            heap.push(one, one % 5, id, 1_000 - id)
            model.push({ time: one, id: id++ })
            continue
          }
          // A stable sort keeps arrival order.
          model = model.sort((a, b) => a.time - b.time)
          const expected = model.shift()
          expect(heap.pop()).toBe(expected !== undefined)
          if (expected === undefined) continue
          expect([heap.timeMs, heap.kind, heap.a, heap.b]).toEqual([
            expected.time,
            expected.time % 5,
            expected.id,
            1_000 - expected.id,
          ])
        }
        expect(heap.size).toBe(model.length)
      }),
    )
  })

  it('says when the next event is, and never when there is none', () => {
    const heap = new EventHeap()
    expect(heap.nextMs).toBe(Number.POSITIVE_INFINITY)
    heap.push(7, 0, 0, 0)
    heap.push(5, 0, 0, 0)
    expect(heap.nextMs).toBe(5)
  })
})

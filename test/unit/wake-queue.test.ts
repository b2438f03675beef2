/** Which seeds wake when many are asked for at once. */
import { describe, expect, it } from 'vitest'
import { WakeQueue, type WakeQueueOptions } from '../../node/transfer/wake-queue.ts'

function queueOf(options: Partial<WakeQueueOptions<number>> = {}) {
  const entered: number[] = []
  const queue = new WakeQueue<number>({
    enter: (item) => entered.push(item) > 0,
    crowded: () => new Error('crowded'),
    ...options,
  })
  return { entered, queue }
}

const first = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('the queue of seeds that are asked for', () => {
  it('lets a burst in a few at a time, in order, as those before are done', async () => {
    const { entered, queue } = queueOf()
    const all = first(100).map((item) => queue.wait(item))
    const young = entered.length
    expect(young).toBeLessThan(100)
    for (const item of first(100 - young)) {
      queue.left(item)
      expect(entered).toHaveLength(young + item + 1)
    }
    await Promise.all(all)
    expect(entered).toEqual(first(100))
  })

  it('lets the next in when those before only stay', async () => {
    const { entered, queue } = queueOf()
    await Promise.all(first(40).map((item) => queue.wait(item)))
    expect(entered).toEqual(first(40))
  })

  it('lets nobody in while there is no room, and all once there is', async () => {
    let hasRoom = false
    const entered: number[] = []
    const { queue } = queueOf({ enter: (item) => hasRoom && entered.push(item) > 0 })
    const all = [queue.wait(1), queue.wait(2)]
    queue.look()
    expect(entered).toEqual([])
    hasRoom = true
    queue.look()
    await Promise.all(all)
    expect(entered).toEqual([1, 2])
  })

  it('refuses who waited too long, and who comes when too many wait', async () => {
    const { queue } = queueOf({ enter: () => false, waitMs: 50 })
    const refused: number[] = []
    const all = first(1_001).map((item) => queue.wait(item).catch(() => refused.push(item)))
    await all[1_000]
    expect(refused).toEqual([1_000])
    await Promise.all(all)
    expect(refused).toHaveLength(1_001)
  })

  it('gives up one that is not wanted any more, and keeps its place for nobody', async () => {
    let hasRoom = false
    const entered: number[] = []
    const { queue } = queueOf({ enter: (item) => hasRoom && entered.push(item) > 0 })
    const [one, two] = [queue.wait(1), queue.wait(2)]
    queue.cancel(1, new Error('removed'))
    await expect(one).rejects.toThrow('removed')
    hasRoom = true
    queue.look()
    await two
    expect(entered).toEqual([2])
  })
})

import { describe, expect, it } from 'vitest'
import { Budget } from '../../node/pace/budget.ts'
import { FetchGate, GateClosed } from '../../node/pace/gate.ts'
import { parseQuietWindow, type QuietWindow } from '../../node/pace/quiet-hours.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { virtualTime } from '../support/virtual-time.ts'

const MINUTE = 60_000
const MIB = 1024 * 1024

const at = (text: string) => new Date(text).getTime()
const windows = (...texts: string[]) => texts.map((text) => parseQuietWindow(text) as QuietWindow)

describe('the gate of fetches', () => {
  async function aGate(
    options: { free?: () => number; quiet?: QuietWindow[]; budgetBytes?: number | null; start?: string } = {},
  ) {
    const time = virtualTime(at(options.start ?? '2026-03-03T12:00:00'))
    const budget = await Budget.open(
      { store: createMemoryStore(), clock: time.clock, log: silentLog },
      options.budgetBytes ?? null,
    )
    const gate = new FetchGate({
      clock: time.clock,
      sleep: time.sleep,
      log: silentLog,
      freeBytes: async () => options.free?.() ?? 1e12,
      quiet: options.quiet ?? [],
      budget,
    })
    const { signal } = new AbortController()
    const enter = (bytes: number, hasBegun = false, wasFull = false) =>
      gate.enter(bytes, { hasBegun, wasFull }, signal)
    return { gate, time, enter }
  }

  it('reserves the room of each fetch before its first byte: two that fit alone do not both begin', async () => {
    const { enter } = await aGate({ free: () => 164 * MIB })
    const [first, second] = await Promise.allSettled([enter(70 * MIB), enter(70 * MIB)])
    expect([first?.status, second?.status]).toEqual(['fulfilled', 'rejected'])
    expect((second as PromiseRejectedResult).reason).toBeInstanceOf(GateClosed)
    if (first?.status === 'fulfilled') first.value.end()
    await expect(enter(70 * MIB)).resolves.toBeDefined()
  })

  it('counts what has come as written, not as wanted', async () => {
    const free = { bytes: 164 * MIB }
    const { enter } = await aGate({ free: () => free.bytes })
    const pass = await enter(90 * MIB)
    free.bytes -= 80 * MIB
    await expect(enter(10 * MIB)).rejects.toMatchObject({ reason: 'disk-full' })
    pass.shrink(10 * MIB)
    await expect(enter(10 * MIB)).resolves.toBeDefined()
  })

  it('lets a fetch that has begun wait for room, says so, and lets it go on by itself', async () => {
    const free = { bytes: 0 }
    const { gate, time, enter } = await aGate({ free: () => free.bytes })
    const entering = enter(MIB, true)
    await time.advance(5 * MINUTE)
    expect(gate.pause).toEqual({ reason: 'disk-full', fetches: 1 })
    free.bytes = 1e9
    await time.advance(MINUTE)
    expect((await entering).closing.aborted).toBe(false)
    expect(gate.pause).toBeNull()
  })

  it('waits before it tries again after a write that failed, also when the disk seems to have room', async () => {
    const { gate, time, enter } = await aGate()
    let entered = false
    const entering = enter(MIB, true, true).then(() => (entered = true))
    await time.settle()
    expect([entered, gate.pause?.reason]).toEqual([false, 'disk-full'])
    await time.advance(MINUTE)
    await entering
  })

  it('stops fetches when a quiet hour begins, and lets them in when it ends', async () => {
    const { gate, time, enter } = await aGate({ quiet: windows('13:00-15:00') })
    const pass = await enter(1)
    await time.advance(59 * MINUTE)
    expect(pass.closing.aborted).toBe(false)
    await time.advance(2 * MINUTE)
    expect(pass.closing.aborted).toBe(true)
    pass.end()
    let entered = false
    const again = enter(1).then(() => (entered = true))
    await time.advance(115 * MINUTE)
    expect([entered, gate.pause?.reason]).toEqual([false, 'quiet-hours'])
    await time.advance(5 * MINUTE)
    await again
  })

  it('stops fetches when the budget is used up; those that have begun go on in the next month', async () => {
    const { gate, time, enter } = await aGate({ budgetBytes: 1_000, start: '2026-03-31T23:00:00' })
    const pass = await enter(1)
    gate.spend(999)
    expect(pass.closing.aborted).toBe(false)
    gate.spend(1)
    expect(pass.closing.aborted).toBe(true)
    pass.end()
    await expect(enter(1)).rejects.toMatchObject({ reason: 'budget-used' })
    const begun = enter(1, true)
    await time.advance(59 * MINUTE)
    expect(gate.pause?.reason).toBe('budget-used')
    await time.advance(2 * MINUTE)
    await expect(begun).resolves.toBeDefined()
  })
})

/** A fetch that must wait in the middle (PROTOCOL 6): a full disk, a quiet hour, a spent budget. What came stays, and it goes on by itself. */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Origin } from '../../node/ports.ts'
import { readUpstreamRun } from '../../node/upstream/read-run.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { makeFetcher, type TestFetcherOptions } from '../support/fetcher.ts'
import { startWorld } from '../world/world.ts'
import { makeDumps, noise } from './world-support.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

const FILE = 'aawiki/20260101/aawiki-20260101-pages-articles.xml.bz2'
const FILES: Record<string, Buffer> = { [FILE]: noise(900_000, 1) }

/** Sleepers wait until the test wakes them. */
function heldSleep() {
  const waiting: (() => void)[] = []
  const arrivals: (() => void)[] = []
  return {
    sleep: (_: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        waiting.push(resolve)
        signal?.addEventListener('abort', () => reject(signal.reason))
        for (const arrived of arrivals.splice(0)) arrived()
      }),
    wake: () => {
      for (const one of waiting.splice(0)) one()
    },
    /** Resolves when somebody sleeps. */
    asleep: () =>
      waiting.length > 0 ? Promise.resolve() : new Promise<void>((resolve) => arrivals.push(resolve)),
  }
}

async function setUp(options: Partial<TestFetcherOptions>) {
  const dumps = await makeDumps(FILES)
  const world = await startWorld({ dumps })
  const client = await makeFetcher({ originUrl: `${world.url}/`, ...options })
  cleanups.push(() => rm(dumps, { recursive: true }), world.close, client.close)
  const name = { dataset: 'dumps', wiki: 'aawiki', date: '20260101' } as const
  const run = await readUpstreamRun(client.origin, name, { nowMs: Date.now(), settledAfterMs: 1_000 })
  const shard = (run.ready ? run.shards[0] : undefined) as Shard
  const stop = new AbortController()
  const fetch = () =>
    client.fetcher.fetch(shard, { kind: 'origin' }, { onProgress: () => {}, signal: stop.signal })
  const isHeld = () => readFileSync(join(client.layout.mirror, FILE)).equals(FILES[FILE] as Buffer)
  const ranges = () => world.log.filter((one) => one.kind === 'dump').map((one) => one.range)
  return { ...client, world, shard, fetch, isHeld, ranges, stop }
}

/** The disk says that it is full once so many bytes of a file are written. */
function fullAfter(bytes: number, isFull: () => boolean): (origin: Origin) => Origin {
  return (origin) => ({
    ...origin,
    label: origin.label,
    bytesReceived: 0,
    bytesElsewhere: 0,
    download(file, toPath, options) {
      let left = bytes
      const onBytes = (count: number) => {
        left -= count
        options.onBytes?.(count)
        if (left <= 0 && isFull())
          throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      }
      return origin.download(file, toPath, { ...options, onBytes })
    },
  })
}

describe('a fetch that must wait', () => {
  it('because the disk filled up in the middle says so and goes on by itself, with what it had', async () => {
    let isFull = true
    const { sleep, wake, asleep } = heldSleep()
    const held = await setUp({ gateSleep: sleep, wrap: fullAfter(300_000, () => isFull) })
    const fetching = held.fetch()
    await asleep()
    expect(held.gate.pause).toEqual({ reason: 'disk-full', fetches: 1 })
    const [staged = 0] = [readFileSync(join(held.files.staging(held.shard), FILE)).length]
    expect(staged).toBeGreaterThan(200_000)
    isFull = false
    wake()
    const { fromOriginBytes } = await fetching
    // Before the pause and after it; what was on its way into a full disk came twice.
    expect(fromOriginBytes).toBeGreaterThanOrEqual(900_000)
    expect(held.isHeld()).toBe(true)
    expect(held.gate.pause).toBeNull()
    expect(held.ranges()).toEqual([undefined, `bytes=${staged}-`])
  })

  it('does not begin at all when there is no room for it: its claim is for others', async () => {
    const held = await setUp({ freeBytes: async () => 900_000 })
    await expect(held.fetch()).rejects.toMatchObject({ code: 'disk-full' })
    expect(held.ranges()).toEqual([])
  })

  it('can be stopped while it waits', async () => {
    const { sleep, asleep } = heldSleep()
    const held = await setUp({ gateSleep: sleep, wrap: fullAfter(1, () => true) })
    const fetching = held.fetch()
    await asleep()
    held.stop.abort()
    await expect(fetching).rejects.toMatchObject({ code: 'aborted' })
  })

  it('because the budget is used up stops in the middle of a file and keeps what came', async () => {
    const { sleep, asleep } = heldSleep()
    const held = await setUp({ gateSleep: sleep, budgetBytes: 500_000 })
    const fetching = held.fetch()
    await asleep()
    expect(held.gate.pause).toEqual({ reason: 'budget-used', fetches: 1 })
    expect(held.budget.usedBytes).toBeGreaterThanOrEqual(500_000)
    // What was on its way is all that came beyond it.
    expect(held.budget.usedBytes).toBeLessThan(900_000)
    held.stop.abort()
    await expect(fetching).rejects.toMatchObject({ code: 'aborted' })
    expect(readFileSync(join(held.files.staging(held.shard), FILE)).length).toBeGreaterThan(400_000)
  })
})

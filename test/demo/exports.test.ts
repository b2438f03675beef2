import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { makeDumps, noise } from '../integration/world-support.ts'
import { startWorld } from '../world/world.ts'
import { type Demo, removeDemo, startDemo } from './support.ts'

const exportPath = (kind: string, date: string, pages: string) =>
  `other/mediawiki_content_${kind}/fatwiki/${date}/xml/bzip2/fatwiki-${date}-${pages}.xml.bz2`
const DUMP = 'aawiki/20260101/aawiki-20260101-pages-articles.xml.bz2'
const CURRENT = exportPath('current', '2026-01-01', 'p1p99')
const FILES: Record<string, Buffer> = {
  [DUMP]: noise(300_000, 1),
  [CURRENT]: noise(200_000, 2),
  [exportPath('current', '2026-01-01', 'p100p200')]: noise(100_000, 3),
  [exportPath('history', '2025-12-01', 'p1p99')]: noise(50_000, 4),
  [exportPath('history', '2026-01-01', 'p7r1r9')]: noise(250_000, 5),
}
/** The older export is not the newest complete one. */
const UNIQUE_BYTES = 850_000

describe('a federation of dumps and content file exports, with a mirror', () => {
  let demo: Demo | null = null
  const cleanups: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    await removeDemo(demo)
    for (const clean of cleanups.splice(0).reverse()) await clean()
  }, 60_000)

  it('archives and publishes both; Wikimedia sends only what the mirror lacks', async () => {
    const dumps = await makeDumps(FILES)
    const mirrored = await makeDumps(FILES)
    await rm(join(mirrored, CURRENT))
    const mirror = await startWorld({ dumps: mirrored, faults: { listingsOff: true } })
    cleanups.push(
      () => rm(dumps, { recursive: true }),
      () => rm(mirrored, { recursive: true }),
      mirror.close,
    )
    demo = await startDemo([
      ...['--dumps', dumps, '--nodes', '3', '--exit', '--json', '--timeout', '120'],
      ...['--node-args', `--mirror ${mirror.url}/`],
    ])
    const { code, lastLine } = await demo.ended
    expect(code, demo.errors()).toBe(0)
    const summary = JSON.parse(lastLine) as {
      shards: { id: string; archived: boolean; published: boolean }[]
      originBytes: number
      uniqueBytes: number
    }
    expect(summary.shards.map(({ id, archived, published }) => [id, archived, published])).toEqual([
      ['content_current/fatwiki/20260101', true, true],
      ['content_history/fatwiki/20260101', true, true],
      ['dumps/aawiki/20260101', true, true],
    ])
    expect([summary.uniqueBytes, summary.originBytes]).toEqual([UNIQUE_BYTES, 200_000])
    expect(mirror.summary().originBytes).toBe(UNIQUE_BYTES - 200_000)
    expect(mirror.summary().maxConcurrentByClient).toBeLessThanOrEqual(2)
  }, 180_000)
})

/** Failed seeds come to the node's attention: what is damaged is repaired, what is whole is seeded again, less and less often. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TorrentStats } from '../../node/ports.ts'
import { SeedWatch, type SeedWatchParts } from '../../node/runtime/seed-watch.ts'
import type { Infohash, ShardKey } from '../../protocol/ids.ts'
import { silentLog } from '../conformance/silent-log.ts'

const A = 'a'.repeat(40) as Infohash
const B = 'b'.repeat(40) as Infohash
const failed = (infohash: Infohash, code?: 'disk' | 'engine'): TorrentStats => ({
  infohash,
  state: 'failed',
  sizeBytes: 1,
  doneBytes: 0,
  downloadedBytes: 0,
  uploadedBytes: 0,
  peers: 0,
  ...(code === undefined ? {} : { failure: { code, detail: 'gone' } }),
})

describe('the watch over seeds', () => {
  let nowMs = 0
  let stats: TorrentStats[] = []
  let watch: SeedWatch
  const seedAgain = vi.fn<SeedWatchParts['copies']['seedAgain']>()
  const looksWhole = vi.fn<SeedWatchParts['copies']['looksWhole']>()
  const own = (infohash: Infohash, state: 'held' | 'claimed') =>
    [`${infohash}` as ShardKey, { state, infohash, shard: { key: infohash } }] as const

  beforeEach(() => {
    vi.useFakeTimers()
    nowMs = 0
    stats = []
    seedAgain.mockReset().mockResolvedValue(true)
    looksWhole.mockReset().mockResolvedValue(true)
    watch = new SeedWatch({
      state: { own: new Map([own(A, 'held'), own(B, 'claimed')]) } as unknown as SeedWatchParts['state'],
      engine: { stats: async () => stats },
      copies: { seedAgain, looksWhole },
      looksAtFiles: true,
      clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
      log: silentLog,
      everyMs: 1_000,
    })
  })
  afterEach(() => {
    watch.stop()
    vi.useRealTimers()
  })

  async function callsAfter(ms: number): Promise<number> {
    nowMs += ms
    await vi.advanceTimersByTimeAsync(1_000)
    return seedAgain.mock.calls.length
  }

  it.each([
    ['engine', false],
    ['disk', true],
    [undefined, true],
  ] as const)('reads the bytes unless only the engine failed: %s', async (code, isDoubted) => {
    stats = [failed(A, code)]
    watch.start()
    await callsAfter(0)
    expect(seedAgain).toHaveBeenCalledWith(expect.objectContaining({ key: A }), { isDoubted })
  })

  it('leaves alone what seeds, and what is not held', async () => {
    stats = [{ ...failed(A), state: 'seeding' }, failed(B, 'disk')]
    watch.start()
    expect(await callsAfter(60_000)).toBe(0)
  })

  it('tries again after a minute, then after two, and anew when it was well in between', async () => {
    stats = [failed(A, 'engine')]
    seedAgain.mockRejectedValue(new Error('refused'))
    watch.start()
    expect(await callsAfter(0)).toBe(1)
    expect(await callsAfter(59_000)).toBe(1)
    expect(await callsAfter(1_000)).toBe(2)
    expect(await callsAfter(119_000)).toBe(2)
    expect(await callsAfter(1_000)).toBe(3)
    stats = []
    expect(await callsAfter(1_000)).toBe(3)
    stats = [failed(A, 'engine')]
    expect(await callsAfter(1_000)).toBe(4)
  })

  it('looks at the files of what is held, whatever the engine says', async () => {
    stats = [{ ...failed(A), state: 'seeding' }]
    watch.start()
    expect(await callsAfter(0)).toBe(0)
    expect(looksWhole).toHaveBeenCalledWith(expect.objectContaining({ key: A }))
    expect(looksWhole).not.toHaveBeenCalledWith(expect.objectContaining({ key: B }))
    looksWhole.mockResolvedValue(false)
    expect(await callsAfter(1_000)).toBe(1)
  })

  it('stops', async () => {
    watch.start()
    await callsAfter(0)
    watch.stop()
    stats = [failed(A, 'engine')]
    expect(await callsAfter(60_000)).toBe(0)
  })
})

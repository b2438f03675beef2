import { describe, expect, it } from 'vitest'
import { MirrorProbes } from '../../coordinator/mirror-probes.ts'
import { type Origin, OriginError, type OriginErrorCode } from '../../node/ports.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { shardOfFiles } from '../support/shards.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const MIRROR = 'https://m.example/dumps/'
const PATHS = ['20260101/a', '20260101/b', '20260101/empty']
const shardOf = (wiki: string) =>
  shardOfFiles(
    wiki,
    new Map(
      PATHS.map((path) => [
        path.replace('/', `/${wiki}-20260101-`),
        Buffer.from(path.endsWith('empty') ? '' : path),
      ]),
    ),
  )
const shard = shardOf('tenwiki')
const path = (index: number) => shard.files[index]?.path ?? ''
const never = new AbortController().signal

/** A mirror in memory, in time that only sleeping moves. */
async function rig(store = createMemoryStore(), startMs = 1_000 * DAY, mirrors = [MIRROR]) {
  const asked: { atMs: number; method: 'HEAD' | 'GET'; url: string }[] = []
  const state = {
    nowMs: startMs,
    trouble: new Map<string, OriginErrorCode>(),
    sizes: new Map<string, number>(),
  }
  const ask = (method: 'HEAD' | 'GET', path: string, base: string | undefined) => {
    asked.push({ atMs: state.nowMs, method, url: `${base}${path}` })
    const code = state.trouble.get(`${method} ${path}`) ?? state.trouble.get(path) ?? state.trouble.get('*')
    if (code !== undefined) throw new OriginError(code, `${path}: ${code}`)
  }
  const origin: Pick<Origin, 'facts' | 'range'> = {
    async facts(path, _signal, from) {
      ask('HEAD', path, from?.baseUrl)
      const found = [shard, other].flatMap((one) =>
        one.files.map((file) => ({ ...file, at: `${one.name}/${file.path}` })),
      )
      const sizeBytes = state.sizes.get(path) ?? found.find(({ at }) => at === path)?.sizeBytes
      return sizeBytes === undefined ? null : { sizeBytes, changedMs: null }
    },
    async range(file, range, _use, { from }) {
      expect(range).toEqual({ start: file.sizeBytes - 1, end: file.sizeBytes })
      ask('GET', file.path, from?.baseUrl)
    },
  }
  const probes = await MirrorProbes.open({
    mirrors,
    origin,
    store,
    clock: { wallMs: () => state.nowMs, monotonicMs: () => state.nowMs },
    sleep: async (ms) => {
      state.nowMs += ms
    },
    log: silentLog,
  })
  const round = async (shards = [shard]) => {
    const before = asked.length
    await probes.round(shards, never)
    return asked.slice(before).map(({ method, url }) => `${method} ${url.slice(url.lastIndexOf('/') + 1)}`)
  }
  return { probes, state, asked, round, store }
}
const other = shardOf('aawiki')

describe('probing a mirror', () => {
  it('asks for every dump file by HEAD and Range, and for nothing else, before it names the mirror', async () => {
    const { probes, asked, round } = await rig()
    expect(probes.whole(shard)).toEqual([])
    expect(await round()).toEqual([
      'HEAD tenwiki-20260101-a',
      'GET tenwiki-20260101-a',
      'HEAD tenwiki-20260101-b',
      'GET tenwiki-20260101-b',
      'HEAD tenwiki-20260101-empty',
    ])
    expect(asked[0]?.url).toBe('https://m.example/dumps/tenwiki/20260101/tenwiki-20260101-a')
    expect(probes.whole(shard)).toEqual([MIRROR])
    expect(probes.whole(other)).toEqual([])
  })

  it('remembers what each of several mirrors answered, though they answer at once', async () => {
    const mirrors = [MIRROR, 'https://n.example/', 'https://o.example/']
    const { probes, state, round, store } = await rig(createMemoryStore(), 1_000 * DAY, mirrors)
    await round([shard, other])
    expect([probes.whole(shard), probes.whole(other)]).toEqual([mirrors, mirrors])
    const again = await rig(store, state.nowMs, mirrors)
    expect([again.probes.whole(shard), again.probes.whole(other)]).toEqual([mirrors, mirrors])
  })

  it('asks one request at a time, two a second at most', async () => {
    const { asked, round } = await rig()
    await round([shard, other])
    const gaps = asked.slice(1).map(({ atMs }, index) => atMs - (asked[index]?.atMs ?? 0))
    expect(gaps).toHaveLength(9)
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(500)
  })

  it.each<[string, (state: Awaited<ReturnType<typeof rig>>['state']) => void]>([
    ['lacks a file', (state) => state.trouble.set(`tenwiki/${path(1)}`, 'not-found')],
    ['has it with another size', (state) => state.sizes.set(`tenwiki/${path(1)}`, 7)],
    ['ignores Range', (state) => state.trouble.set(`GET tenwiki/${path(1)}`, 'no-ranges')],
    ['refuses it', (state) => state.trouble.set(`tenwiki/${path(1)}`, 'refused')],
  ])('does not name one that %s, and stops there', async (_what, change) => {
    const { probes, state, round } = await rig()
    change(state)
    const requests = await round()
    expect(requests.at(-1)).toContain('tenwiki-20260101-b')
    expect(probes.whole(shard)).toEqual([])
  })

  it('keeps what was answered for days and over a restart: one file a day, another each day, all again after a week', async () => {
    const first = await rig()
    await first.round()
    expect(await first.round()).toEqual([])
    const { probes, state, round } = await rig(first.store, first.state.nowMs)
    expect(probes.whole(shard)).toEqual([MIRROR])
    state.nowMs += 23 * HOUR
    expect(await round()).toEqual([])
    const looks: string[] = []
    for (let day = 0; day < 5; day++) {
      state.nowMs += DAY
      const asked = await round()
      expect(asked.length).toBeLessThanOrEqual(2)
      looks.push(...asked)
    }
    expect(new Set(looks).size).toBe(5)
    state.nowMs += 2 * DAY
    expect(await round()).toHaveLength(5)
  })

  it('drops a mirror at the first look that finds a file gone, asks for that file ever more seldom, and takes the mirror back', async () => {
    const { probes, state, round } = await rig()
    await round()
    for (const file of shard.files) state.trouble.set(`tenwiki/${file.path}`, 'not-found')
    state.nowMs += DAY
    const [gone] = await round()
    expect(probes.whole(shard)).toEqual([])
    const days: number[] = []
    for (let day = 1; day <= 40; day++) {
      state.nowMs += DAY
      const asked = await round()
      if (asked.length === 0) continue
      expect(asked).toEqual([gone])
      days.push(day)
    }
    expect(days).toEqual([1, 3, 7, 15, 31])
    state.trouble.clear()
    state.nowMs += 30 * DAY
    expect(await round()).toHaveLength(5)
    expect(probes.whole(shard)).toEqual([MIRROR])
  })

  it('leaves a mirror that does not answer alone for an hour, and drops it after a day of silence', async () => {
    const { probes, state, round } = await rig()
    await round([shard, other])
    state.nowMs += DAY
    state.trouble.set('*', 'network')
    expect(await round([shard, other])).toHaveLength(1)
    expect(await round([shard, other])).toEqual([])
    let requests = 0
    for (let hour = 0; hour < 23; hour++) {
      state.nowMs += HOUR
      expect(probes.whole(shard)).toEqual([MIRROR])
      expect(probes.silent()).toEqual([])
      requests += (await round([shard, other])).length
    }
    expect(requests).toBeLessThanOrEqual(23)
    state.nowMs += HOUR
    expect([probes.whole(shard), probes.whole(other)]).toEqual([[], []])
    expect(probes.silent()).toEqual([{ mirror: MIRROR, detail: expect.stringContaining('network') }])
    state.trouble.clear()
    await round([shard, other])
    expect(probes.whole(shard)).toEqual([MIRROR])
    expect(probes.silent()).toEqual([])
  })

  it('is not held up by one shard that it gets no answer for, which is forgotten after three weeks', async () => {
    const { probes, state, round } = await rig()
    await round([shard, other])
    state.trouble.set(`tenwiki/${path(0)}`, 'busy')
    for (let hour = 0; hour < 23 * 24; hour++) {
      state.nowMs += HOUR
      await round([shard, other])
    }
    expect([probes.whole(shard), probes.whole(other)]).toEqual([[], [MIRROR]])
    expect(probes.silent()).toEqual([])
  })
})

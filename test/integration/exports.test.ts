/** Content File Exports from the miniature Wikimedia: found, told complete from incomplete, fetched, and held by their sha256. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createOrigin } from '../../node/origin/origin.ts'
import type { Origin } from '../../node/ports.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { ExportDiscovery, WIKIS_A_ROUND_MAX } from '../../node/upstream/discover-exports.ts'
import { Observer } from '../../node/upstream/observer.ts'
import { readUpstreamRun } from '../../node/upstream/read-run.ts'
import { knownAmong } from '../../protocol/catalog/runs-to-read.ts'
import { seriesOf } from '../../protocol/ids.ts'
import { originPath } from '../../protocol/shard/paths.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { silentLog } from '../conformance/silent-log.ts'
import type { Faults } from '../world/faults.ts'
import { startWorld, type World } from '../world/world.ts'
import { makeDumps, noise } from './world-support.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

const HISTORY = 'other/mediawiki_content_history'
const CURRENT = 'other/mediawiki_content_current'
const pathOf = (kind: string, wiki: string, date: string, pages: string) =>
  `${kind}/${wiki}/${date}/xml/bzip2/${wiki}-${date}-${pages}.xml.bz2`
const FILES: Record<string, Buffer> = {
  [pathOf(CURRENT, 'fatwiki', '2026-01-01', 'p1p99')]: noise(30_000, 1),
  [pathOf(CURRENT, 'fatwiki', '2026-01-01', 'p100p200')]: noise(20_000, 2),
  [pathOf(CURRENT, 'fatwiki', '2025-12-01', 'p1p150')]: noise(40_000, 3),
  [pathOf(HISTORY, 'fatwiki', '2026-01-01', 'p7r1r9')]: noise(50_000, 4),
  [pathOf(HISTORY, 'zh_min_nanwiki', '2026-01-01', 'p1p9')]: noise(10_000, 5),
}

async function setUp(
  faults: Partial<Faults> = {},
  files = FILES,
): Promise<{ world: World; origin: Origin; round: Round }> {
  const dumps = await makeDumps(files)
  const world = await startWorld({ dumps, faults })
  const clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() }
  const origin = createOrigin({
    baseUrl: world.url,
    contact: 'test@example.org',
    version: '0.1.0',
    nodeId: 'test',
    clock,
    random: () => 0.5,
    backoffBaseMs: 5,
    backoffMaxMs: 50,
    retriesMax: 8,
    retryAfterMaxMs: 20,
  })
  cleanups.push(
    () => rm(dumps, { recursive: true }),
    world.close,
    () => origin.close(),
  )
  const discovery = new ExportDiscovery()
  const parts = { origin, clock, log: silentLog, settledAfterMs: 86_400_000 }
  const { signal } = new AbortController()
  const round: Round = (known = [], bounds = {}) =>
    discovery.round(parts, known, knownAmong(known), signal, bounds)
  return { world, origin, round }
}
type Round = (
  known?: readonly Shard[],
  bounds?: Parameters<ExportDiscovery['round']>[4],
) => ReturnType<ExportDiscovery['round']>

const idsOf = ({ runs }: Awaited<ReturnType<Round>>) =>
  runs
    .flat()
    .map((shard) => shard.id)
    .sort()
const told = ({ problems }: Awaited<ReturnType<Round>>) =>
  problems.map(({ dataset, wiki, date, code }) => `${code} ${dataset}/${wiki}/${date}`)

describe('content file exports', () => {
  it('are found by the listings: the newest complete one of each wiki, both kinds', async () => {
    const { round, world } = await setUp()
    const found = await round()
    expect(idsOf(found)).toEqual([
      'content_current/fatwiki/20260101',
      'content_history/fatwiki/20260101',
      'content_history/zh_min_nanwiki/20260101',
    ])
    expect(found.problems).toEqual([])
    expect(world.summary().originBytes).toBe(0)
    expect(world.summary().maxConcurrentByClient).toBeLessThanOrEqual(2)
  })

  it('are fetched from where they lie and have the sha256 of the list', async () => {
    const { round, origin } = await setUp({ cutRate: 0.5 })
    const folder = await mkdtemp(join(tmpdir(), 'wikiseed-exports-'))
    cleanups.push(() => rm(folder, { recursive: true }))
    const hasher = new WorkerHasher()
    cleanups.push(() => hasher.close())
    for (const shard of (await round()).runs.flat()) {
      for (const [index, file] of shard.files.entries()) {
        const path = join(folder, `${shard.digest}-${index}`)
        await origin.download({ path: originPath(shard, file.path), sizeBytes: file.sizeBytes }, path, {})
        const { files } = await hasher.hash([path])
        expect(files[0]?.digests.sha256).toBe(file.digests.sha256)
      }
    }
  })

  it('that are known cost no question about a size, and nothing of them is new', async () => {
    const { round, world } = await setUp()
    const known = (await round()).runs.flat()
    const before = world.log.length
    expect((await round(known)).runs).toEqual([])
    const asked = world.log.slice(before)
    expect(asked.filter((one) => one.kind === 'dump')).toEqual([])
    expect(asked.length).toBeLessThanOrEqual(2 + 3 * 4)
  })

  it('without _SUCCESS are in progress, and the one before them is taken', async () => {
    const { round } = await setUp({ unfinishedExports: ['mediawiki_content_current/fatwiki/2026-01-01'] })
    const found = await round()
    expect(idsOf(found)).toContain('content_current/fatwiki/20251201')
    // It is dated 2026-01-01, and months have passed.
    expect(told(found)).toEqual(['abandoned content_current/fatwiki/20260101'])
  })

  it('of which only the folder of the date stands are in progress, and the one before them is taken', async () => {
    const { round, origin } = await setUp(
      {},
      { ...FILES, [`${CURRENT}/fatwiki/2026-02-01/readme.txt`]: noise(5, 1) },
    )
    const found = await round()
    expect(idsOf(found)).toContain('content_current/fatwiki/20260101')
    expect(told(found)).toEqual(['in-progress content_current/fatwiki/20260201'])
    const gone = { dataset: 'content_current', wiki: 'fatwiki', date: '20251101' } as const
    const reading = readUpstreamRun(origin, gone, { nowMs: Date.now(), settledAfterMs: 1 })
    await expect(reading).rejects.toMatchObject({ code: 'not-found' })
  })

  it('whose SHA256SUMS is half-written are in progress, also when it was cut between two lines', async () => {
    const { round } = await setUp({ halfSums: ['*/fatwiki/2026-01-01'] })
    const found = await round()
    expect(idsOf(found)).toEqual([
      'content_current/fatwiki/20251201',
      'content_history/zh_min_nanwiki/20260101',
    ])
    expect(told(found)).toEqual([
      'abandoned content_current/fatwiki/20260101',
      'abandoned content_history/fatwiki/20260101',
    ])
  })

  it('with a changed file are another revision', async () => {
    const { round, world } = await setUp({ changing: [{ glob: '**/fatwiki-2026-01-01-p7*', afterReads: 1 }] })
    const known = (await round()).runs.flat()
    const url = `${world.url}/${pathOf(HISTORY, 'fatwiki', '2026-01-01', 'p7r1r9')}`
    await (await fetch(url, { headers: { 'user-agent': 'a@example.org' } })).arrayBuffer()
    // The list is newer too, so that export has to settle again.
    expect(told(await round(known))).toEqual(['not-settled-yet content_history/fatwiki/20260101'])
  })

  it('on a mirror that lists no folders are not found, and that is said once for each kind', async () => {
    const { round } = await setUp({ listingsOff: true })
    const found = await round()
    expect(found.runs).toEqual([])
    expect(told(found)).toEqual(['not-listed content_current//', 'not-listed content_history//'])
  })

  it('that could be listed before are remembered while the place lists nothing', async () => {
    const { round, world } = await setUp({
      unfinishedExports: ['mediawiki_content_current/fatwiki/2026-01-01'],
    })
    const known = (await round()).runs.flat()
    world.faults.listingsOff = true
    expect(told(await round(known))).toEqual([
      'not-listed content_current//',
      'not-listed content_history//',
      'abandoned content_current/fatwiki/20260101',
    ])
    world.faults.listingsOff = false
    const before = world.log.length
    expect((await round(known)).runs).toEqual([])
    // All three are looked at, as nothing else is to do; none is taken for new.
    expect(world.log.slice(before).filter((one) => one.kind === 'dump')).toEqual([])
  })

  it('are found although upstream is busy and answers with HTML', async () => {
    const { round } = await setUp({ wikimedia429Rate: 0.1, wikimedia503Rate: 0.1, retryAfterSeconds: 0 })
    expect(idsOf(await round())).toHaveLength(3)
  })

  it('of many wikis are looked at over several rounds, the new ones first', async () => {
    const files = Object.fromEntries(
      Array.from({ length: WIKIS_A_ROUND_MAX + 3 }, (_, index) => [
        pathOf(CURRENT, `w${index}wiki`, '2026-01-01', 'p1p2'),
        noise(10, index + 1),
      ]),
    )
    const { round } = await setUp({}, files)
    const first = (await round()).runs.flat()
    expect(first).toHaveLength(WIKIS_A_ROUND_MAX)
    expect((await round(first)).runs.flat()).toHaveLength(3)
  }, 60_000)

  it('are read for others when a coordinator named older ones, and no others', async () => {
    const { round } = await setUp()
    const series = seriesOf({ dataset: 'content_current', wiki: 'fatwiki' })
    expect(idsOf(await round([], { after: new Map([[series, '20251201']]) }))).toEqual([
      'content_current/fatwiki/20260101',
    ])
    expect(idsOf(await round([], { after: new Map([[series, '20260101']]) }))).toEqual([])
  })

  it('are observed beside dumps when no coordinator is heard of, with sizes that were asked for', async () => {
    const dump = 'aawiki/20260101/aawiki-20260101-page.sql.gz'
    const { origin, world } = await setUp({}, { ...FILES, [dump]: noise(5_000, 9) })
    const published = Promise.withResolvers<readonly (readonly Shard[])[]>()
    const observer = new Observer({
      origin,
      clock: { wallMs: () => Date.now(), monotonicMs: () => performance.now() },
      log: silentLog,
      settledAfterMs: () => 86_400_000,
      breathe: async () => {},
      publish: async (runs) => published.resolve(runs),
    })
    const after = new Map([
      [seriesOf({ dataset: 'dumps', wiki: 'aawiki' }), '20251201'],
      [seriesOf({ dataset: 'content_history', wiki: 'fatwiki' }), '20251201'],
    ])
    observer.observe({ kind: 'observe', after, known: [] })
    const runs = await published.promise
    expect(runs.flat().map((shard) => shard.id)).toEqual([
      'dumps/aawiki/20260101',
      'content_history/fatwiki/20260101',
    ])
    expect(runs.flat()[1]?.sizeBytes).toBe(50_000)
    expect(world.log.filter((one) => one.method === 'HEAD' && one.kind === 'dump')).toHaveLength(1)
    await observer.stop()
  })
})

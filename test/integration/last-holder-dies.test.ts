/**
 * Real nodes and the miniature Wikimedia (PROTOCOL 6): the one that holds a dump dies while the other fetches it. The other waits as
 * long as the federation says, leads, and takes from upstream what is missing and nothing more.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { createKeys } from '../../coordinator/federation/keys.ts'
import { createRoot } from '../../coordinator/federation/root.ts'
import { createIdentity } from '../../node/net/identity.ts'
import { startNode } from '../../node/node.ts'
import type { NodeStatus, ShardStatus } from '../../node/observe/status.ts'
import { createOrigin } from '../../node/origin/origin.ts'
import { openLevelStore } from '../../node/store/level-store.ts'
import { readUpstreamRun } from '../../node/upstream/read-run.ts'
import { realClock } from '../support/fetcher.ts'
import { FLEET_PARAMETERS } from '../support/fleet.ts'
import { QUIET_NODE } from '../support/node-config.ts'
import { testIdentity } from '../support/records.ts'
import { signedCatalog } from '../support/signed-catalog.ts'
import { startWorld } from '../world/world.ts'
import { makeDumps, noise } from './world-support.ts'

const FILES = {
  'aawiki/20260101/aawiki-20260101-page.sql.gz': noise(100_000, 1),
  'aawiki/20260101/aawiki-20260101-pages-articles.xml.bz2': noise(2_900_000, 2),
}
const ALL = 3_000_000
const PIECE = 16_384
const PARAMETERS = {
  ...FLEET_PARAMETERS,
  ttlMs: 4_000,
  renewMs: 1_000,
  restMs: 4_000,
  leadStallMs: 2_000,
  leadBytesPerSecondMin: 1_000_000,
  settledAfterMs: 0,
}
const COORDINATOR = testIdentity(1_000_000)
const eventually = { timeout: 60_000, interval: 100 }

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

/** The catalog that a coordinator would have signed, as a node keeps it. */
async function storeCatalog(dataDir: string, originUrl: string): Promise<void> {
  const origin = createOrigin({
    ...{ baseUrl: originUrl, contact: 'me@example.org', version: '0', nodeId: 'test' },
    ...{ clock: realClock, random: Math.random },
  })
  const name = { dataset: 'dumps', wiki: 'aawiki', date: '20260101' } as const
  const run = await readUpstreamRun(origin, name, { nowMs: Date.now(), settledAfterMs: 0 })
  await origin.close()
  if (!run.ready) throw new Error(run.reason)
  const [shard, ...rest] = run.shards
  if (shard === undefined) throw new Error('no shard')
  const store = await openLevelStore(join(dataDir, 'store'), dataDir)
  await store.batch(signedCatalog(COORDINATOR, [shard, ...rest]))
  await store.close()
}

const ask = async <T>(url: string, path: string): Promise<T> =>
  (await (await fetch(new URL(`api/v1/${path}`, url), { signal: AbortSignal.timeout(5_000) })).json()) as T
const rowOf = async (url: string) => (await ask<{ shards: ShardStatus[] }>(url, 'shards')).shards[0]

it('a dump whose last holder dies halfway is completed from upstream with what is missing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wikiseed-last-holder-'))
  cleanups.push(() => rm(folder, { recursive: true }))
  const dumps = await makeDumps(FILES)
  const world = await startWorld({ dumps })
  cleanups.push(() => rm(dumps, { recursive: true }), world.close)
  const rootPath = join(folder, '1.root.json')
  const root = createRoot({
    name: 'two',
    parameters: PARAMETERS,
    coordinators: [{ nodeId: COORDINATOR.nodeId, operator: 'library', multiaddrs: [] }],
    nowMs: Date.now(),
    expiresAtMs: Date.now() + 86_400_000,
    keys: await createKeys(folder),
  })
  await writeFile(rootPath, root)
  const addresses: string[] = []
  const begin = async (name: string, bytesTotal: number, uploadLimitBytesPerSecond: number | null) => {
    const dataDir = join(folder, name)
    await mkdir(dataDir)
    const { nodeId } = await createIdentity(dataDir)
    await storeCatalog(dataDir, `${world.url}/`)
    const settings = { originUrl: `${world.url}/`, bytesTotal, operator: name, uploadLimitBytesPerSecond }
    const node = await startNode({ ...QUIET_NODE, ...settings, dataDir, rootPath, peers: [...addresses] })
    addresses.push(...(await ask<NodeStatus>(node.httpUrl, 'status')).addresses)
    let stopping: Promise<void> | null = null
    const stop = () => (stopping ??= node.stop())
    cleanups.push(stop)
    return { url: node.httpUrl, nodeId, stop }
  }
  // A newcomer claims nothing before it has met somebody; this one has no room itself.
  await begin('bystander', 1_000_000, null)
  const holder = await begin('holder', 1e9, 400_000)
  await vi.waitFor(async () => expect((await rowOf(holder.url))?.own).toBe('held'), eventually)
  const other = await begin('other', 1e9, null)
  await vi.waitFor(async () => expect((await rowOf(other.url))?.done).toBeGreaterThanOrEqual(8), eventually)
  await holder.stop()
  await vi.waitFor(async () => expect((await rowOf(other.url))?.own).toBe('held'), eventually)

  const asked = world.log.filter(
    (one) => one.kind === 'dump' && one.userAgent.includes(`node ${other.nodeId.slice(-8)}`),
  )
  const bytes = asked.reduce((sum, one) => sum + one.bytes, 0)
  expect(bytes).toBeGreaterThan(0)
  expect(bytes).toBeLessThanOrEqual(ALL / 2 + PIECE)
  expect(asked.every((one) => one.status === 206)).toBe(true)
  expect(await rowOf(other.url)).toMatchObject({ done: 16, led: true, fromOriginBytes: bytes })
}, 120_000)

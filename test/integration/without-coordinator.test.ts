/**
 * A federation on loopback whose coordinator is stopped (PROTOCOL 1): real nodes, a real coordinator, the miniature Wikimedia. A run
 * that upstream makes meanwhile is observed, agreed on, claimed and fetched, and the coordinator names it when it is back.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { CoordinatorConfig } from '../../coordinator/config.ts'
import { startCoordinator } from '../../coordinator/coordinator.ts'
import { createKeys } from '../../coordinator/federation/keys.ts'
import { createRoot } from '../../coordinator/federation/root.ts'
import { loadRoot } from '../../node/federation.ts'
import { createIdentity } from '../../node/net/identity.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import { startNode } from '../../node/node.ts'
import type { NodeStatus, ShardStatus } from '../../node/observe/status.ts'
import {
  describeRun,
  encodeObservation,
  OBSERVATION_DOMAIN,
  OBSERVATION_TYPE,
} from '../../protocol/catalog/observation.ts'
import { decodeCbor } from '../../protocol/codec/cbor.ts'
import { OBSERVATIONS_MAX } from '../../protocol/limits.ts'
import type { Parameters } from '../../protocol/parameters.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { testShard } from '../support/cores.ts'
import { FLEET_PARAMETERS } from '../support/fleet.ts'
import { QUIET_MEMBER, QUIET_NODE } from '../support/node-config.ts'
import { testIdentity } from '../support/records.ts'
import { startWorld, type World } from '../world/world.ts'
import { noise } from './world-support.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })
const eventually = { timeout: 90_000, interval: 200 }

const PARAMETERS: Parameters = {
  ...FLEET_PARAMETERS,
  leadStallMs: 2_000,
  leadBytesPerSecondMin: 1_000_000,
  settledAfterMs: 0,
  observeAfterMs: 8_000,
  observeEveryMs: 24_000,
}
const OLD = 'tenwiki/20251201'
const NEW = 'tenwiki/20260101'
const ROOMY = 1e9

interface Running {
  readonly url: string
  readonly addresses: readonly string[]
  stop(): Promise<void>
}

/** Of one test. */
let folder: string
let world: World
const running: Running[] = []
const cleanups: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wikiseed-silence-'))
})
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
  for (const one of running.splice(0)) await one.stop()
  await world.close()
  await rm(folder, { recursive: true })
})

const at = (name: string) => join(folder, name)

async function put(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

/** Upstream makes a run of two files. */
async function makeRun(run: string, seed: number): Promise<void> {
  const name = run.replace('/', '-')
  await put(at(`dumps/${run}/${name}-site_stats.sql.gz`), noise(90_000, seed))
  await put(at(`dumps/${run}/${name}-pages-articles-multistream.xml.bz2`), noise(300_000, seed + 1))
}

/** A world with one run, a root that lists one coordinator, and that coordinator's settings. */
async function prepare(nodes: number): Promise<{ coordinator: CoordinatorConfig; dataDirs: string[] }> {
  await makeRun(OLD, 1)
  world = await startWorld({ dumps: at('dumps'), state: at('world') })
  const home = at('coordinator')
  await mkdir(home, { recursive: true })
  const dataDirs = Array.from({ length: nodes }, (_, index) => at(`node-${index}`))
  for (const dataDir of dataDirs) await mkdir(dataDir, { recursive: true })
  const operators = await Promise.all(
    dataDirs.map(async (dataDir, index) => ({
      node: (await createIdentity(dataDir)).nodeId,
      operator: `operator-${index}`,
    })),
  )
  const { nodeId } = await createIdentity(home)
  const keysDir = at('federation')
  await mkdir(keysDir, { recursive: true })
  const root = createRoot({
    name: 'silence',
    parameters: PARAMETERS,
    coordinators: [{ nodeId, operator: 'library', multiaddrs: [] }],
    nowMs: Date.now(),
    expiresAtMs: Date.now() + 86_400_000,
    keys: await createKeys(keysDir),
  })
  await put(at('1.root.json'), root)
  const coordinator: CoordinatorConfig = {
    ...baseOf(home, []),
    operator: 'library',
    operators,
    keysDir,
    publishDir: at('published'),
    publicUrl: null,
    exports: false,
    archiveSite: 'https://archive.example/',
    mirrors: [],
    discoverEveryMs: 1_000,
    preserveEveryMs: 1_000,
    publishEveryMs: 5_000,
    bundleQuietMs: null,
    archive: null,
    r2: null,
    gist: null,
  }
  return { coordinator, dataDirs }
}

function baseOf(dataDir: string, peers: readonly string[]) {
  const bytesTotal = ROOMY
  return {
    ...QUIET_MEMBER,
    dataDir,
    rootPath: at('1.root.json'),
    peers,
    originUrl: `${world.url}/`,
    bytesTotal,
  }
}

async function begin(started: { httpUrl: string; stop(): Promise<void> }): Promise<Running> {
  const { addresses } = await ask<NodeStatus>(started.httpUrl, 'status')
  const one = { url: started.httpUrl, addresses, stop: () => started.stop() }
  running.push(one)
  return one
}

/** Each knows those that run already. */
async function runNode(dataDir: string, operator: string): Promise<Running> {
  const peers = running.flatMap((one) => one.addresses)
  return begin(await startNode({ ...QUIET_NODE, ...baseOf(dataDir, peers), operator }))
}

async function stop(one: Running): Promise<void> {
  running.splice(running.indexOf(one), 1)
  await one.stop()
}

async function ask<T>(url: string, path: string): Promise<T> {
  const answer = await fetch(new URL(`api/v1/${path}`, url), { signal: AbortSignal.timeout(5_000) })
  return (await answer.json()) as T
}

const statusOf = ({ url }: Running) => ask<NodeStatus>(url, 'status')

async function rowOf({ url }: Running, run: string): Promise<ShardStatus | undefined> {
  const { shards } = await ask<{ shards: ShardStatus[] }>(url, 'shards')
  return shards.find((one) => one.id === `dumps/${run}`)
}

/** Everybody sees it held three times. */
async function untilKept(nodes: readonly Running[], run: string): Promise<void> {
  await vi.waitFor(async () => {
    for (const one of nodes) expect((await rowOf(one, run))?.replicas).toBeGreaterThanOrEqual(3)
  }, eventually)
}

/** Requests to upstream for paths that match, by who asked. */
function askedBy(path: RegExp): Map<string, number> {
  const asked = new Map<string, number>()
  for (const one of world.log)
    if (path.test(one.path)) asked.set(one.userAgent, (asked.get(one.userAgent) ?? 0) + 1)
  return asked
}

describe('a federation whose coordinator is stopped', () => {
  it('observes a new run, agrees on it, claims it and fetches it once; the coordinator names it when it is back', async () => {
    const { coordinator, dataDirs } = await prepare(4)
    const home = await begin(await startCoordinator(coordinator))
    const nodes: Running[] = []
    for (const [index, dataDir] of dataDirs.entries()) nodes.push(await runNode(dataDir, `operator-${index}`))
    await untilKept(nodes, OLD)
    expect(await statusOf(nodes[0] as Running)).toMatchObject({
      catalog: { source: 'coordinator', observed: 0 },
    })

    await stop(home)
    await makeRun(NEW, 11)
    const before = askedBy(/index\.json$/)
    await untilKept(nodes, NEW)
    for (const one of nodes) {
      expect((await statusOf(one)).catalog).toMatchObject({ source: 'observed', observed: 1 })
      expect(await rowOf(one, NEW)).toMatchObject({ observed: true })
      expect(await rowOf(one, OLD)).toMatchObject({ observed: false })
    }
    // Each byte left Wikimedia once, and not everybody looked at its index.
    const files = new RegExp(`^/${NEW}/.*(gz|bz2)$`)
    expect([...askedBy(files).values()].reduce((sum, count) => sum + count, 0)).toBe(2)
    const readers = [...askedBy(/index\.json$/)].filter(([who, count]) => count > (before.get(who) ?? 0))
    expect(readers.length).toBeGreaterThanOrEqual(2)

    const peers = nodes.flatMap((one) => one.addresses)
    await begin(await startCoordinator({ ...coordinator, peers }))
    await vi.waitFor(async () => {
      for (const one of nodes) {
        expect(await rowOf(one, NEW)).toMatchObject({ observed: false, replicas: 3 })
        expect((await statusOf(one)).catalog).toMatchObject({ source: 'coordinator', observed: 0 })
      }
    }, eventually)
  })

  it('is told of a run that upstream never made, by two strangers: nobody takes a byte of it', async () => {
    const { coordinator, dataDirs } = await prepare(3)
    // Where two whom it lists are live strangers would not even be heard.
    const home = await begin(await startCoordinator({ ...coordinator, operators: [] }))
    const nodes: Running[] = []
    for (const [index, dataDir] of dataDirs.entries()) nodes.push(await runNode(dataDir, `operator-${index}`))
    await untilKept(nodes, OLD)
    await stop(home)
    const first = nodes[0] as Running
    await vi.waitFor(async () => expect((await statusOf(first)).catalog.source).toBe('observed'), eventually)

    const invented = describeRun([testShard('tenwiki', 500_000, '20260101')])
    if (invented === null) throw new Error('it is too long')
    for (const number of [700, 701]) await lie(number, invented, first)
    // One of them believed it enough to look, and was told otherwise by Wikimedia itself.
    await vi.waitFor(async () => {
      const problems = (await Promise.all(nodes.map(statusOf))).flatMap((one) => one.problems)
      expect(problems.map((one) => one.code)).toContain('catalog-disagrees')
    }, eventually)
    for (const one of nodes) expect((await rowOf(one, NEW))?.replicas ?? 0).toBe(0)
    expect(askedBy(new RegExp(`^/${NEW}/.*(gz|bz2)$`)).size).toBe(0)
    for (const one of nodes) expect(await rowOf(one, OLD)).toMatchObject({ replicas: 3 })
  })
})

/** A stranger joins, says that it read this run, and serves its document to whoever asks. */
async function lie(
  number: number,
  invented: NonNullable<ReturnType<typeof describeRun>>,
  peer: Running,
): Promise<void> {
  const identity = testIdentity(number)
  const { federationId } = await loadRoot(at('1.root.json'))
  const remembered = [...peer.addresses]
  const network = new Libp2pNetwork({ identity, federationId, remembered, log: silentLog })
  const observe = () =>
    encodeObservation({
      node: identity.nodeId,
      operator: `stranger-${number}`,
      atMs: Date.now(),
      runs: [invented.reference],
    })
  network.handle('catalog', async (request) => {
    const { sha256, offset } = decodeCbor(request, 'request', OBSERVATIONS_MAX) as Record<string, unknown>
    return sha256 === invented.reference.sha256 ? invented.bytes.subarray(Number(offset)) : new Uint8Array()
  })
  for (const topic of ['manifests', 'catalogs', 'observations'] as const)
    network.onGossip(topic, () => 'ignore')
  await network.start()
  cleanups.push(() => network.stop())
  // What nobody got is said anew, as other bytes: the network does not send the same ones twice.
  await vi.waitFor(async () => {
    const sealed = identity.seal(OBSERVATION_DOMAIN, OBSERVATION_TYPE, observe())
    expect(await network.publish('observations', sealed)).toBeGreaterThan(0)
  }, eventually)
}

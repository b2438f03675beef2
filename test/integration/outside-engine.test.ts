/**
 * A whole node on loopback whose seeds a real qBittorrent or Transmission gives: what it held is seeded at its start, what vanishes
 * from its disk is noticed, fetched again from another node, and seeded again.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createKeys } from '../../coordinator/federation/keys.ts'
import { createRoot } from '../../coordinator/federation/root.ts'
import type { EngineChoice } from '../../node/config-engine.ts'
import { QBittorrent } from '../../node/engines/qbittorrent.ts'
import { Transmission } from '../../node/engines/transmission.ts'
import { startNode } from '../../node/node.ts'
import type { NodeStatus } from '../../node/observe/status.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { missingProgram } from '../demo/support.ts'
import { type RealShard, realShard } from '../support/audit-node.ts'
import { FLEET_PARAMETERS } from '../support/fleet.ts'
import { listNodes, nodeFolder } from '../support/held-folder.ts'
import { QUIET_NODE } from '../support/node-config.ts'
import { testIdentity } from '../support/records.ts'
import { PROGRAMS, startQBittorrent, startTransmission } from '../support/seed-programs.ts'

vi.setConfig({ testTimeout: 120_000 })
const eventually = { timeout: 60_000, interval: 200 }
const COORDINATOR = testIdentity(1_000_001)
const noLogin = { user: null, password: null }

let folder: string
let hasher: WorkerHasher
let real: RealShard
const closing: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wikiseed-outside-'))
  hasher = new WorkerHasher({ teamsMax: 1 })
  real = await realShard('tenwiki', [200_000, 150_000], join(folder, 'upstream'), hasher)
  const root = createRoot({
    name: 'outside',
    parameters: FLEET_PARAMETERS,
    coordinators: [{ nodeId: COORDINATOR.nodeId, operator: 'library', multiaddrs: [] }],
    nowMs: Date.now(),
    expiresAtMs: Date.now() + 86_400_000,
    keys: await createKeys(folder),
  })
  await writeFile(join(folder, '1.root.json'), root)
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
afterAll(async () => {
  await hasher.close()
  await rm(folder, { recursive: true })
})

/** The folder of a node that holds the shard. */
async function holder(name: string): Promise<{ dataDir: string; node: NodeId }> {
  const dataDir = join(folder, name)
  return { dataDir, node: await nodeFolder(dataDir, real, real.bytes) }
}

async function start(dataDir: string, engine: EngineChoice, peers: readonly string[]) {
  const rootPath = join(folder, '1.root.json')
  const node = await startNode({ ...QUIET_NODE, dataDir, engine, peers, rootPath, bytesTotal: 1e9 })
  closing.push(() => node.stop())
  const url = new URL('api/v1/status', node.httpUrl)
  return async () => (await (await fetch(url, { signal: AbortSignal.timeout(5_000) })).json()) as NodeStatus
}

describe.each([
  ['qbittorrent', startQBittorrent, QBittorrent],
  ['transmission', startTransmission, Transmission],
] as const)('a node that seeds with %s', (kind, startProgram, Client) => {
  const missing = missingProgram(PROGRAMS[kind])
  const itRuns = missing === null ? it : it.skip

  itRuns('has what it holds seeded, and mends what vanishes from its disk', async () => {
    const program = await startProgram()
    closing.push(() => program.stop())
    const [plain, seeding] = [await holder(`${kind}-plain`), await holder(`${kind}-seeding`)]
    await listNodes(COORDINATOR, real.shard, [plain, seeding])
    const { addresses } = await (await start(plain.dataDir, { kind: 'own' }, []))()
    const choice = { kind, url: program.url, ...noLogin, folder: null }
    const status = await start(seeding.dataDir, choice, addresses)

    const client = new Client({ url: program.url, ...noLogin })
    const isSeeded = () =>
      vi.waitFor(
        async () =>
          expect(await client.find(real.infohash)).toMatchObject({ state: 'seeding', isOurs: true }),
        eventually,
      )
    await isSeeded()
    expect((await status()).bittorrent).toEqual({
      port: program.port,
      engine: expect.stringMatching(new RegExp(`^${kind} \\d`, 'i')),
      discovery: {
        dht: expect.objectContaining({ off: expect.stringMatching(/ announces what it seeds$/) }),
        dht6: expect.objectContaining({ off: expect.stringMatching(/ announces what it seeds$/) }),
        lsd: expect.objectContaining({ off: expect.stringMatching(/ announces what it seeds$/) }),
      },
    })

    await rm(join(seeding.dataDir, 'mirror', real.shard.wiki), { recursive: true })
    const damaged = async () => (await status()).problems.find((problem) => problem.code === 'damaged')
    await vi.waitFor(async () => expect(await damaged()).toBeDefined(), eventually)
    await vi.waitFor(async () => expect((await damaged())?.resolvedAtMs).toBeTypeOf('number'), eventually)
    await isSeeded()
    expect((await status()).problems.filter((problem) => problem.resolvedAtMs === null)).toEqual([])
  })
})

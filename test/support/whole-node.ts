/**
 * `wikiseed start` as a user runs it, over a data folder that holds shards: in a federation of its own, whose coordinator is a real
 * node in this process and gets to know it. What it costs is read from outside, from /proc.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createKeys } from '../../coordinator/federation/keys.ts'
import { createRoot } from '../../coordinator/federation/root.ts'
import { loadRoot } from '../../node/federation.ts'
import { layoutOf } from '../../node/files/layout.ts'
import type { NodeStatus } from '../../node/observe/status.ts'
import { openLevelStore } from '../../node/store/level-store.ts'
import { DEFAULT_PARAMETERS } from '../../protocol/parameters.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { costOf, type NodeCost } from './clients/usage.ts'
import { FleetNode } from './fleet-node.ts'
import { testIdentity } from './records.ts'
import { signedCatalog } from './signed-catalog.ts'

const WIKISEED = fileURLToPath(new URL('../../node/wikiseed.js', import.meta.url))
const COORDINATOR = 0
const DAY_MS = 86_400_000

export interface Federation {
  readonly rootPath: string
  /** Its coordinator, which is up. */
  readonly neighbour: FleetNode
}

/** Founds a federation below `folder` whose coordinator signed a catalog of these shards, and puts that into the node's store. */
export async function foundFederation(
  folder: string,
  dataDir: string,
  shards: readonly [Shard, ...Shard[]],
): Promise<Federation> {
  const coordinator = testIdentity(COORDINATOR)
  const rootPath = join(folder, '1.root.json')
  await mkdir(folder, { recursive: true })
  const nowMs = Date.now()
  const root = createRoot({
    name: 'bench',
    parameters: DEFAULT_PARAMETERS,
    coordinators: [{ nodeId: coordinator.nodeId, operator: 'bench', multiaddrs: [] }],
    nowMs,
    expiresAtMs: nowMs + DAY_MS,
    keys: await createKeys(folder),
  })
  await writeFile(rootPath, root)
  const { federationId } = await loadRoot(rootPath)
  const layout = layoutOf(dataDir)
  const store = await openLevelStore(layout.store, layout.root)
  await store.batch(signedCatalog(coordinator, shards))
  await store.close()
  const neighbour: FleetNode = new FleetNode(COORDINATOR, {
    federationId,
    parameters: DEFAULT_PARAMETERS,
    coordinator: coordinator.nodeId,
    bittorrentPort: 9,
    find: () => neighbour,
    admits: () => true,
    failed: (error) => {
      throw error
    },
  })
  // It takes nothing itself: what it would cost here says nothing of the node that is measured.
  neighbour.bytesTotal = 0
  await neighbour.start([])
  return { rootPath, neighbour }
}

export interface WholeNode {
  /** Of BitTorrent. */
  readonly port: number
  /** From the start of the process until the status page and the BitTorrent port answered. */
  readonly startMs: number
  cost(): NodeCost
  status(): Promise<NodeStatus>
  stop(): Promise<void>
}

export async function startWholeNode(
  dataDir: string,
  { rootPath, neighbour }: Federation,
  trackers: readonly string[],
): Promise<WholeNode> {
  const nowhere = 'http://127.0.0.1:9/'
  const args = [
    ...['start', '--data', dataDir, '--root', rootPath, '--contact', 'bench@example.org'],
    ...['--origin', nowhere, '--archive-site', nowhere, '--capacity', '20GB'],
    ...['--listen', '/ip4/127.0.0.1/tcp/0', '--bittorrent-port', '0', '--http', '127.0.0.1:0'],
    ...neighbour.network.addresses().flatMap((address) => ['--peer', address]),
    ...trackers.flatMap((url) => ['--tracker', url]),
    ...['--no-dht', '--no-lsd'],
  ]
  const atStart = performance.now()
  const child = spawn(process.execPath, [WIKISEED, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (data: Buffer) => {
    errors = `${errors}${data}`.slice(-4_096)
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const url = await new Promise<string>((resolve, reject) => {
    let out = ''
    child.stdout.on('data', (data: Buffer) => {
      out += data
      const page = /status page: (\S+)/.exec(out)?.[1]
      if (page !== undefined) resolve(page)
    })
    void ended.then((code) => reject(new Error(`wikiseed start ended with ${code}: ${errors}`)))
  })
  const status = async () => (await (await fetch(new URL('api/v1/status', url))).json()) as NodeStatus
  const { port } = (await status()).bittorrent
  const startMs = performance.now() - atStart
  const { pid } = child
  if (pid === undefined) throw new Error('a process that runs has an id')
  return {
    port,
    startMs,
    cost: () => costOf(pid, childOf(pid)),
    status,
    stop: async () => {
      child.kill('SIGTERM')
      const code = await ended
      if (code !== 0) throw new Error(`wikiseed start ended with ${code}: ${errors}`)
    },
  }
}

/** The engine's process: the one that the node started. */
function childOf(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ')
  if (child === undefined || child === '') throw new Error('the node has no engine')
  return Number(child)
}

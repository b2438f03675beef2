/** Whole nodes on loopback, as `wikiseed start` runs them, whose folders hold a shard already: who audits whom, and what is told of it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createKeys } from '../../coordinator/federation/keys.ts'
import { createRoot } from '../../coordinator/federation/root.ts'
import type { NodeConfig } from '../../node/config.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import { startNode } from '../../node/node.ts'
import type { ReceiptsStatus } from '../../node/observe/receipts-status.ts'
import type { NodeStatus, ShardStatus } from '../../node/observe/status.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { proveRange } from '../../protocol/audit/messages.ts'
import { judgeReceipt, openReceipt } from '../../protocol/audit/receipt.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { Parameters } from '../../protocol/parameters.ts'
import { type Bytes, type RealShard, realShard } from '../support/audit-node.ts'
import { FLEET_PARAMETERS } from '../support/fleet.ts'
import { listNodes, nodeFolder } from '../support/held-folder.ts'
import { QUIET_NODE } from '../support/node-config.ts'
import { testIdentity } from '../support/records.ts'

vi.setConfig({ testTimeout: 90_000 })
const eventually = { timeout: 60_000, interval: 200 }

/** Files of several sizes: the largest is less than half of all. */
const SIZES = [200_000, 150_000, 120_000, 80_000]
const PARAMETERS: Parameters = {
  ...FLEET_PARAMETERS,
  leadStallMs: 1_000,
  leadBytesPerSecondMin: 1_000_000,
  auditEveryMs: 20_000,
}
const COORDINATOR = testIdentity(1_000_001)

interface Running {
  readonly node: NodeId
  readonly url: string
  readonly addresses: readonly string[]
  stop(): Promise<void>
}

let folder: string
let hasher: WorkerHasher
let real: RealShard
const running: Running[] = []
let count = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wikiseed-audits-'))
  hasher = new WorkerHasher({ teamsMax: 1 })
  real = await realShard('tenwiki', SIZES, join(folder, 'upstream'), hasher)
  const root = createRoot({
    name: 'audits',
    parameters: PARAMETERS,
    coordinators: [{ nodeId: COORDINATOR.nodeId, operator: 'library', multiaddrs: [] }],
    nowMs: Date.now(),
    expiresAtMs: Date.now() + 86_400_000,
    keys: await createKeys(folder),
  })
  await writeFile(join(folder, '1.root.json'), root)
})
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop()
})
afterAll(async () => {
  await hasher.close()
  await rm(folder, { recursive: true })
})

/** What a node has on its disk before it starts. */
interface Disk {
  readonly dataDir: string
  readonly node: NodeId
  readonly bytesTotal: number
}

async function prepare({ bytesTotal, holds }: { bytesTotal: number; holds?: Bytes }): Promise<Disk> {
  const dataDir = join(folder, `node-${++count}`)
  return { dataDir, node: await nodeFolder(dataDir, real, holds), bytesTotal }
}

/** Each of them has the coordinator's words, which list all of them. */
const list = (...disks: Disk[]): Promise<void> => listNodes(COORDINATOR, real.shard, disks)

/** Starts it; it knows those that run already. */
async function run({ dataDir, node, bytesTotal }: Disk): Promise<Running> {
  const peers = running.flatMap((one) => one.addresses)
  const one = await startNode(configOf(dataDir, bytesTotal, peers))
  const { addresses } = await ask<NodeStatus>(one.httpUrl, 'status')
  const entry = { node, url: one.httpUrl, addresses, stop: () => one.stop() }
  running.push(entry)
  return entry
}

function configOf(dataDir: string, bytesTotal: number, peers: readonly string[]): NodeConfig {
  return { ...QUIET_NODE, dataDir, rootPath: join(folder, '1.root.json'), peers, bytesTotal }
}

async function ask<T>(url: string, path: string): Promise<T> {
  const answer = await fetch(new URL(`api/v1/${path}`, url), { signal: AbortSignal.timeout(5_000) })
  return (await answer.json()) as T
}

/** What a node says of the shard. */
async function rowOf({ url }: Running): Promise<ShardStatus | undefined> {
  return (await ask<{ shards: ShardStatus[] }>(url, 'shards')).shards[0]
}

const receiptsOf = async ({ url }: Running) => (await ask<ReceiptsStatus>(url, 'receipts')).receipts

/** What somebody who has the true bytes makes of two messages from the API. */
function judge(one: ReceiptsStatus['receipts'][number]): string {
  const receipt = {
    challenge: new Uint8Array(Buffer.from(one.challenge, 'base64')),
    answer: new Uint8Array(Buffer.from(one.answer, 'base64')),
  }
  const opened = openReceipt(receipt, real.shard, verifyEd25519)
  if (!opened.ok) return opened.problem
  const { nonce, ranges, node, auditor } = opened.value
  if (node !== one.node || auditor !== one.auditor) return 'of others'
  const proofs = ranges.map(({ file, offsetBytes, lengthBytes }) =>
    proveRange(
      nonce,
      real.bytes[file]?.bytes.subarray(offsetBytes, offsetBytes + lengthBytes) ?? new Uint8Array(),
    ),
  )
  return judgeReceipt(opened.value, proofs)
}

const ROOMY = 1e9
/** Room for any of its files and not for the shard. */
const SMALL = 250_000
const lost = (of: (index: number) => boolean): Bytes =>
  real.bytes.map((file, i) =>
    of(i) && i < SIZES.length ? { ...file, bytes: new Uint8Array(file.bytes.length) } : file,
  )

describe('the only holder of a shard', () => {
  it('is proven by a node that has no room for it, and everybody counts that', async () => {
    const disks = [
      await prepare({ bytesTotal: ROOMY, holds: real.bytes }),
      await prepare({ bytesTotal: SMALL }),
    ] as const
    await list(...disks)
    const [holder, other] = [await run(disks[0]), await run(disks[1])]
    await vi.waitFor(async () => expect((await rowOf(holder))?.replicas).toBe(1), eventually)
    for (const one of [holder, other])
      expect((await rowOf(one))?.holders).toMatchObject([{ node: holder.node, audited: true }])
    expect((await rowOf(other))?.own).toBeNull()
    expect((await ask<NodeStatus>(other.url, 'status')).counts.audits.pass).toBe(1)
    expect(await receiptsOf(other)).toEqual([])
  })

  it('whose files are lost is proven to have failed, and reads its copy again', async () => {
    const holds = lost(() => true)
    const disks = [await prepare({ bytesTotal: ROOMY, holds }), await prepare({ bytesTotal: SMALL })] as const
    await list(...disks)
    const [rotten, other] = [await run(disks[0]), await run(disks[1])]
    await vi.waitFor(async () => expect(await receiptsOf(other)).toHaveLength(1), eventually)
    const [receipt] = await receiptsOf(other)
    expect(receipt).toMatchObject({ shard: real.shard.key, node: rotten.node, auditor: other.node })
    expect(receipt && judge(receipt)).toBe('fail')
    const problems = async () =>
      (await ask<NodeStatus>(rotten.url, 'status')).problems.map((problem) => problem.code)
    await vi.waitFor(async () => expect(await problems()).toContain('damaged'), eventually)
  })
})

describe('a holder that lost half of its files', () => {
  it('is proven by a receipt that another holder asked for, and everybody can judge', async () => {
    const disks = [
      await prepare({ bytesTotal: ROOMY, holds: real.bytes }),
      await prepare({ bytesTotal: ROOMY, holds: real.bytes }),
      await prepare({ bytesTotal: ROOMY, holds: lost((i) => i % 2 === 1) }),
    ] as const
    await list(...disks)
    const [first, second] = [await run(disks[0]), await run(disks[1])]
    // When these two are proven it need not audit them, by which it would find its own damage.
    for (const one of [first, second])
      await vi.waitFor(async () => expect((await rowOf(one))?.replicas).toBe(2), eventually)
    const liar = await run(disks[2])
    const ofAnother = async () => {
      const kept = await Promise.all(
        [first, second].map(async (one) =>
          (await receiptsOf(one)).filter(({ auditor }) => auditor !== one.node),
        ),
      )
      return kept.flat()
    }
    await vi.waitFor(async () => expect(await ofAnother()).not.toEqual([]), eventually)
    for (const receipt of await ofAnother()) {
      expect(receipt.node).toBe(liar.node)
      expect(judge(receipt)).toBe('fail')
    }
    // It hears of it, and has the bytes again from those who have them.
    await vi.waitFor(async () => expect((await rowOf(first))?.replicas).toBe(3), eventually)
  })
})

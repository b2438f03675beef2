/** Audits and receipts between real nodes on loopback: real messages, torrents and bytes, honest and not. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import {
  AUDIT_ANSWER_DOMAIN,
  AUDIT_ANSWER_TYPE,
  challengeDigest,
  encodeAuditAnswer,
} from '../../protocol/audit/messages.ts'
import type { Receipt } from '../../protocol/audit/receipt.ts'
import {
  AuditNode,
  type Bytes,
  madeUpTorrent,
  type RealShard,
  realShard,
  writeBytes,
} from '../support/audit-node.ts'

const SIZES = [150_000, 40_000, 0, 300_000]
let folder: string
let hasher: WorkerHasher
let real: RealShard
const nodes: { stop(): Promise<void> }[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wikiseed-audits-'))
  hasher = new WorkerHasher({ teamsMax: 1 })
  real = await realShard('tenwiki', SIZES, join(folder, 'upstream'), hasher)
})
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop()
})
afterAll(async () => {
  await hasher.close()
  await rm(folder, { recursive: true })
})

let number = 0
/** Nodes that all know each other. */
async function started(count: number): Promise<AuditNode[]> {
  const added: AuditNode[] = []
  for (let i = 0; i < count; i++) {
    const node = await AuditNode.start(++number, folder, hasher)
    for (const other of added) await node.connect(other)
    added.push(node)
    nodes.push(node)
  }
  return added
}

const bent = (bytes: Uint8Array) => bytes.map((byte, i) => (i % 20_000 === 7 ? byte ^ 1 : byte))
/** The dump files changed, sizes and all else as they were. */
const otherBytes = (of: (index: number) => boolean): Bytes =>
  real.bytes.map((file, i) => (of(i) && i < SIZES.length ? { ...file, bytes: bent(file.bytes) } : file))

/** Somebody who has other bytes under the shard's own torrent, and dials whom he likes. */
async function intruder(): Promise<WebTorrentEngine> {
  const root = await mkdtemp(join(folder, 'intruder-'))
  await writeBytes(
    real.shard,
    root,
    otherBytes(() => true),
  )
  const engine = new WebTorrentEngine({ port: 0 })
  await engine.start()
  await engine.seed(real.torrent, root)
  nodes.push(engine)
  return engine
}

const uploaded = async (one: { engine: AuditNode['engine'] }) =>
  (await one.engine.stats())[0]?.uploadedBytes ?? 0

describe('an audit by one whole file', () => {
  it('passes a node that has it: so many bytes travel, and nothing stays', async () => {
    const [auditor, holder] = (await started(2)) as [AuditNode, AuditNode]
    await holder.hold(real)
    expect(await auditor.auditByFile(real, holder)).toBe('pass')
    expect(SIZES.filter((size) => size > 0)).toContain(await uploaded(holder))
    expect(await auditor.staged()).toEqual([])
    expect(await auditor.engine.stats()).toEqual([])
    expect(auditor.receipts.failures()).toEqual([])
  })

  it('fails a node whose bytes went bad, by a receipt that shows the same to every other holder', async () => {
    const [auditor, rotten, third] = (await started(3)) as [AuditNode, AuditNode, AuditNode]
    await rotten.hold(real, { bytes: otherBytes(() => true) })
    await third.hold(real)
    expect(await auditor.auditByFile(real, rotten)).toBe('fail')
    const failure = { shard: real.shard.key, node: rotten.node, auditor: auditor.node }
    expect(auditor.receipts.failures()).toMatchObject([failure])
    expect(await third.askReceipt(real.shard, rotten.node, auditor.node)).toBe('fail')
    expect(third.receipts.failures()).toMatchObject([failure])
    expect(await auditor.staged()).toEqual([])
  })

  it('fails a node that made its torrent up', async () => {
    const [auditor, liar, third] = (await started(3)) as [AuditNode, AuditNode, AuditNode]
    const bytes = otherBytes(() => true)
    const { infohash, torrent } = madeUpTorrent(real, bytes)
    await liar.hold(real, { bytes, torrent })
    await third.hold(real)
    expect(await auditor.auditByFile({ shard: real.shard, infohash }, liar)).toBe('fail')
    expect(await third.askReceipt(real.shard, liar.node, auditor.node)).toBe('fail')
  })

  it('fails a node that sends the file and signed for another', async () => {
    const [auditor, liar] = (await started(2)) as [AuditNode, AuditNode]
    await liar.hold(real)
    await writeBytes(
      real.shard,
      liar.files.mirror,
      otherBytes(() => true),
    )
    const [helper] = (await started(1)) as [AuditNode]
    await helper.hold(real)
    expect(await auditor.auditByFile(real, liar, { peers: [helper.endpoint] })).toBe('fail')
  })

  it('proves nothing when the file does not come, nor when the torrent is not the shard’s', async () => {
    const [auditor, holder] = (await started(2)) as [AuditNode, AuditNode]
    await holder.hold(real)
    await holder.engine.remove(real.infohash)
    expect(await auditor.auditByFile(real, holder, { timeoutMs: 1_500 })).toBe('unknown')
    // Its files may be of any size, so that none of it is asked for.
    const other = await realShard('yowiki', [900_000, 900_000, 900_000, 900_000], join(folder, 'up'), hasher)
    await holder.hold(other)
    const claimed = { shard: real.shard, infohash: other.infohash }
    expect(await auditor.auditByFile(claimed, holder)).toBe('unknown')
    expect(await uploaded(holder)).toBe(0)
    expect(auditor.receipts.failures()).toEqual([])
    expect(await auditor.staged()).toEqual([])
  })

  it('tells a node that does not answer, and one that says it does not hold the shard now', async () => {
    const [auditor, holder] = (await started(2)) as [AuditNode, AuditNode]
    expect(await auditor.auditByFile(real, holder)).toBe('unknown')
    await holder.network.stop()
    expect(await auditor.auditByFile(real, holder)).toBe('offline')
  })

  it('ends at once when the shard is to be fetched as a whole', async () => {
    const [auditor, holder] = (await started(2)) as [AuditNode, AuditNode]
    await holder.hold(real)
    await holder.engine.remove(real.infohash)
    const audit = auditor.auditByFile(real, holder)
    await vi.waitFor(async () => expect(await auditor.engine.stats()).toHaveLength(1), 5_000)
    const startMs = performance.now()
    await auditor.fileAuditor.giveWay(real.shard.key)
    expect(performance.now() - startMs).toBeLessThan(1_000)
    expect(await auditor.engine.stats()).toEqual([])
    expect(await audit).toBe('unknown')
  })
})

describe('somebody who wants a node to fail', () => {
  it('and dials the auditor to send garbage is not asked: the node passes', async () => {
    const [auditor, holder] = (await started(2)) as [AuditNode, AuditNode]
    const villain = await intruder()
    await holder.hold(real)
    await holder.engine.remove(real.infohash)
    const audit = auditor.auditByFile(real, holder)
    await vi.waitFor(async () => expect(await auditor.engine.stats()).toHaveLength(1), 5_000)
    villain.addPeers(real.infohash, [auditor.endpoint])
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    // The intruder has been at the door all the time when the node itself begins to serve.
    await holder.engine.seed(real.torrent, holder.files.mirror)
    expect(await audit).toBe('pass')
    expect((await villain.stats())[0]?.uploadedBytes).toBe(0)
  })

  it('and sits at its address sends what it did not sign for, which proves nothing', async () => {
    const [auditor, holder] = (await started(2)) as [AuditNode, AuditNode]
    const villain = await intruder()
    await holder.hold(real)
    const peers = [{ host: '127.0.0.1', port: villain.port }]
    expect(await auditor.auditByFile(real, holder, { peers })).toBe('unknown')
    expect((await villain.stats())[0]?.uploadedBytes).toBeGreaterThan(0)
    expect(auditor.receipts.failures()).toEqual([])
    expect(await auditor.auditByFile(real, holder)).toBe('pass')
  })
})

describe('a liar who has lost half of its files', () => {
  it('is proven by a receipt that another holder asks for and judges by its own bytes', async () => {
    const [auditor, liar, third] = (await started(3)) as [AuditNode, AuditNode, AuditNode]
    await auditor.hold(real)
    await third.hold(real)
    await liar.hold(real, { bytes: otherBytes((i) => i % 2 === 1) })
    expect(await auditor.auditor.audit(real.shard, liar.node)).toBe('fail')
    const asked = await third.askReceipt(real.shard, liar.node, auditor.node, Date.now() - 60_000)
    expect(asked).toBe('fail')
    expect(third.receipts.failures()).toMatchObject([
      { shard: real.shard.key, node: liar.node, auditor: auditor.node },
    ])
    // What it keeps is what was sealed, to be shown to the next one.
    const [failure] = third.receipts.failures()
    const kept = await third.receipts.failure(real.shard.key, liar.node, auditor.node)
    expect(kept).toEqual(await auditor.receipts.failure(real.shard.key, liar.node, auditor.node))
    expect(failure?.atMs).toBeGreaterThan(Date.now() - 60_000)
  })
})

describe('a receipt that shows nothing', () => {
  /** A holder, an auditor with a receipt of it, and a third who holds and asks. */
  async function accusation(change: (receipt: Receipt) => Receipt): Promise<string> {
    const [auditor, holder, third] = (await started(3)) as [AuditNode, AuditNode, AuditNode]
    for (const one of [auditor, holder, third]) await one.hold(real)
    expect(await auditor.auditor.audit(real.shard, holder.node)).toBe('pass')
    const receipt = await latest(auditor, holder)
    const failure = { shard: real.shard.key, node: holder.node, auditor: auditor.node, atMs: 1 }
    await auditor.receipts.keepFailure(failure, change(receipt))
    const verdict = await third.askReceipt(real.shard, holder.node, auditor.node)
    expect(third.receipts.failures()).toEqual([])
    return verdict
  }

  async function latest(auditor: AuditNode, node: AuditNode): Promise<Receipt> {
    const nonce = new Uint8Array(32).fill(3)
    const ranges = [{ file: 3, offsetBytes: 100, lengthBytes: 5_000 }]
    const answer = await auditor.auditor.ask(real.shard, node.node, nonce, ranges)
    if (answer.kind !== 'answered') throw new Error(answer.kind)
    return answer.receipt
  }

  it('is named when the answer was right: the accusation is unfounded', async () => {
    expect(await accusation((receipt) => receipt)).toBe('pass')
  })

  it('is named when it is changed, or somebody else signed it', async () => {
    const flipped = (bytes: Uint8Array) => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte))
    expect(await accusation(({ challenge, answer }) => ({ challenge, answer: flipped(answer) }))).toBe(
      'invalid',
    )
    const forged = ({ challenge }: Receipt): Receipt => {
      const liar = nodes.at(-1) as AuditNode
      const answer = liar.identity.seal(
        AUDIT_ANSWER_DOMAIN,
        AUDIT_ANSWER_TYPE,
        encodeAuditAnswer({
          node: liar.node,
          challenge: challengeDigest(challenge),
          hashes: [new Uint8Array(32)],
          atMs: Date.now(),
        }),
      )
      return { challenge, answer }
    }
    expect(await accusation(forged)).toBe('invalid')
  })

  it('is named when it is of a time before the replica began', async () => {
    const [auditor, rotten, third] = (await started(3)) as [AuditNode, AuditNode, AuditNode]
    await third.hold(real)
    await rotten.hold(real, { bytes: otherBytes(() => true) })
    expect(await auditor.auditByFile(real, rotten)).toBe('fail')
    const since = Date.now() + 1_000
    expect(await third.askReceipt(real.shard, rotten.node, auditor.node, since)).toBe('invalid')
    expect(third.receipts.failures()).toEqual([])
    expect(await third.askReceipt(real.shard, rotten.node, auditor.node, since - 60_000)).toBe('fail')
  })

  it('is not there when the auditor has none, or is gone', async () => {
    const [auditor, holder, third] = (await started(3)) as [AuditNode, AuditNode, AuditNode]
    await third.hold(real)
    expect(await third.askReceipt(real.shard, holder.node, auditor.node)).toBe('none')
    await auditor.network.stop()
    expect(await third.askReceipt(real.shard, holder.node, auditor.node)).toBe('none')
  })

  it.each([
    ['elsewhere', (i: number) => i === 1],
    ['in the same places', () => true],
  ])('is judged by nobody whose own copy is damaged %s', async (_where, damaged) => {
    const [auditor, rotten, third] = (await started(3)) as [AuditNode, AuditNode, AuditNode]
    await third.hold(real, { bytes: otherBytes(damaged) })
    await rotten.hold(real, { bytes: otherBytes(() => true) })
    expect(await auditor.auditByFile(real, rotten)).toBe('fail')
    expect(await third.askReceipt(real.shard, rotten.node, auditor.node)).toBe('unknown')
    expect(third.receipts.failures()).toEqual([])
  })
})

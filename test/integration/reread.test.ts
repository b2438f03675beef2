/** What is held is read again, in virtual time, over real files. */
import { mkdir, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { layoutOf } from '../../node/files/layout.ts'
import { REREAD_EVERY_MS, Reread } from '../../node/runtime/reread.ts'
import { HeldFiles } from '../../node/store/held-files.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { dumpPath } from '../../node/transfer/build-shard.ts'
import { checkShard } from '../../node/transfer/check-shard.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { timesOf } from '../../node/transfer/held-torrent.ts'
import { ShardFiles } from '../../node/transfer/shard-files.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { type RealShard, realShard, writeBytes } from '../support/audit-node.ts'

let folder: string
let hasher: WorkerHasher
let shards: RealShard[]
const stops: (() => Promise<void>)[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wikiseed-reread-'))
  hasher = new WorkerHasher({ teamsMax: 1 })
  shards = [
    await realShard('tenwiki', [700_000, 0, 300], join(folder, 'upstream'), hasher),
    await realShard('aawiki', [50_000], join(folder, 'upstream'), hasher),
  ]
})
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})
afterAll(async () => {
  await hasher.close()
  await rm(folder, { recursive: true })
})

const START_MS = 1_800_000_000_000
const sizeOf = (real: RealShard) => real.bytes.reduce((sum, file) => sum + file.bytes.length, 0)

/** A node that verified both shards, the second a day after the first; `wallMs` moves only by what it sleeps. */
async function holding() {
  const layout = layoutOf(await mkdtemp(join(folder, 'node-')))
  await mkdir(layout.torrents, { recursive: true })
  const files = new ShardFiles(layout)
  const held = await HeldFiles.open(createMemoryStore(), silentLog)
  for (const [i, { shard, infohash, torrent, bytes }] of shards.entries()) {
    await writeBytes(shard, layout.mirror, bytes)
    await writeFile(files.torrentPath(infohash), torrent)
    const times = await timesOf(shard, layout.mirror)
    const verifiedAtMs = START_MS + i * 24 * 3_600_000
    await held.put(infohash, { verifiedAtMs, files: times ?? [], rereadPieces: 0 })
  }
  return { files, held, wallMs: START_MS }
}

/** Runs until it sleeps at `untilMs`, or until `stopAfterBytes` were read. */
async function reread(
  node: Awaited<ReturnType<typeof holding>>,
  { untilMs, stopAfterBytes = Number.POSITIVE_INFINITY }: { untilMs: number; stopAfterBytes?: number },
) {
  const { files, held } = node
  const checked: Shard[] = []
  const damages: (readonly string[])[] = []
  let paidBytes = 0
  const done = Promise.withResolvers<void>()
  /** Like a real one it rejects when the work is stopped. */
  const forever = (signal?: AbortSignal) =>
    new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  const work = new Reread({
    files,
    held,
    list: () => shards,
    check: async (shard) => {
      checked.push(shard)
      const of = shards.find((one) => one.shard === shard) as RealShard
      const damaged = await checkShard(shard, files.mirror, of.infohash, hasher)
      damages.push(damaged)
      if (damaged.length > 0) await held.forget(of.infohash)
      return damaged
    },
    pace: async (count, signal) => {
      paidBytes += count
      if (paidBytes < stopAfterBytes) return
      done.resolve()
      await forever(signal)
    },
    sleep: async (ms, signal) => {
      node.wallMs += ms
      if (node.wallMs < untilMs) return
      done.resolve()
      await forever(signal)
    },
    clock: { wallMs: () => node.wallMs, monotonicMs: () => node.wallMs },
    log: silentLog,
  })
  work.start()
  await done.promise
  await work.stop()
  return { checked, damages, paidBytes }
}

describe('reading again what is held', () => {
  it('reads nothing within 30 days, then each shard once, the longest unread first, and pays for every byte', async () => {
    const node = await holding()
    const [first, second] = shards as [RealShard, RealShard]
    expect((await reread(node, { untilMs: START_MS + REREAD_EVERY_MS - 1 })).paidBytes).toBe(0)
    const early = await reread(node, { untilMs: START_MS + REREAD_EVERY_MS + 3_600_000 })
    expect(early).toEqual({ checked: [], damages: [], paidBytes: sizeOf(first) })
    const day = await reread(node, { untilMs: START_MS + REREAD_EVERY_MS + 26 * 3_600_000 })
    expect(day.paidBytes).toBe(sizeOf(second))
    const month = await reread(node, { untilMs: START_MS + 2 * REREAD_EVERY_MS - 3_600_000 })
    expect(month.paidBytes).toBe(0)
  })

  it('finds rot that neither size nor time shows, and names the file', async () => {
    const node = await holding()
    const [rotten, other] = shards as [RealShard, RealShard]
    const path = dumpPath(rotten.shard, node.files.mirror, rotten.bytes[0]?.path ?? '')
    const { atime, mtime } = await stat(path)
    const bytes = await readFile(path)
    bytes[600_000] = (bytes[600_000] ?? 0) ^ 1
    await writeFile(path, bytes)
    await utimes(path, atime, mtime)
    const found = await reread(node, { untilMs: START_MS + 2 * REREAD_EVERY_MS - 3_600_000 })
    expect(found.checked).toEqual([rotten.shard])
    expect(found.damages).toEqual([[expect.stringContaining('part-0.sql.gz: sha1')]])
    expect(found.paidBytes).toBeGreaterThanOrEqual(sizeOf(other))
  })

  it('has a shard checked whose file is gone, and goes on with the others', async () => {
    const node = await holding()
    const [broken, other] = shards as [RealShard, RealShard]
    await rm(dumpPath(broken.shard, node.files.mirror, broken.bytes[0]?.path ?? ''))
    const found = await reread(node, { untilMs: START_MS + 2 * REREAD_EVERY_MS - 3_600_000 })
    expect(found.checked).toEqual([broken.shard])
    expect(found.paidBytes).toBe(sizeOf(other))
  })

  it('goes on after a restart where it was, as far as that was kept', async () => {
    const node = await holding()
    const [first] = shards as [RealShard]
    const record = await node.held.get(first.infohash)
    if (record === null) throw new Error('no record')
    await node.held.put(first.infohash, { ...record, rereadPieces: 2 })
    const pieceBytes =
      sizeOf(first) - (await reread(node, { untilMs: START_MS + REREAD_EVERY_MS + 3_600_000 })).paidBytes
    expect(pieceBytes).toBeGreaterThan(0)
  })

  it('stops in the middle of a shard, and leaves it unread', async () => {
    const node = await holding()
    const [first] = shards as [RealShard]
    const cut = await reread(node, { untilMs: Number.POSITIVE_INFINITY, stopAfterBytes: 300_000 })
    expect(cut.checked).toEqual([])
    expect(node.held.verifiedAtMs(first.infohash)).toBe(START_MS)
  })
})

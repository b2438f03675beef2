/** A fetch that began in the swarm goes on over HTTP piece by piece, and back (PROTOCOL 6): nothing that is right is fetched twice. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { bytesOf, missingPieces, stage, type WholeShard, writeWhole } from '../support/begun-in-swarm.ts'
import type { ChildTask } from '../support/fetching-child.ts'
import {
  ALL,
  aMirror,
  aRig,
  asked,
  aWorld,
  BIG,
  bytesGiven,
  cleanups,
  FILES,
  fromWeb,
  given,
  isHeld,
  PAGE,
  PIECE,
  SOME,
  staging,
  TABLE,
  useRigs,
} from '../support/pieces-rig.ts'

useRigs()

async function anEngine(options: { uploadLimitBytesPerSecond?: number } = {}): Promise<WebTorrentEngine> {
  const engine = new WebTorrentEngine({ port: 0, ...options })
  await engine.start()
  cleanups.push(() => engine.stop())
  return engine
}

/** A peer that has all of it. */
async function aSeed(whole: WholeShard, options: { uploadLimitBytesPerSecond?: number } = {}) {
  const root = await mkdtemp(join(tmpdir(), 'wikiseed-seed-'))
  cleanups.push(() => rm(root, { recursive: true }))
  await writeWhole(whole, root)
  const engine = await anEngine(options)
  await engine.seed(encodeMetainfo({ info: whole.built.info }), root)
  return engine
}

const CHILD = join(import.meta.dirname, '..', 'support', 'fetching-child.ts')

/** True: it was killed. */
async function runChild(task: ChildTask): Promise<boolean> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(task)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  const [code, signal] = await once(child, 'exit')
  if (signal === 'SIGKILL') return true
  expect([code, errors]).toEqual([0, ''])
  return false
}

describe('a shard of which the swarm gave a part', () => {
  it('is completed over HTTP with what is missing and nothing more, when the last peer died halfway', async () => {
    const engine = await anEngine()
    const rig = await aRig({ engine })
    const { whole, world, client } = rig
    const seed = await aSeed(whole, { uploadLimitBytesPerSecond: 1_500_000 })
    const stop = new AbortController()
    const fetching = client.fetcher.fetch(
      whole.shard,
      { kind: 'swarm', infohash: whole.built.infohash, peers: [{ host: '127.0.0.1', port: seed.port }] },
      { onProgress: (done) => done > ALL / 2 && stop.abort(), signal: stop.signal },
    )
    await expect(fetching).rejects.toMatchObject({ code: 'aborted' })
    await seed.stop()
    const missing = bytesOf(await missingPieces(whole, staging(rig)))
    expect(missing).toBeLessThan(0.55 * ALL)
    expect(missing).toBeGreaterThan(0.1 * ALL)
    const progress: number[] = []
    const fetched = await fromWeb(rig, undefined, (done) => progress.push(done))
    expect(isHeld(rig)).toBe(true)
    expect(fetched.infohash).toBe(whole.built.infohash)
    // The last piece is shared with the metadata files, so nobody knows that it is right before all is there.
    expect(fetched.fromOriginBytes).toBeLessThanOrEqual(missing + PIECE)
    expect(bytesGiven(world)).toBe(fetched.fromOriginBytes)
    expect(progress[0]).toBeGreaterThanOrEqual(ALL - missing - PIECE)
    expect(progress).toEqual([...progress].sort((a, b) => a - b))
    expect(given(world).every((one) => one.status === 206)).toBe(true)
    expect(world.summary().maxConcurrentByClient).toBeLessThanOrEqual(2)
  })

  it('goes on in the swarm when peers come back, with what servers gave meanwhile', async () => {
    const engine = await anEngine()
    const rig = await aRig({ engine }, await aWorld({ bytesPerSecond: 3_000_000 }))
    const { whole, client } = rig
    await stage(whole, client.files, (piece) => piece < 40)
    const stop = new AbortController()
    const half = fromWeb(rig, stop.signal, (done) => done > ALL / 2 && stop.abort())
    await expect(half).rejects.toMatchObject({ code: 'aborted' })
    const missing = bytesOf(await missingPieces(whole, staging(rig)))
    expect(missing).toBeLessThan(0.6 * ALL)
    const seed = await aSeed(whole)
    const fetched = await client.fetcher.fetch(
      whole.shard,
      { kind: 'swarm', infohash: whole.built.infohash, peers: [{ host: '127.0.0.1', port: seed.port }] },
      { onProgress: () => {}, signal: new AbortController().signal },
    )
    expect(isHeld(rig)).toBe(true)
    const metadata = whole.built.metadata.reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect(fetched.fromSwarmBytes).toBeLessThanOrEqual(missing + PIECE + metadata)
  })

  it('asks for neighbouring pieces as one range, over the borders of files', async () => {
    const mirror = await aMirror()
    const rig = await aRig({ mirrors: [mirror.baseUrl] })
    // From the sixth piece, which is in the first file, to the ninth, which is in the third.
    await stage(rig.whole, rig.client.files, (piece) => piece < 5 || piece > 9)
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(asked(mirror, TABLE)).toEqual([`bytes=${5 * PIECE}-99999`])
    expect(asked(mirror, PAGE)).toEqual(['bytes=0-29999'])
    const tail = 191 * PIECE - 130_000
    expect(asked(mirror, BIG).sort()).toEqual([
      `bytes=0-${10 * PIECE - 130_000 - 1}`,
      `bytes=${tail}-2999999`,
    ])
    expect(bytesGiven(rig.world)).toBe(0)
  })

  it('asks for no piece again that is right on the disk, however often its process is killed', async () => {
    const rig = await aRig({}, await aWorld({ bytesPerSecond: 2_000_000 }))
    const { whole, world, client } = rig
    await stage(whole, client.files, SOME)
    const lives: { fromAt: string; toAt: string; missing: [number, number][] }[] = []
    for (let isKilled = true; isKilled; ) {
      expect(lives.length).toBeLessThan(20)
      const missing = await missingPieces(whole, staging(rig))
      const fromAt = new Date().toISOString()
      isKilled = await runChild({
        dataDir: client.dataDir,
        originUrl: `${world.url}/`,
        runs: ['dumps/aawiki/20260101'],
        killAt: { step: 'chunk', count: 15 },
      })
      lives.push({ fromAt, toAt: new Date().toISOString(), missing })
    }
    expect(lives.length).toBeGreaterThan(2)
    expect(isHeld(rig)).toBe(true)
    // A line is logged when its answer ended, which may be after the process did.
    for (const { fromAt, toAt, missing } of lives) {
      const may = [...missing, [whole.bytes.length - (whole.bytes.length % PIECE), whole.bytes.length]]
      for (const one of given(world).filter(({ at }) => at >= fromAt && at <= toAt)) {
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(one.range ?? '') ?? []
        const fileStart =
          whole.starts[Object.keys(FILES).findIndex((path) => one.path === `/${path}`)] ?? Number.NaN
        const range = [fileStart + Number(from), fileStart + Number(to) + 1]
        let at = range[0] ?? 0
        for (const [start = 0, end = 0] of may) if (start <= at && at < end) at = end
        expect(at, `${one.path} ${one.range}`).toBeGreaterThanOrEqual(range[1] ?? Number.POSITIVE_INFINITY)
      }
    }
  })

  it('waits with its pieces when the budget of the month is used up in the middle', async () => {
    const stop = new AbortController()
    const rig = await aRig(
      {
        budgetBytes: 400_000,
        // Whoever waits for the next month is stopped.
        gateSleep: (_, signal) =>
          new Promise((_resolve, reject) => {
            signal?.addEventListener('abort', () => reject(signal.reason))
            stop.abort()
          }),
      },
      await aWorld({ bytesPerSecond: 3_000_000 }),
    )
    await stage(rig.whole, rig.client.files, SOME)
    const before = bytesOf(await missingPieces(rig.whole, staging(rig)))
    await expect(fromWeb(rig, stop.signal)).rejects.toMatchObject({ code: 'aborted' })
    expect(rig.client.budget.usedBytes).toBeGreaterThanOrEqual(400_000)
    const after = bytesOf(await missingPieces(rig.whole, staging(rig)))
    expect(before - after).toBeGreaterThan(300_000)
  })
})

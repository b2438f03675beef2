/** The engine's process is killed while it sends and while it fetches; nothing else is told to do anything about it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Log } from '../../node/ports.ts'
import { EngineProcess } from '../../node/transfer/engine-process.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { leech } from '../support/leecher.ts'
import { type SampleTorrent, sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'

const KILLS = Number(process.env.WIKISEED_ENGINE_KILLS ?? 50)
const RESUMED_MS_MAX = 5_000
const MIB = 1024 ** 2

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanUp.splice(0).reverse()) await clean()
})

/** Pieces that were sent wrong, as the fetching engine says it. */
function countingLog(): { log: Log; wrong: () => number } {
  let wrong = 0
  const log: Log = {
    ...silentLog,
    warn: (_fields, message) => {
      if (message === 'a BitTorrent peer sent wrong bytes') wrong++
    },
    child: () => log,
  }
  return { log, wrong: () => wrong }
}

async function started(log: Log, limits: object = {}): Promise<EngineProcess> {
  const engine = new EngineProcess({ port: 0, log, ...limits })
  await engine.start()
  cleanUp.push(() => engine.stop())
  return engine
}

/** How long until a stranger has the whole torrent from this port, every piece by its hash. */
async function untilServed(port: number, sample: SampleTorrent): Promise<number> {
  const startMs = performance.now()
  for (;;) {
    const got = await leech(port, sample.info, 2_000).catch((error: Error) => error)
    const tookMs = performance.now() - startMs
    if (!(got instanceof Error)) return tookMs
    if (tookMs > 4 * RESUMED_MS_MAX) throw got
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function kill(engine: EngineProcess): void {
  const { processId } = engine
  if (processId === null) throw new Error('no process runs')
  process.kill(processId, 'SIGKILL')
}

describe('an engine whose process is killed', () => {
  it(`serves right bytes within 5 s, and fetches on, ${KILLS} times while both are at work`, async () => {
    const root = await mkdtemp(join(tmpdir(), 'wikiseed-kills-'))
    cleanUp.push(() => rm(root, { recursive: true }))
    const load = sampleTorrent('loadwiki', [40 * MIB, 17, 24 * MIB])
    const probe = sampleTorrent('probewiki', [150_000, 0, 30_000])
    for (const sample of [load, probe]) await writeSample(sample, join(root, 'seed'))
    const { log, wrong } = countingLog()
    const seeder = await started(silentLog, { uploadLimitBytesPerSecond: 8 * MIB })
    const fetcher = await started(log)
    for (const sample of [load, probe]) await seeder.seed(sample.torrent, join(root, 'seed'))

    let kills = 0
    let fetches = 0
    const resumedMs: number[] = []
    /** Resolves when more payload came to the fetcher. */
    let onBytes = () => {}
    const moreBytes = () => new Promise<void>((resolve) => (onBytes = resolve))
    const fetchAgainAndAgain = async () => {
      while (kills < KILLS) {
        const folder = join(root, `fetched-${fetches++}`)
        let seenBytes = 0
        await fetcher.fetch(load.infohash, folder, {
          peers: [{ host: '127.0.0.1', port: seeder.port }],
          accept: () => true,
          onProgress: ({ downloadedBytes }) => {
            if (downloadedBytes > seenBytes) onBytes()
            seenBytes = downloadedBytes
          },
        })
        expect(await wrongFiles(load, folder)).toEqual([])
        await rm(folder, { recursive: true })
      }
    }
    const killAgainAndAgain = async () => {
      while (kills < KILLS) {
        await moreBytes()
        kills++
        // Two of three hit the one that sends.
        if (kills % 3 === 0) {
          kill(fetcher)
          continue
        }
        kill(seeder)
        resumedMs.push(await untilServed(seeder.port, probe))
      }
    }
    await Promise.all([fetchAgainAndAgain(), killAgainAndAgain()])
    expect(wrong()).toBe(0)
    // One may fall into a moment in which this machine gives us no processor.
    expect(resumedMs.filter((ms) => ms > RESUMED_MS_MAX).length).toBeLessThanOrEqual(KILLS / 50)
    if (process.env.WIKISEED_FIGURES === '1')
      console.log({ kills, fetches, resumedMs: resumedMs.map(Math.round).sort((a, b) => a - b) })
  }, 600_000)

  it('says why while it does not run, keeps its counters, and is killed when it does not answer', async () => {
    const root = await mkdtemp(join(tmpdir(), 'wikiseed-kills-'))
    cleanUp.push(() => rm(root, { recursive: true }))
    const probe = sampleTorrent('probewiki', [150_000])
    await writeSample(probe, join(root, 'seed'))
    const seeder = await started(silentLog, { pingMs: 100, silentMs: 2_000 })
    await seeder.seed(probe.torrent, join(root, 'seed'))
    await untilServed(seeder.port, probe)
    await expect.poll(async () => (await seeder.stats())[0]?.uploadedBytes).toBe(probe.sizeBytes)
    const stuck = seeder.processId ?? Number.NaN
    process.kill(stuck, 'SIGSTOP')
    await expect.poll(() => seeder.problem, { timeout: 20_000, interval: 5 }).toMatch(/ended by SIGKILL/)
    expect(await seeder.stats()).toMatchObject([{ uploadedBytes: probe.sizeBytes, peers: 0 }])
    await expect.poll(() => seeder.problem, { timeout: 20_000 }).toBeNull()
    expect(seeder.processId).not.toBe(stuck)
    await untilServed(seeder.port, probe)
    await expect.poll(async () => (await seeder.stats())[0]?.uploadedBytes).toBe(2 * probe.sizeBytes)
  }, 60_000)

  it('knows in its next process too where a router lets others in, and does not call itself there', async () => {
    const root = await mkdtemp(join(tmpdir(), 'wikiseed-kills-'))
    cleanUp.push(() => rm(root, { recursive: true }))
    const sample = sampleTorrent('tenwiki', [40_000])
    await writeSample(sample, join(root, 'seed'))
    let calls = 0
    const router = createServer((socket) => {
      calls++
      socket.destroy()
    })
    await new Promise<void>((resolve) => router.listen(0, '127.0.0.1', resolve))
    cleanUp.push(() => new Promise((resolve) => router.close(resolve)))
    const outside = { host: '127.0.0.1', port: (router.address() as AddressInfo).port }
    const [seeder, fetcher] = [await started(silentLog), await started(silentLog)]
    await seeder.seed(sample.torrent, join(root, 'seed'))
    fetcher.setOutside(outside)
    const before = fetcher.processId
    kill(fetcher)
    await expect.poll(() => fetcher.processId ?? before, { timeout: RESUMED_MS_MAX }).not.toBe(before)
    const peers = [outside, { host: '127.0.0.1', port: seeder.port }]
    await fetcher.fetch(sample.infohash, join(root, 'fetched'), { peers, accept: () => true })
    expect(calls).toBe(0)
  }, 60_000)

  it('ends with its node, however that ends', async () => {
    const script = `
      const { EngineProcess } = await import(${JSON.stringify(new URL('../../node/transfer/engine-process.ts', import.meta.url).href)})
      const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log }
      const engine = new EngineProcess({ port: 0, log })
      await engine.start()
      console.log(engine.processId)`
    const node = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(node.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    expect(isAlive(pid)).toBe(true)
    node.kill('SIGKILL')
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false)
  }, 30_000)
})

/** One that nobody has buried yet does not live (proc(5): state Z). */
function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

/** The engine's process is killed while it sends and while it fetches; nothing else is told to do anything about it. */
import { mkdtemp, rm } from 'node:fs/promises'
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
})

/** How exactly the engine keeps a bandwidth cap: over a window of any length from the first byte on, with one peer and several. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { type SampleTorrent, sampleTorrent, writeSample } from '../support/torrents.ts'

const CAP_BYTES_PER_SECOND = 2 * 1024 * 1024
const WINDOW_MS = 4_000
/** After a silence a tenth of a second's worth comes at once. */
const BURST_MS = 100
/** The package's bucket looks at a clock of whole milliseconds. */
const CLOCK_MS = 10
const SAMPLE_MS = 20
/** In these the package's own bucket filled up with a whole second's worth. */
const SILENCE_MS = 1_200

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

async function engineOf(index: number, limits: Partial<ConstructorParameters<typeof WebTorrentEngine>[0]>) {
  const engine = new WebTorrentEngine({ port: 0, host: `127.0.0.${index + 2}`, ...limits })
  await engine.start()
  cleanups.push(() => engine.stop())
  return { engine, peer: { host: `127.0.0.${index + 2}`, port: engine.port } }
}

/**
 * Bytes that the leeches together have got, by ms since there were none: one capped leech and `peers` seeds of two torrents, or one
 * capped seed and as many leeches.
 */
async function run(capped: 'download' | 'upload', peers: number, capBytesPerSecond = CAP_BYTES_PER_SECOND) {
  const base = await mkdtemp(join(tmpdir(), 'wikiseed-caps-'))
  cleanups.push(() => rm(base, { recursive: true, force: true }))
  const samples = ['aawiki', 'abwiki'].map((name) => sampleTorrent(name, [CAP_BYTES_PER_SECOND * 4]))
  const isDownload = capped === 'download'
  const cap = isDownload
    ? { downloadLimitBytesPerSecond: capBytesPerSecond }
    : { uploadLimitBytesPerSecond: capBytesPerSecond }
  const one = await engineOf(0, cap)
  const others = await Promise.all(Array.from({ length: peers }, (_, index) => engineOf(index + 1, {})))
  const [seeds, leeches] = isDownload ? [others, [one]] : [[one], others]
  for (const sample of samples) await writeSample(sample, base)
  for (const { engine } of seeds) for (const sample of samples) await engine.seed(sample.torrent, base)
  await setTimeout(SILENCE_MS)
  const fetched = (index: number, { infohash }: SampleTorrent) => {
    const root = join(base, `leech-${index}`)
    const options = { peers: seeds.map(({ peer }) => peer), accept: () => true }
    // Stopped with its engine long before it ends.
    mkdir(root, { recursive: true })
      .then(() => leeches[index]?.engine.fetch(infohash, root, options))
      .catch(() => {})
  }
  for (const index of leeches.keys()) for (const sample of samples) fetched(index, sample)
  const receivedBytes = async () => {
    const all = await Promise.all(leeches.map(({ engine }) => engine.stats()))
    return all.flat().reduce((sum, { downloadedBytes }) => sum + downloadedBytes, 0)
  }
  const sinceMs = performance.now()
  /** When nothing had come yet. */
  let zeroAtMs = sinceMs
  const seen: { atMs: number; bytes: number }[] = []
  for (;;) {
    const bytes = await receivedBytes()
    const nowMs = performance.now()
    if (bytes > 0) seen.push({ atMs: nowMs - zeroAtMs, bytes })
    else zeroAtMs = nowMs
    if (nowMs - (bytes > 0 ? zeroAtMs : sinceMs) > WINDOW_MS) return seen
    await setTimeout(SAMPLE_MS)
  }
}

describe.each(['download', 'upload'] as const)('the %s cap', (capped) => {
  it.each([1, 4])(
    'is kept from the first byte on, and used, with two torrents and %i peers',
    async (peers) => {
      const seen = await run(capped, peers)
      const overMs = seen.map(({ atMs, bytes }) => (bytes * 1_000) / CAP_BYTES_PER_SECOND - atMs - BURST_MS)
      expect(Math.max(...overMs)).toBeLessThan(CLOCK_MS)
      const { bytes = 0, atMs = 0 } = seen.at(-1) ?? {}
      expect((bytes * 1_000) / atMs).toBeGreaterThan(0.75 * CAP_BYTES_PER_SECOND)
    },
    30_000,
  )

  it('of 0 lets nothing through', async () => {
    expect(await run(capped, 1, 0)).toEqual([])
  }, 30_000)
})

/**
 * What happens on one made-up local network, run in a network namespace of its own: `lsd-child.ts FOLDER`. Prints one JSON line of
 * what was wrong with the files that came, by who fetched.
 */
import { join } from 'node:path'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { startLibtorrent } from './clients/libtorrent.ts'
import { missingLibtorrent } from './clients/program.ts'
import { sampleTorrent, writeSample, wrongFiles } from './torrents.ts'

const [, , folder = ''] = process.argv
const [OURS, SECOND, OTHER] = ['10.77.0.1', '10.77.0.2', '10.77.0.3']

async function startEngine(host: string): Promise<WebTorrentEngine> {
  const engine = new WebTorrentEngine({ host, port: 0, lsd: true })
  await engine.start()
  return engine
}

/** Two engines of ours: one waits for what the other seeds, dormant. */
async function between(): Promise<string[]> {
  const sample = sampleTorrent('between', [40_000, 5])
  await writeSample(sample, join(folder, 'between'))
  const [fetcher, seeder] = [await startEngine(SECOND), await startEngine(OURS)]
  const fetching = fetcher.fetch(sample.infohash, join(folder, 'between-got'), OPTIONS)
  await seeder.seed(sourceOf(sample), join(folder, 'between'))
  await fetching
  await Promise.all([fetcher.stop(), seeder.stop()])
  return wrongFiles(sample, join(folder, 'between-got'))
}

/** A fetch begins in the minute in which both sides have spoken already: neither need wait for the next. */
async function inTheSameMinute(): Promise<string[]> {
  const [spoken, sample] = [sampleTorrent('spoken', [5]), sampleTorrent('later', [40_000, 5])]
  await writeSample(spoken, join(folder, 'later'))
  await writeSample(sample, join(folder, 'later'))
  const [fetcher, seeder] = [await startEngine(SECOND), await startEngine(OURS)]
  const first = fetcher.fetch(spoken.infohash, join(folder, 'later-got'), OPTIONS)
  await seeder.seed(sourceOf(sample), join(folder, 'later'))
  await seeder.seed(sourceOf(spoken), join(folder, 'later'))
  await first
  const startedMs = performance.now()
  await fetcher.fetch(sample.infohash, join(folder, 'later-got'), OPTIONS)
  const tookMs = performance.now() - startedMs
  await Promise.all([fetcher.stop(), seeder.stop()])
  return [...(await wrongFiles(sample, join(folder, 'later-got'))), ...(tookMs > 15_000 ? ['late'] : [])]
}

/** libtorrent waits for what ours seeds, dormant. */
async function toOther(): Promise<string[]> {
  const sample = sampleTorrent('to-other', [400_000, 5])
  await writeSample(sample, join(folder, 'to'))
  const other = await startLibtorrent(OTHER, { enable_lsd: true })
  const added = Promise.withResolvers<void>()
  const leeching = other.leech(sample.torrent, join(folder, 'to-got'), [], added.resolve)
  await added.promise
  const seeder = await startEngine(OURS)
  await seeder.seed(sourceOf(sample), join(folder, 'to'))
  await leeching
  await Promise.all([seeder.stop(), other.stop()])
  return wrongFiles(sample, join(folder, 'to-got'))
}

/** Ours waits for what libtorrent seeds. */
async function fromOther(): Promise<string[]> {
  const sample = sampleTorrent('from-other', [400_000, 5])
  await writeSample(sample, join(folder, 'from'))
  const fetcher = await startEngine(OURS)
  const fetching = fetcher.fetch(sample.infohash, join(folder, 'from-got'), OPTIONS)
  const other = await startLibtorrent(OTHER, { enable_lsd: true })
  await other.seed(sample.torrent, join(folder, 'from'))
  await fetching
  await Promise.all([fetcher.stop(), other.stop()])
  return wrongFiles(sample, join(folder, 'from-got'))
}

const OPTIONS = { peers: [], accept: () => true }
const sourceOf = ({ infohash, sizeBytes, torrent }: ReturnType<typeof sampleTorrent>) => ({
  infohash,
  sizeBytes,
  torrent: async () => torrent,
})

const wrong: Record<string, string[]> = {
  between: await between(),
  inTheSameMinute: await inTheSameMinute(),
}
if (missingLibtorrent() === null)
  Object.assign(wrong, { toOther: await toOther(), fromOther: await fromOther() })
process.stdout.write(`${JSON.stringify(wrong)}\n`)
process.exit(0)

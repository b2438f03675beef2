/** qBittorrent, Transmission, aria2 and libtorrent on loopback: each downloads from our engine, and seeds to it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { magnetLink } from '../../protocol/torrent/magnet.ts'
import { OTHERS } from '../support/clients/all.ts'
import { RunningClients } from '../support/clients/running.ts'
import { type HeldShard, holdRun } from '../support/published.ts'
import { sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'

const DUMP_WIKI = 'fatwiki'
/** Files that share pieces, an empty one, and one that ends on a piece's end. */
const many = sampleTorrent('manyfiles', [40_000, 0, 5, 3 * 16_384, 1_000_000, 1, 0, 77_777])

let base: string
let mirror: string
let run: HeldShard
const running = new RunningClients()

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'wikiseed-clients-'))
  mirror = join(base, 'mirror')
  const [held] = await holdRun(mirror, `${DUMP_WIKI}/20240920`)
  if (held === undefined) throw new Error('the fixture has no run')
  run = held
  await writeSample(many, mirror)
})

afterAll(async () => {
  await running.stop()
  await rm(base, { recursive: true, force: true })
})

async function withEngine(use: (engine: WebTorrentEngine) => Promise<void>): Promise<void> {
  const engine = new WebTorrentEngine({ port: 0 })
  await engine.start()
  try {
    await use(engine)
  } finally {
    await engine.stop()
  }
}

/** Files of the real run below `root` whose bytes are not the mirror's. */
async function wrongDumps(root: string): Promise<string[]> {
  const wrong: string[] = []
  for (const { path } of run.merged.files) {
    const [ours, theirs] = await Promise.all(
      [mirror, root].map((folder) => readFile(join(folder, DUMP_WIKI, path)).catch(() => null)),
    )
    if (!ours || !theirs || !ours.equals(theirs)) wrong.push(path)
  }
  return wrong
}

describe.each(OTHERS.map((driver) => ({ name: driver.name, driver })))('$name', ({ name, driver }) => {
  it('downloads a real run by magnet link, and a torrent of many files, from our engine', async (context) => {
    const other = await running.get(context, driver)
    const root = join(base, `to-${name}`)
    await withEngine(async (engine) => {
      await engine.seed(run.merged.torrent, mirror)
      await engine.seed(many.torrent, mirror)
      const peers = [{ host: '127.0.0.1', port: engine.port }]
      const call = (infohash: typeof many.infohash) => () => {
        if (!other.dials) engine.addPeers(infohash, [other.peer])
      }
      const { infohash } = run.merged
      await Promise.all([
        other.leech(magnetLink({ infohash, name: DUMP_WIKI }), root, peers, call(infohash)),
        other.leech(many.torrent, root, peers, call(many.infohash)),
      ])
      for (const { uploadedBytes } of await engine.stats()) expect(uploadedBytes).toBeGreaterThan(0)
    })
    expect(await wrongDumps(root)).toEqual([])
    const empty = many.files.filter(({ bytes }) => bytes.length === 0).map(({ path }) => path)
    expect(await wrongFiles(many, root)).toEqual(other.makesEmptyFiles ? [] : empty)
  }, 60_000)

  it('seeds both to our engine, which asks by infohash alone', async (context) => {
    // A program anew: one that has downloaded the torrent holds it already, in another folder.
    await running.stop(name)
    const other = await running.get(context, driver)
    const root = join(base, `from-${name}`)
    await other.seed(run.merged.torrent, mirror)
    await other.seed(many.torrent, mirror)
    await withEngine(async (engine) => {
      const fetching = [run.merged.infohash, many.infohash].map((infohash) =>
        engine.fetch(infohash, root, { peers: [other.peer], accept: () => true }),
      )
      await Promise.all(fetching)
    })
    expect(await wrongDumps(root)).toEqual([])
    expect(await wrongFiles(many, root)).toEqual([])
  }, 60_000)
})

/** libtorrent and our engine on loopback know nobody but one node of the DHT, and find each other through it. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { magnetLink } from '../../protocol/torrent/magnet.ts'
import { startLibtorrent } from '../support/clients/libtorrent.ts'
import { missingLibtorrent } from '../support/clients/program.ts'
import { addressOf, cleanUp, makeFolder, NOBODY, startDht, useDht } from '../support/dht.ts'
import { sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'

useDht()
const sample = sampleTorrent('tenwiki', [400_000, 5, 70_000])

async function startEngine(router: string): Promise<WebTorrentEngine> {
  const engine = new WebTorrentEngine({ port: 0, dht: { port: 0, bootstrap: [router], nodesPath: null } })
  await engine.start()
  cleanUp.push(() => engine.stop())
  return engine
}

/** What it needs to take nodes and peers on one loopback address. */
async function startOther(router: string) {
  const other = await startLibtorrent('127.0.0.1', {
    enable_dht: true,
    dht_bootstrap_nodes: router,
    dht_restrict_routing_ips: false,
    dht_restrict_search_ips: false,
    dht_ignore_dark_internet: false,
  })
  cleanUp.push(() => other.stop())
  return other
}

describe.skipIf(missingLibtorrent() !== null)('libtorrent in our DHT', () => {
  it('finds a dormant seed of ours by it alone, and downloads', async () => {
    const folder = await makeFolder()
    const router = addressOf(await startDht())
    await writeSample(sample, join(folder, 'a'))
    const engine = await startEngine(router)
    await engine.seed(
      { infohash: sample.infohash, sizeBytes: sample.sizeBytes, torrent: async () => sample.torrent },
      join(folder, 'a'),
    )
    await expect
      .poll(async () => (await engine.discovery()).dht.announcedAtMs, { timeout: 10_000 })
      .not.toBe(null)
    const other = await startOther(router)
    await other.leech(magnetLink({ infohash: sample.infohash, name: 'tenwiki' }), join(folder, 'b'), [])
    expect(await wrongFiles(sample, join(folder, 'b'))).toEqual([])
  }, 60_000)

  it('seeds, and our engine finds it by it alone and fetches', async () => {
    const folder = await makeFolder()
    const router = addressOf(await startDht())
    await writeSample(sample, join(folder, 'a'))
    const other = await startOther(router)
    await other.seed(sample.torrent, join(folder, 'a'))
    const engine = await startEngine(router)
    await engine.fetch(sample.infohash, join(folder, 'b'), { peers: [], accept: () => true })
    expect(await wrongFiles(sample, join(folder, 'b'))).toEqual([])
  }, 60_000)

  it('is the only other node, and brings two engines of ours together', async () => {
    const folder = await makeFolder()
    const { peer } = await startOther(NOBODY)
    await writeSample(sample, join(folder, 'a'))
    const [a, b] = [await startEngine(addressOf(peer)), await startEngine(addressOf(peer))]
    await a.seed(sample.torrent, join(folder, 'a'))
    await expect.poll(async () => (await a.discovery()).dht.announcedAtMs, { timeout: 20_000 }).not.toBe(null)
    await b.fetch(sample.infohash, join(folder, 'b'), { peers: [], accept: () => true })
    expect(await wrongFiles(sample, join(folder, 'b'))).toEqual([])
  }, 60_000)
})

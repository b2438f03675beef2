/** libtorrent and our engine on loopback know nobody but one node of the DHT, and find each other through it. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { magnetLink } from '../../protocol/torrent/magnet.ts'
import { startLibtorrent } from '../support/clients/libtorrent.ts'
import { missingLibtorrent } from '../support/clients/program.ts'
import { addressOf, cleanUp, makeFolder, NOBODY, startDht, useDht } from '../support/dht.ts'
import { hasIpv6 } from '../support/sockets.ts'
import { sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'

useDht()
const sample = sampleTorrent('tenwiki', [400_000, 5, 70_000])

async function startEngine(router: string, host: string): Promise<WebTorrentEngine> {
  const engine = new WebTorrentEngine({
    host,
    port: 0,
    dht: { port: 0, bootstrap: [router], nodesPath: null },
  })
  await engine.start()
  cleanUp.push(() => engine.stop())
  return engine
}

/** What it needs to take nodes and peers on one loopback address. */
async function startOther(router: string, host: string) {
  const other = await startLibtorrent(host.includes(':') ? `[${host}]` : host, {
    enable_dht: true,
    dht_bootstrap_nodes: router,
    dht_restrict_routing_ips: false,
    dht_restrict_search_ips: false,
    dht_ignore_dark_internet: false,
  })
  cleanUp.push(() => other.stop())
  return other
}

const FAMILIES = [
  { over: 'IPv4', host: '127.0.0.1', nobody: NOBODY, key: 'dht' as const },
  ...(hasIpv6 ? [{ over: 'IPv6', host: '::1', nobody: '[::1]:9', key: 'dht6' as const }] : []),
]

describe.skipIf(missingLibtorrent() !== null).each(FAMILIES)('libtorrent in our DHT over $over', (family) => {
  const { host, nobody, key } = family
  const startRouter = async () => addressOf(await startDht([nobody], null, host), host)
  const announced = async (engine: WebTorrentEngine) => (await engine.discovery())[key].announcedAtMs

  it('finds a dormant seed of ours by it alone, and downloads', async () => {
    const folder = await makeFolder()
    const router = await startRouter()
    await writeSample(sample, join(folder, 'a'))
    const engine = await startEngine(router, host)
    await engine.seed(
      { infohash: sample.infohash, sizeBytes: sample.sizeBytes, torrent: async () => sample.torrent },
      join(folder, 'a'),
    )
    await expect.poll(() => announced(engine), { timeout: 10_000 }).not.toBe(null)
    const other = await startOther(router, host)
    await other.leech(magnetLink({ infohash: sample.infohash, name: 'tenwiki' }), join(folder, 'b'), [])
    expect(await wrongFiles(sample, join(folder, 'b'))).toEqual([])
  }, 60_000)

  it('seeds, and our engine finds it by it alone and fetches', async () => {
    const folder = await makeFolder()
    const router = await startRouter()
    await writeSample(sample, join(folder, 'a'))
    const other = await startOther(router, host)
    await other.seed(sample.torrent, join(folder, 'a'))
    const engine = await startEngine(router, host)
    await engine.fetch(sample.infohash, join(folder, 'b'), { peers: [], accept: () => true })
    expect(await wrongFiles(sample, join(folder, 'b'))).toEqual([])
  }, 60_000)

  it('is the only other node, and brings two engines of ours together', async () => {
    const folder = await makeFolder()
    const { peer } = await startOther(nobody, host)
    await writeSample(sample, join(folder, 'a'))
    const [a, b] = [
      await startEngine(addressOf(peer, host), host),
      await startEngine(addressOf(peer, host), host),
    ]
    await a.seed(sample.torrent, join(folder, 'a'))
    await expect.poll(() => announced(a), { timeout: 20_000 }).not.toBe(null)
    await b.fetch(sample.infohash, join(folder, 'b'), { peers: [], accept: () => true })
    expect(await wrongFiles(sample, join(folder, 'b'))).toEqual([])
  }, 60_000)
})

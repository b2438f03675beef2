/** The mainline DHT on loopback: several nodes of ours, and engines that know nobody. */
import { Socket } from 'node:dgram'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { Dht } from '../../node/transfer/dht.ts'
import { EngineProcess } from '../../node/transfer/engine-process.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { type BencodedMap, bencode } from '../../protocol/codec/bencode.ts'
import { silentLog } from '../conformance/silent-log.ts'
import {
  addressOf,
  announce,
  cleanUp,
  forever,
  ID,
  makeFolder,
  NOBODY,
  read,
  startDht,
  startNetwork,
  startStranger,
  useDht,
} from '../support/dht.ts'
import { sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'

useDht()
const HASH = 'c0ffee'.padEnd(40, '5')

describe('nodes of a DHT', () => {
  it('find a peer that another of them announced, by its TCP port, and whoever announced before', async () => {
    const nodes = await startNetwork(12)
    const told = await nodes[3]?.announce([announce(HASH, 1_111)], forever)
    expect(told).toMatchObject({ peers: [], isPoor: false })
    const answer = await nodes[9]?.announce([announce(HASH, 2_222, 5)], forever)
    expect(answer).toMatchObject({ peers: [{ host: '127.0.0.1', port: 1_111 }], seeds: 1, isPoor: false })
    const again = await nodes[5]?.announce([announce(HASH, 3_333)], forever)
    expect(again?.peers.map((one) => one.port).sort()).toEqual([1_111, 2_222])
    expect(nodes[3]?.stats().announcedAtMs).toBeGreaterThan(Date.now() - 60_000)
  })

  it('say that a fetch which found nobody should be tried again', async () => {
    const [, one] = await startNetwork(4)
    expect(await one?.announce([announce(HASH, 1_111, 5)], forever)).toMatchObject({
      peers: [],
      isPoor: true,
    })
  })

  it('reject when nobody answers any more', async () => {
    const [first, second] = [await startDht(), await startDht()]
    second.meet({ host: '127.0.0.1', port: first.port })
    await expect.poll(() => second.isUp).toBe(true)
    await first.stop()
    await expect(second.announce([announce(HASH, 1_111)], forever)).rejects.toMatchObject({
      name: 'TrackerError',
    })
  })

  it('say in one sentence that their port is in use', async () => {
    const { port } = await startDht()
    const options = { port, bootstrap: [NOBODY], nodesPath: null }
    await expect(Dht.start(options, { host: '127.0.0.1', announceHost: '127.0.0.1' })).rejects.toThrow(
      `DHT port ${port} is already in use`,
    )
  })

  it('do not keep us when we stop in the middle of a look-up', async () => {
    const silent = await startStranger()
    const [, one] = await startNetwork(3)
    const stop = new AbortController()
    one?.meet({ host: '127.0.0.1', port: silent.port })
    const asking = one?.announce([announce(HASH, 1_111)], stop.signal)
    stop.abort(new Error('we stop'))
    await expect(asking).rejects.toThrow('we stop')
  })

  it('know each other again after a restart, with nobody to begin with', async () => {
    const path = join(await makeFolder(), 'dht.json')
    const nodes = await startNetwork(6)
    const before = await startDht([addressOf(nodes[0] as Dht)], path)
    await expect.poll(() => before.stats().nodes).toBeGreaterThanOrEqual(3)
    await before.stop()
    const id = JSON.parse(await readFile(path, 'utf8')).id
    const after = await startDht([NOBODY], path)
    await expect.poll(() => after.stats().nodes, { timeout: 5_000 }).toBeGreaterThanOrEqual(3)
    await after.stop()
    expect(JSON.parse(await readFile(path, 'utf8')).id).toBe(id)
  })

  it('begin anew when what was kept is not theirs', async () => {
    const path = join(await makeFolder(), 'dht.json')
    await writeFile(path, '{"id":"x","nodes":["127.0.0.1:99999"]}')
    const [first] = await startNetwork(3)
    const one = await startDht([addressOf(first as Dht)], path)
    await expect.poll(() => one.isUp).toBe(true)
  })
})

describe('an engine with a DHT', () => {
  it('brings a dormant seed and a fetcher in another process together who know nobody', async () => {
    const folder = await makeFolder()
    const router = await startDht()
    const sample = sampleTorrent('tenwiki', [40_000, 5])
    await writeSample(sample, join(folder, 'a'))
    const dht = { port: 0, bootstrap: [addressOf(router)], nodesPath: null }
    const [a, b] = [
      new WebTorrentEngine({ port: 0, dht }),
      new EngineProcess({ port: 0, dht, log: silentLog }),
    ]
    for (const engine of [a, b]) {
      cleanUp.push(() => engine.stop())
      await engine.start()
    }
    await a.seed(
      { infohash: sample.infohash, sizeBytes: sample.sizeBytes, torrent: async () => sample.torrent },
      join(folder, 'a'),
    )
    await expect.poll(async () => (await a.discovery()).dht.announcedAtMs, { timeout: 10_000 }).not.toBe(null)
    expect(await a.stats()).toMatchObject([{ dormant: true }])
    await b.fetch(sample.infohash, join(folder, 'b'), { peers: [], accept: () => true })
    expect(await wrongFiles(sample, join(folder, 'b'))).toEqual([])
    expect((await b.discovery()).dht).toMatchObject({ off: null })
  })

  it('sends nothing to anybody when it listens on 127.0.0.1 and is not told otherwise', async () => {
    const folder = await makeFolder()
    const sample = sampleTorrent('tenwiki', [40_000, 5])
    await writeSample(sample, folder)
    const send = vi.spyOn(Socket.prototype, 'send')
    cleanUp.push(async () => send.mockRestore())
    const dht = { port: 0, bootstrap: ['router.bittorrent.com:6881'], nodesPath: null }
    const engine = new WebTorrentEngine({ port: 0, dht, lsd: true })
    await engine.start()
    cleanUp.push(() => engine.stop())
    await engine.seed(sample.torrent, folder)
    const off = 'BitTorrent listens on 127.0.0.1 only'
    expect((await engine.discovery()).dht.off).toBe(`${off}, where nobody outside could reach it`)
    expect((await engine.discovery()).lsd.off).toBe(off)
    expect(send).not.toHaveBeenCalled()
  })

  it('makes one look-up a second, however many torrents it has', async () => {
    const folder = await makeFolder()
    const router = await startStranger()
    const hashes = new Set<string>()
    let asks = 0
    router.socket.on('message', (bytes, from) => {
      const map = read(bytes)
      const a = map.get('a') as BencodedMap
      const hash = a.get('info_hash')
      if (hash instanceof Uint8Array) {
        hashes.add(Buffer.from(hash).toString('hex'))
        asks++
      }
      const t = map.get('t') as Uint8Array
      router.socket.send(bencode({ t, y: 'r', r: { id: ID, token: 'x' } }), from.port, from.address)
    })
    const dht = { port: 0, bootstrap: [addressOf(router)], nodesPath: null }
    const engine = new WebTorrentEngine({ port: 0, dht })
    await engine.start()
    cleanUp.push(() => engine.stop())
    const samples = Array.from({ length: 30 }, (_, i) => sampleTorrent(`wiki${i}`, [10]))
    for (const sample of samples) await writeSample(sample, folder)
    const startedMs = performance.now()
    for (const sample of samples) await engine.seed(sample.torrent, folder)
    await expect.poll(() => asks, { timeout: 20_000, interval: 20 }).toBeGreaterThan(6)
    const own = samples.filter((one) => hashes.has(one.infohash)).length
    expect(own).toBeGreaterThanOrEqual(2)
    expect(own).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - startedMs) / 1_000))
  })
})

/** The DHT over IPv6 (BEP 32) on ::1: many nodes of ours, strangers, and engines that know nobody. */
import { Socket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { PeerFinder } from '../../node/getting/peer-finder.ts'
import type { TorrentPeer } from '../../node/ports.ts'
import { Dht } from '../../node/transfer/dht.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { type BencodedMap, bencode } from '../../protocol/codec/bencode.ts'
import type { Infohash } from '../../protocol/ids.ts'
import {
  addressOf,
  announce,
  cleanUp,
  forever,
  ID,
  makeFolder,
  query,
  read,
  startDht,
  startNetwork,
  startStranger,
  useDht,
} from '../support/dht.ts'
import { hasIpv6 } from '../support/sockets.ts'
import { sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'

useDht()
const HASH = 'c0ffee'.padEnd(40, '5') as Infohash
const HOST = '::1'
const NOBODY = '[::1]:9'
const start = (bootstrap: readonly string[] = [NOBODY], path: string | null = null) =>
  startDht(bootstrap, path, HOST)
const network = (count: number) => startNetwork(count, HOST, { timeout: 30_000, interval: 200 })
const at = (one: { port: number }) => addressOf(one, HOST)
/** `::1` and a port, compact. */
const endpoint = (port: number) =>
  Buffer.from([...Array.from({ length: 15 }, () => 0), 1, port >> 8, port & 255])

describe.skipIf(!hasIpv6)('60 nodes of the DHT over IPv6', () => {
  it('find whatever one of them announced, whichever they ask', async () => {
    const nodes = await network(60)
    const hashes = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(40))
    for (const [i, hash] of hashes.entries())
      await expect(nodes[5 * i]?.announce([announce(hash, 1_000 + i)], forever)).resolves.toMatchObject({
        isPoor: false,
      })
    for (const [i, hash] of hashes.entries()) {
      const found = await nodes[59 - 6 * i]?.announce([announce(hash, 2_000, 5)], forever)
      expect(found).toMatchObject({ peers: [{ host: HOST, port: 1_000 + i }], isPoor: false })
    }
    expect(nodes[0]?.stats('ipv6').announcedAtMs).toBeGreaterThan(0)
    expect(nodes[0]?.stats('ipv4').off).toBe('not running')
  }, 90_000)
})

describe.skipIf(!hasIpv6)('nodes of the DHT over IPv6', () => {
  it('know each other again after a restart, with nobody to begin with', async () => {
    const path = join(await makeFolder(), 'dht6.json')
    const [first] = await network(5)
    const before = await start([at(first as Dht)], path)
    await expect.poll(() => before.stats('ipv6').nodes).toBeGreaterThanOrEqual(3)
    await before.stop()
    const kept = JSON.parse(await readFile(path, 'utf8'))
    expect(kept.nodes).toContain(at(first as Dht))
    const after = await start([NOBODY], path)
    await expect.poll(() => after.stats('ipv6').nodes, { timeout: 5_000 }).toBeGreaterThanOrEqual(3)
    await after.stop()
    expect(JSON.parse(await readFile(path, 'utf8')).id).toBe(kept.id)
  })

  it('tell the port that is listened on: no router maps another', async () => {
    const [one, other] = await network(3)
    await one?.announce([{ ...announce(HASH, 1_111), outsidePort: 49_152 }], forever)
    expect(await other?.find(HASH, forever)).toEqual([{ host: HOST, port: 1_111 }])
  })

  it('answer a stranger with nodes6 and values of 18 bytes, and take what it announces', async () => {
    const [dht] = await network(4)
    const { socket, heard, port } = await startStranger(HOST)
    const ask = async (q: string, a: Parameters<typeof query>[1]) => {
      const before = heard.length
      socket.send(query(q, a), dht?.port, HOST)
      const answers = () => heard.slice(before).filter((bytes) => read(bytes).has('r'))
      await expect.poll(answers, { timeout: 5_000 }).toHaveLength(1)
      return read(answers()[0] as Buffer).get('r') as BencodedMap
    }
    const infohash = Buffer.from(HASH, 'hex')
    const first = await ask('get_peers', { info_hash: infohash })
    expect(first.has('nodes')).toBe(false)
    const nodes6 = first.get('nodes6') as Uint8Array
    expect(nodes6.length % 38).toBe(0)
    expect(Buffer.from(nodes6.subarray(20, 36)).equals(endpoint(0).subarray(0, 16))).toBe(true)
    const token = first.get('token') as Uint8Array
    await ask('announce_peer', { info_hash: infohash, token, implied_port: 1, port: 5 })
    await ask('announce_peer', { info_hash: infohash, token, port: 4_444 })
    const { values } = Object.fromEntries(await ask('get_peers', { info_hash: infohash }))
    const hex = (values as Uint8Array[]).map((one) => Buffer.from(one).toString('hex'))
    expect(hex.sort()).toEqual([endpoint(port), endpoint(4_444)].map((one) => one.toString('hex')).sort())
  })

  it('send to nobody whom a stranger names outside of their private network', async () => {
    const { socket, port } = await startStranger(HOST)
    const neighbour = await startStranger(HOST)
    const node = (address: Buffer) => Buffer.concat([Buffer.alloc(20, 3), address])
    const world = Buffer.from('26200000086100000000000000000007'.concat('1ae1'), 'hex')
    const mapped = Buffer.from('00000000000000000000ffff080808080035', 'hex')
    socket.on('message', (bytes, from) => {
      const map = read(bytes)
      if (!map.has('a')) return
      const nodes6 = Buffer.concat([node(world), node(mapped), node(endpoint(neighbour.port))])
      const r = { id: ID, nodes6, token: 'x' }
      socket.send(bencode({ t: map.get('t') as Uint8Array, y: 'r', r }), from.port, from.address)
    })
    const send = vi.spyOn(Socket.prototype, 'send')
    cleanUp.push(async () => send.mockRestore())
    const dht = await start([`[${HOST}]:${port}`])
    await expect.poll(() => dht.isUp).toBe(true)
    await dht.announce([announce(HASH, 1_111)], forever)
    expect(neighbour.heard.length).toBeGreaterThan(0)
    const hosts = (send.mock.calls as unknown[][]).flatMap(([, , host]) =>
      typeof host === 'string' ? [host] : [],
    )
    expect(new Set(hosts)).toEqual(new Set([HOST]))
  })

  it('keep one of a public /64', async () => {
    const options = { port: 0, bootstrap: [], nodesPath: null }
    const dht = await Dht.start(options, { host: HOST, announceHost: '::' }, ['ipv6'])
    cleanUp.push(() => dht.stop())
    // The system sends nothing from ::1 to the world: what comes back is made up here.
    const answering = (bytes: Uint8Array, port: number, host: string): void => {
      const { t } = Object.fromEntries(read(Buffer.from(bytes)))
      const id = Buffer.alloc(20)
      id.write(host, 'latin1')
      const reply = Buffer.from(bencode({ t: t as Uint8Array, y: 'r', r: { id } }))
      sockets[0]?.emit('message', reply, { address: host, port, family: 'IPv6', size: reply.length })
    }
    const sockets: Socket[] = []
    const send = vi.spyOn(Socket.prototype, 'send')
    send.mockImplementation(function (this: Socket, ...args: unknown[]) {
      const [bytes, port, host] = args as [Uint8Array, number, string]
      sockets[0] = this
      if (read(Buffer.from(bytes)).has('a')) queueMicrotask(() => answering(bytes, port, host))
    } as never)
    cleanUp.push(async () => send.mockRestore())
    for (const host of ['2620:0:861:1::1', '2620:0:861:1::2', '2620:0:861:1:9::3', '2620:0:861:2::1'])
      dht.meet({ host, port: 6_881 })
    await expect.poll(() => send.mock.calls.length, { timeout: 5_000 }).toBeGreaterThanOrEqual(4)
    // What is sent is answered before the next turn of the loop.
    await new Promise(setImmediate)
    expect(dht.stats('ipv6').nodes).toBe(2)
  })

  it('say that their port is in use', async () => {
    const { port } = await start()
    const options = { port, bootstrap: [NOBODY], nodesPath: null }
    await expect(Dht.start(options, { host: HOST, announceHost: HOST }, ['ipv6'])).rejects.toThrow(
      `DHT port ${port} is already in use`,
    )
  })
})

describe.skipIf(!hasIpv6)('an engine that listens on IPv6', () => {
  it('brings a dormant seed and a fetcher together who know nobody', async () => {
    const folder = await makeFolder()
    const router = await start()
    const sample = sampleTorrent('tenwiki', [40_000, 5])
    await writeSample(sample, join(folder, 'a'))
    const dht = { port: 0, bootstrap: [at(router)], nodesPath: null }
    const [a, b] = [0, 1].map(() => new WebTorrentEngine({ host: HOST, port: 0, dht })) as [
      WebTorrentEngine,
      WebTorrentEngine,
    ]
    for (const engine of [a, b]) {
      cleanUp.push(() => engine.stop())
      await engine.start()
    }
    await a.seed(sample.torrent, join(folder, 'a'))
    await expect
      .poll(async () => (await a.discovery()).dht6.announcedAtMs, { timeout: 10_000 })
      .not.toBe(null)
    expect((await a.discovery()).dht.off).toBe('BitTorrent listens on ::1 only, and the DHT needs IPv4')
    await b.fetch(sample.infohash, join(folder, 'b'), { peers: [], accept: () => true })
    expect(await wrongFiles(sample, join(folder, 'b'))).toEqual([])
  })
})

describe.skipIf(!hasIpv6)('one schedule over both families', () => {
  it('announces to both in one turn, and finds who is in either', async () => {
    const [router4, router6] = [await startDht(), await start()]
    const bootstrap = [addressOf(router4), at(router6)]
    const around = { host: '::', announceHost: '127.0.0.1' }
    const both = await Dht.start({ port: 0, bootstrap, nodesPath: null }, around, ['ipv4', 'ipv6'])
    cleanUp.push(() => both.stop())
    const [only4, only6] = [await startDht([addressOf(router4)]), await start([at(router6)])]
    await expect
      .poll(() => [both.stats('ipv4').nodes, both.stats('ipv6').nodes, only4.isUp, only6.isUp])
      .toEqual([expect.any(Number), expect.any(Number), true, true])
    await expect.poll(() => both.stats('ipv4').nodes * both.stats('ipv6').nodes).toBeGreaterThan(0)
    await only4.announce([announce(HASH, 4)], forever)
    await only6.announce([announce(HASH, 6)], forever)
    const { peers, seeds } = await both.announce([announce(HASH, 46)], forever)
    expect(seeds).toBe(2)
    expect([...peers].sort((a, b) => a.port - b.port)).toEqual([
      { host: '127.0.0.1', port: 4 },
      { host: HOST, port: 6 },
    ])
    expect((await only4.find(HASH, forever)).map((one) => one.port).sort()).toEqual([4, 46])
    expect((await only6.find(HASH, forever)).map((one) => one.port).sort()).toEqual([46, 6])
  })

  it('goes on over IPv4 when nobody answers over IPv6', async () => {
    const router = await startDht()
    const around = { host: '::', announceHost: '127.0.0.1' }
    const options = { port: 0, bootstrap: [addressOf(router), NOBODY], nodesPath: null }
    const both = await Dht.start(options, around, ['ipv4', 'ipv6'])
    cleanUp.push(() => both.stop())
    await expect.poll(() => both.isUp).toBe(true)
    expect(await both.announce([announce(HASH, 46)], forever)).toMatchObject({ isPoor: false })
    expect(both.stats('ipv6')).toMatchObject({ off: null, nodes: 0, announcedAtMs: null })
  })

  it('is used by whoever looks for peers without being a node', async () => {
    const [router, other] = await network(3)
    await other?.announce([announce(HASH, 1_111)], forever)
    const finder = new PeerFinder({ bootstrap: [at(router as Dht)], trackers: [] })
    cleanUp.push(() => finder.close())
    const told: TorrentPeer[] = []
    const found = await finder.find(HASH, (peers) => told.push(...peers), forever)
    expect([found, told]).toEqual([{ peers: 1, silent: [] }, [{ host: HOST, port: 1_111 }]])
  })
})

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadNodes, saveNodes } from '../../node/transfer/dht-nodes.ts'
import { dht6OffBecause, dhtOffBecause, nodeOf } from '../../node/transfer/dht-options.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wikiseed-dht-nodes-'))
})
afterAll(() => rm(folder, { recursive: true }))

const id = 'ab'.repeat(20)

describe('the kept table of the DHT', () => {
  it('comes back as it was kept, 200 nodes at most', async () => {
    const path = join(folder, 'dht.json')
    const nodes = Array.from({ length: 500 }, (_, i) => ({ host: `8.8.${i >> 8}.${i & 255}`, port: 6_881 }))
    await saveNodes(path, { id, nodes })
    expect(await loadNodes(path)).toEqual({ id, nodes: nodes.slice(0, 200) })
    expect((await readFile(path)).length).toBeLessThan(8_192)
  })

  it('comes back with addresses of IPv6', async () => {
    const path = join(folder, 'dht6.json')
    const nodes = Array.from({ length: 200 }, (_, i) => ({
      host: `2620:861:1000:1000:1000:1000:1000:${i.toString(16)}`,
      port: 16_881,
    }))
    await saveNodes(path, { id, nodes })
    expect(await loadNodes(path)).toEqual({ id, nodes })
  })

  it('is not there before it was kept', async () => {
    expect(await loadNodes(join(folder, 'none.json'))).toBe(null)
  })

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['null', 'null'],
    ['an id that is none', `{"id":"x","nodes":[]}`],
    ['no nodes', `{"id":"${id}"}`],
    ['a name', `{"id":"${id}","nodes":["example.org:1"]}`],
    ['no address', `{"id":"${id}","nodes":["8.8.8.256:1"]}`],
    ['a port out of range', `{"id":"${id}","nodes":["8.8.8.8:65536"]}`],
    ['a node that is a map', `{"id":"${id}","nodes":[{}]}`],
    ['more bytes than it can have', `{"id":"${id}","nodes":[${' '.repeat(20_000)}]}`],
  ])('is not believed with %s', async (_what, text) => {
    const path = join(folder, 'bad.json')
    await writeFile(path, text)
    expect(await loadNodes(path)).toBe(null)
  })
})

describe('the DHT', () => {
  const router = ['router.example.org:6881']
  it.each([
    [
      '127.0.0.1',
      '127.0.0.1',
      router,
      'BitTorrent listens on 127.0.0.1 only, where nobody outside could reach it',
    ],
    [
      '0.0.0.0',
      '192.168.1.7',
      router,
      'BitTorrent is announced at 192.168.1.7, where nobody outside could reach it',
    ],
    [
      '2001:db8::1',
      'seed.example.org',
      router,
      'BitTorrent listens on 2001:db8::1 only, and the DHT needs IPv4',
    ],
    ['0.0.0.0', '0.0.0.0', router, null],
    ['::', '::', router, null],
    ['0.0.0.0', 'seed.example.org', router, null],
    ['127.0.0.1', '127.0.0.1', ['127.0.0.1:6881'], null],
    [
      '127.0.0.1',
      '127.0.0.1',
      [],
      'BitTorrent listens on 127.0.0.1 only, where nobody outside could reach it',
    ],
  ])(
    'of a node that listens on %s, announced at %s, beginning at %s, is off because: %s',
    (host, announceHost, bootstrap, why) => {
      expect(dhtOffBecause({ bootstrap }, { host, announceHost })).toBe(why)
    },
  )

  it.each([
    ['0.0.0.0', '0.0.0.0', router, 'BitTorrent listens on 0.0.0.0 only, and this needs IPv6'],
    ['127.0.0.1', '127.0.0.1', ['[::1]:1'], 'BitTorrent listens on 127.0.0.1 only, and this needs IPv6'],
    ['::', '8.8.8.8', router, 'BitTorrent is announced at 8.8.8.8, and this needs IPv6'],
    ['::1', '::1', router, 'BitTorrent listens on ::1 only, where nobody outside could reach it'],
    ['::', 'fd00::7', router, 'BitTorrent is announced at fd00::7, where nobody outside could reach it'],
    ['::', '::', router, null],
    ['::', 'seed.example.org', router, null],
    ['2620:0:861::7', '2620:0:861::7', router, null],
    ['::1', '::1', ['[::1]:6881'], null],
  ])(
    'over IPv6 of a node that listens on %s, announced at %s, beginning at %s, is off because: %s',
    (host, announceHost, bootstrap, why) => {
      expect(dht6OffBecause({ bootstrap }, { host, announceHost })).toBe(why)
    },
  )

  it.each([
    ['router.example.org:6881', 'router.example.org'],
    ['8.8.8.8:6881', '8.8.8.8'],
    ['[2620:0:861::7]:6881', '2620:0:861::7'],
  ])('begins at %s by the host %s', (text, host) => {
    expect(nodeOf(text)).toEqual({ host, port: 6_881 })
  })
})

/** Nodes over IPv6, on ::1: gossip, requests, port tests and torrents. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { serveDialback } from '../../node/net/dialback.ts'
import { identityFromSeed } from '../../node/net/identity.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { PortTests } from '../../node/runtime/port-tests.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import type { FederationId } from '../../protocol/ids.ts'
import { Listener, untilHeard } from '../conformance/network.suite.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { hasIpv6 } from '../support/sockets.ts'
import { sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'

vi.setConfig({ testTimeout: 60_000 })

const federationId = 'ab'.repeat(32) as FederationId
const ended: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})

async function node(seed: number, ...listen: string[]): Promise<Listener> {
  const identity = identityFromSeed(new Uint8Array(32).fill(seed))
  const network = new Libp2pNetwork({ identity, federationId, listen, log: silentLog })
  const listener = new Listener(network)
  serveDialback(network)
  network.handle('audit', async (_request, from) => new TextEncoder().encode(from.address))
  await network.start()
  ended.push(() => network.stop())
  return listener
}

async function engine(host: string): Promise<WebTorrentEngine> {
  const made = new WebTorrentEngine({ host, port: 0 })
  await made.start()
  ended.push(() => made.stop())
  return made
}

function overIpv6(): void {
  it('carries gossip and requests, and a peer is seen at its address', async () => {
    const a = await node(1, '/ip6/::1/tcp/0')
    const b = await node(2, '/ip6/::1/tcp/0')
    expect(a.network.addresses()).toEqual([expect.stringMatching(/^\/ip6\/::1\/tcp\/\d+\/p2p\//)])
    expect(await b.network.connect(a.network.addresses())).toBe(true)
    await untilHeard(b.network, [a])
    const answer = await b.network.request(a.network.nodeId, 'audit', new Uint8Array(1), { timeoutMs: 5_000 })
    expect(new TextDecoder().decode(answer)).toBe('::1')
  })

  it('is tested apart from IPv4', async () => {
    const seeds = await engine('::1')
    const a = await node(1, '/ip6/::1/tcp/0')
    const b = await node(2, '/ip6/::1/tcp/0')
    await a.network.connect(b.network.addresses())
    const tests = new PortTests({
      network: a.network,
      ports: () => [
        { name: 'libp2p', port: a.network.listens()[0]?.port ?? 0 },
        { name: 'bittorrent', port: seeds.port },
      ],
      clock: systemClock,
      heard: () => {},
    })
    for (const peer of a.network.peers()) await tests.ask(peer)
    for (const name of ['libp2p', 'bittorrent'] as const) {
      expect(tests.reached(name, 'ipv6')).toMatchObject({ reachedBy: 1, missedBy: 0 })
      expect(tests.reached(name, 'ipv4')).toMatchObject({ reachedBy: 0, missedBy: 0 })
    }
  })

  it('and IPv4 can have the same port of libp2p', async () => {
    const v4 = await node(1, '/ip4/127.0.0.1/tcp/0')
    const port = v4.network.listens()[0]?.port
    await v4.network.stop()
    const both = await node(2, `/ip4/127.0.0.1/tcp/${port}`, `/ip6/::1/tcp/${port}`)
    expect(both.network.listens()).toEqual([
      { host: '127.0.0.1', port },
      { host: '::1', port },
    ])
    const [ip4 = '', ip6 = ''] = both.network.addresses()
    for (const [seed, address] of [
      [3, ip4],
      [4, ip6],
    ] as const) {
      const caller = await node(seed)
      expect(await caller.network.connect([address])).toBe(true)
    }
  })

  it.each([
    ['::1', '::1'],
    ['::', '::1'],
    ['::', '127.0.0.1'],
  ])('carries torrents: listened on %s, fetched from %s', async (listens, dialled) => {
    const root = await mkdtemp(join(tmpdir(), 'wikiseed-ipv6-'))
    ended.push(() => rm(root, { recursive: true }))
    const sample = sampleTorrent('tenwiki', [40_000, 5, 100_000])
    await writeSample(sample, join(root, 'seed'))
    const a = await engine(listens)
    await a.seed(sample.torrent, join(root, 'seed'))
    const b = await engine(dialled)
    await b.fetch(sample.infohash, join(root, 'b'), {
      peers: [{ host: dialled, port: a.port }],
      accept: () => true,
    })
    expect(await wrongFiles(sample, join(root, 'b'))).toEqual([])
  })
}

if (hasIpv6) describe('IPv6', overIpv6)
else
  it('has no address on this machine, so nothing listens there', async () => {
    await expect(engine('::1')).rejects.toThrow('this machine has no such address')
  })

/** Where others reach a node: forwarded ports, dial-backs and what is told of them, over real sockets and the router's twin. */
import { createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { portWords } from '../../node/commands/port-words.ts'
import { serveDialback } from '../../node/net/dialback.ts'
import { identityFromSeed } from '../../node/net/identity.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import { notForwarded } from '../../node/observe/port-status.ts'
import { sleep } from '../../node/origin/pace.ts'
import type { OwnPort, PortMapping, Router, TorrentPeer } from '../../node/ports.ts'
import { MemoryGateway, MemoryRouter } from '../../node/router/memory-router.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { Reach } from '../../node/runtime/reach.ts'
import type { Event } from '../../protocol/core/event.ts'
import type { FederationId } from '../../protocol/ids.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { hasIpv6 } from '../support/sockets.ts'

vi.setConfig({ testTimeout: 30_000 })

const federationId = 'ab'.repeat(32) as FederationId
const eventually = { timeout: 15_000, interval: 25 }
const ended: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})

async function network(seed: number, listen = '/ip4/127.0.0.1/tcp/0'): Promise<Libp2pNetwork> {
  const identity = identityFromSeed(new Uint8Array(32).fill(seed))
  const made = new Libp2pNetwork({ identity, federationId, listen: [listen], log: silentLog })
  serveDialback(made)
  await made.start()
  ended.push(() => made.stop())
  return made
}

async function listening(host = '127.0.0.1'): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  ended.push(() => server.close())
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return { server, port: address.port }
}

interface Options {
  readonly bittorrentPort: number
  readonly bittorrentHost?: string
  readonly announceHost?: string
  readonly dhtPort?: number
  readonly routers?: readonly Router[]
}

function reachOf(net: Libp2pNetwork, options: Options) {
  const {
    bittorrentPort,
    bittorrentHost = '127.0.0.1',
    announceHost = null,
    dhtPort = null,
    routers = [],
  } = options
  const events: Event[] = []
  const outside: (TorrentPeer | null)[] = []
  const reach = new Reach({
    network: net,
    endpoints: [{ host: announceHost ?? bittorrentHost, port: bittorrentPort }],
    dhtPort,
    announceHost,
    routers,
    bittorrentHost,
    onOutside: (endpoint) => outside.push(endpoint),
    relay: true,
    clock: systemClock,
    sleep,
    random: () => 0.5,
    log: silentLog,
    dispatch: (event) => events.push(event),
  })
  reach.start()
  ended.push(() => reach.stop())
  const told = () => events.filter((event) => event.kind === 'endpoints')
  return { reach, told, outside, reachable: () => events.filter((event) => event.kind === 'reachability') }
}

const portOf = (net: Libp2pNetwork): number => net.listens()[0]?.port ?? 0

describe('a node that asks no router', () => {
  it('tells where it listens, and knows from a peer which ports are reached', async () => {
    const a = await network(1)
    const b = await network(2)
    const { port } = await listening()
    const { reach, told, reachable } = reachOf(a, { bittorrentPort: port })
    expect(told()).toEqual([
      { kind: 'endpoints', libp2p: a.addresses(), bittorrent: [{ host: '127.0.0.1', port }] },
    ])
    await b.connect(a.addresses())
    await expect.poll(() => a.peers(), eventually).toHaveLength(1)
    for (const peer of a.peers()) await reach.tests.ask(peer)
    const reached = { reachedBy: 1, reachedFromOutsideBy: 0, missedBy: 0, reachedAtMs: expect.any(Number) }
    const untested = { reachedBy: 0, reachedFromOutsideBy: 0, missedBy: 0, reachedAtMs: null }
    const rest = { protocol: 'tcp', forwarding: null, ipv4: reached, ipv6: untested }
    expect(reach.ports()).toEqual([
      { name: 'libp2p', port: portOf(a), natMapping: 'unknown', ...rest },
      { name: 'bittorrent', port, natMapping: null, ...rest },
    ])
    expect(reachable()).toEqual([{ kind: 'reachability', reachable: true }])
    expect(reach.ports().map((one) => portWords(one, Date.now()))).toEqual([
      expect.stringMatching(
        /^libp2p \d+\/tcp: IPv4 reached by 1 peer, none of them from outside, \d s ago; IPv6 not tested$/,
      ),
      expect.stringContaining('bittorrent'),
    ])
  })

  it('tells which of the two is not reached', async () => {
    const a = await network(1)
    const b = await network(2)
    const { server, port } = await listening()
    await new Promise((resolve) => server.close(resolve))
    const { reach, reachable } = reachOf(a, { bittorrentPort: port })
    await b.connect(a.addresses())
    await expect.poll(() => a.peers(), eventually).toHaveLength(1)
    for (const peer of a.peers()) await reach.tests.ask(peer)
    expect(reach.ports()).toMatchObject([
      { name: 'libp2p', ipv4: { reachedBy: 1, missedBy: 0 } },
      { name: 'bittorrent', ipv4: { reachedBy: 0, missedBy: 1, reachedAtMs: null } },
    ])
    expect(portWords(reach.ports()[1] as never, 0)).toContain('IPv4 not reached by 1 peer; IPv6 not tested')
    expect(reachable()).toEqual([{ kind: 'reachability', reachable: false }])
  })

  it('asks four peers that reach it, and no more in that hour', async () => {
    const a = await network(1)
    const { port } = await listening()
    const { reach } = reachOf(a, { bittorrentPort: port })
    for (let seed = 2; seed < 8; seed++) await (await network(seed)).connect(a.addresses())
    await expect.poll(() => a.peers(), eventually).toHaveLength(6)
    for (const peer of a.peers()) await reach.tests.ask(peer)
    expect(reach.ports()).toMatchObject([{ ipv4: { reachedBy: 4 } }, { ipv4: { reachedBy: 4 } }])
  })
})

describe('a node that listens by one family', () => {
  const host = hasIpv6 ? '::1' : '127.0.0.1'
  const [own, other] = hasIpv6 ? (['ipv6', 'ipv4'] as const) : (['ipv4', 'ipv6'] as const)

  it('has nothing tested over the other', async () => {
    const at = `/ip${hasIpv6 ? 6 : 4}/${host}/tcp/0`
    const a = await network(1, at)
    const b = await network(2, at)
    const { port } = await listening(host)
    const { reach } = reachOf(a, { bittorrentPort: port, bittorrentHost: host })
    await b.connect(a.addresses())
    await expect.poll(() => a.peers(), eventually).toHaveLength(1)
    for (const peer of a.peers()) await reach.tests.ask(peer)
    for (const one of reach.ports()) {
      expect(one[own]).toMatchObject({ reachedBy: 1, missedBy: 0 })
      expect(one[other]).toMatchObject({ reachedBy: 0, missedBy: 0 })
    }
  })
})

/** The twin, in front of a node on loopback, which no router forwards to: it says what a mapping would be. */
class Recording implements Router {
  readonly name = 'memory'
  readonly asked: OwnPort[] = []
  readonly #twin: MemoryRouter
  constructor(gateway: MemoryGateway) {
    this.#twin = new MemoryRouter(gateway, 'ours')
  }
  map(own: OwnPort, options: { signal: AbortSignal }): Promise<PortMapping> {
    this.asked.push(own)
    return this.#twin.map(own, options)
  }
  unmap(mapping: PortMapping, signal: AbortSignal): Promise<void> {
    return this.#twin.unmap(mapping, signal)
  }
}

describe('a node behind a router that forwards', () => {
  it('tells the address and the numbers outside, and takes all back at the end', async () => {
    const a = await network(1, '/ip4/0.0.0.0/tcp/0')
    const gateway = new MemoryGateway()
    gateway.taken.set('tcp 6881', { machine: 'theirs', internalPort: 6_881 })
    const router = new Recording(gateway)
    const { reach, told, outside } = reachOf(a, {
      bittorrentPort: 6_881,
      dhtPort: 6_881,
      bittorrentHost: '0.0.0.0',
      routers: [router],
    })
    const external = `/ip4/${gateway.externalHost}/tcp/${portOf(a)}/p2p/${a.nodeId}`
    await expect.poll(() => told().at(-1)?.libp2p, eventually).toContain(external)
    expect(told().at(-1)?.bittorrent[0]).toEqual({ host: gateway.externalHost, port: 6_882 })
    expect(outside).toEqual([{ host: gateway.externalHost, port: 6_882 }])
    expect(reach.ports()[1]?.forwarding).toEqual({
      by: 'memory',
      externalHost: gateway.externalHost,
      externalPort: 6_882,
      error: null,
    })
    expect(portWords(reach.ports()[1] as never, 0)).toContain('memory forwards 185.15.59.224:6882')
    expect(reach.ports()[2]).toMatchObject({
      name: 'dht',
      protocol: 'udp',
      port: 6_881,
      forwarding: { by: 'memory', externalPort: 6_881 },
    })
    expect(portWords(reach.ports()[2] as never, 0)).toBe(
      `dht 6881/udp: IPv4 not tested; IPv6 not tested; memory forwards ${gateway.externalHost}:6881`,
    )
    expect([...gateway.taken.keys()].sort()).toEqual(
      ['tcp 6881', 'tcp 6882', 'udp 6881', `tcp ${portOf(a)}`].sort(),
    )
    await reach.stop()
    expect([...gateway.taken.values()].map(({ machine }) => machine)).toEqual(['theirs'])
  })

  it('tells the host that its operator gave, with the number outside', async () => {
    const a = await network(1, '/ip4/0.0.0.0/tcp/0')
    const gateway = new MemoryGateway()
    gateway.taken.set('tcp 6881', { machine: 'theirs', internalPort: 6_881 })
    const { told } = reachOf(a, {
      bittorrentPort: 6_881,
      bittorrentHost: '0.0.0.0',
      announceHost: 'seed.example.org',
      routers: [new Recording(gateway)],
    })
    await expect
      .poll(() => told().at(-1)?.bittorrent, eventually)
      .toEqual([{ host: 'seed.example.org', port: 6_882 }])
  })

  it('has only those ports forwarded that other machines may reach', async () => {
    const a = await network(1)
    const router = new Recording(new MemoryGateway())
    const { reach } = reachOf(a, { bittorrentPort: 6_881, bittorrentHost: '0.0.0.0', routers: [router] })
    await expect.poll(() => reach.ports()[1]?.forwarding?.by, eventually).toBe('memory')
    expect(router.asked.map(({ name }) => name)).toEqual(['bittorrent'])
    expect(reach.ports()[0]?.forwarding).toBeNull()
  })

  it('says as a problem why a port is not forwarded', async () => {
    const a = await network(1, '/ip4/0.0.0.0/tcp/0')
    const gateway = new MemoryGateway()
    gateway.isOn = false
    const { reach } = reachOf(a, {
      bittorrentPort: 6_881,
      bittorrentHost: '0.0.0.0',
      routers: [new Recording(gateway)],
    })
    await expect
      .poll(() => notForwarded({ ports: reach.ports(), nowMs: 5 }), eventually)
      .toEqual([
        expect.objectContaining({ code: 'not-forwarded' }),
        {
          shard: null,
          code: 'not-forwarded',
          detail: 'bittorrent 6881/tcp: memory: does not answer.',
          files: [],
          atMs: 5,
          resolvedAtMs: null,
        },
      ])
  })
})

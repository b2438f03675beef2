/** The router program of most home routers, miniupnpd, in namespaces of its own: it forwards what we ask, and no more. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  cable,
  canMakeNamespaces,
  end,
  type Namespace,
  namespace,
  programsMissing,
} from '../support/namespaces.ts'
import { Child, type ReachStatus } from '../support/routers/child.ts'
import { PORT, SAMPLE } from '../support/routers/seeded.ts'
import { sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const sample = sampleTorrent(...SAMPLE)
const missing = programsMissing(['miniupnpd', 'nft'])
const mayMakeNamespaces = missing.length > 0 || canMakeNamespaces()
const MAP_CHILD = fileURLToPath(new URL('../support/routers/map-child.ts', import.meta.url))
const REACH_CHILD = fileURLToPath(new URL('../support/routers/reach-child.ts', import.meta.url))
const SEED_CHILD = fileURLToPath(new URL('../support/routers/seed-child.ts', import.meta.url))
const OUTSIDE_CHILD = fileURLToPath(new URL('../support/routers/outside-child.ts', import.meta.url))
/** Asks for the numbers of a seed (RFC 6886) as another machine of the home would, and has them lead to another port. */
const TAKE_PORTS = `const socket = require('node:dgram').createSocket('udp4')
socket.bind(0, '192.168.77.6', () => {
  for (const op of [1, 2]) socket.send(Buffer.from([0, op, 0, 0, 0x1b, 0x57, 0x1a, 0xe1, 0, 0, 0x0e, 0x10]), 5351, '192.168.77.1')
})
let answers = 0
socket.on('message', () => ++answers === 2 && socket.close())`
const eventually = { timeout: 20_000, interval: 100 }
const RULES = `table inet filter {
  chain forwarding { }
  chain prerouting_own { }
  chain postrouting_own { }
  chain forward { type filter hook forward priority 0; policy accept; jump forwarding; }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_own; }
  chain postrouting {
    type nat hook postrouting priority 100
    jump postrouting_own
    oifname "wan" masquerade
  }
}`
const CONFIG = `ext_ifname=wan
listening_ip=home
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
uuid=00000000-0000-0000-0000-000000000077
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=forwarding
upnp_nat_chain=prerouting_own
upnp_nat_postrouting_chain=postrouting_own
`

function interop(): void {
  const spaces: Namespace[] = []
  let folder = ''
  let daemon: ChildProcess
  let home: Namespace
  let router: Namespace
  let outside: Namespace

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'miniupnpd-'))
    home = await namespace()
    router = await namespace()
    outside = await namespace()
    spaces.push(home, router, outside)
    cable('home', router, '192.168.77.1/24', home, '192.168.77.5/24')
    cable('wan', router, '9.9.9.1/24', outside, '9.9.9.9/24')
    outside.run('ip addr add 9.9.9.10/24 dev wan; ip addr add 9.9.9.11/24 dev wan')
    home.run('ip addr add 192.168.77.6/24 dev home; ip route add default via 192.168.77.1')
    router.run('echo 1 > /proc/sys/net/ipv4/ip_forward')
    router.run(`nft -f - <<'RULES'\n${RULES}\nRULES`)
    const config = join(folder, 'config')
    await writeFile(config, CONFIG)
    daemon = router.spawn('miniupnpd', ['-d', '-f', config, '-P', join(folder, 'pid')])
    const lines = createInterface(daemon.stderr ?? process.stdin)
    daemon.stdout?.resume()
    for await (const line of lines) if (/Listening for NAT-PMP/.test(line)) break
    daemon.stderr?.resume()
  })

  afterAll(async () => {
    await end(daemon)
    await Promise.all(spaces.map((space) => space.close()))
    await rm(folder, { recursive: true })
  })

  const forwarded = () => router.run('nft list ruleset').match(/dport \d+ dnat ip to \S+/g) ?? []

  it.each([
    ['NAT-PMP', 4_811],
    ['UPnP', 4_812],
  ])('forwards a port by %s and stops forwarding it when asked', async (name, port) => {
    const child = home.spawn(process.execPath, [MAP_CHILD, name, String(port)])
    child.stderr?.pipe(process.stderr)
    const lines = createInterface(child.stdout ?? process.stdin)[Symbol.asyncIterator]()
    expect(JSON.parse(String((await lines.next()).value))).toMatchObject({
      protocol: 'tcp',
      internalPort: port,
      externalHost: '9.9.9.1',
      externalPort: port,
      lifetimeMs: 3_600_000,
    })
    expect(forwarded()).toEqual([`dport ${port} dnat ip to 192.168.77.5:${port}`])
    child.stdin?.write('unmap\n')
    expect((await lines.next()).value).toBe('unmapped')
    expect(forwarded()).toEqual([])
    await end(child)
  })

  const children: { end(): Promise<void> }[] = []
  const node = (space: Namespace, seed: number, host: string, ...more: string[]) => {
    const child = new Child<ReachStatus>(
      space.spawn(process.execPath, [REACH_CHILD, String(seed), host, ...more]),
    )
    children.push(child)
    return child
  }
  afterEach(() => Promise.all(children.splice(0).map((child) => child.end())))

  it('lets others in to a node that has its port forwarded, which then tells so', async () => {
    const peer = node(outside, 1, '9.9.9.9')
    const own = node(home, 2, '0.0.0.0', 'map')
    const external = '/ip4/9.9.9.1/tcp/4811/p2p/'
    await expect.poll(async () => (await own.status()).addresses.join(), eventually).toContain(external)
    expect(await own.say(`connect ${(await peer.status()).addresses.join(' ')}`)).toBe(true)
    await expect
      .poll(async () => (await own.status()).ports[0]?.ipv4, eventually)
      .toMatchObject({ reachedBy: 1, reachedFromOutsideBy: 1, missedBy: 0 })
    const caller = node(outside, 3, '9.9.9.10')
    const { addresses, node: ownId } = await own.status()
    expect(await caller.say(`connect ${addresses.join(' ')}`)).toBe(true)
    expect(await caller.say(`ask ${ownId}`)).toBe('9.9.9.9')
    await own.say('stop')
    expect(forwarded()).toEqual([])
  })

  it('lets strangers in to a seed that they know of from a tracker or the DHT alone, by the numbers outside', async () => {
    await writeSample(sample, join(folder, 'home'))
    await once(home.spawn(process.execPath, ['-e', TAKE_PORTS]), 'exit')
    const taken = forwarded()
    expect(taken).toHaveLength(2)
    const abroad = new Child<never>(outside.spawn(process.execPath, [OUTSIDE_CHILD, '9.9.9.9']))
    children.push(abroad)
    const { tracker, bootstrap } = (await abroad.next()) as { tracker: string; bootstrap: string }
    const args = [SEED_CHILD, join(folder, 'home'), tracker, bootstrap]
    const own = new Child<ReachStatus>(home.spawn(process.execPath, args))
    children.push(own)
    await expect
      .poll(async () => (await own.status()).ports.map((one) => one.forwarding?.by), eventually)
      .toEqual([undefined, 'NAT-PMP', 'NAT-PMP'])
    const { ports } = await own.status()
    expect(ports.map(({ name, protocol, port }) => [name, protocol, port]).slice(1)).toEqual([
      ['bittorrent', 'tcp', PORT],
      ['dht', 'udp', PORT],
    ])
    for (const { forwarding } of ports.slice(1)) expect(forwarding?.externalPort).not.toBe(PORT)
    expect(forwarded()).toHaveLength(4)
    for (const way of ['tracker', 'dht']) {
      expect(await abroad.say(`${way} ${join(folder, way)}`)).toBe('fetched')
      expect(await wrongFiles(sample, join(folder, way))).toEqual([])
    }
    await own.say('stop')
    expect(forwarded()).toEqual(taken)
  })

  it('shuts others out of a node that does not: it is asked through a relay, and calls back', async () => {
    const [first, second] = [node(outside, 1, '9.9.9.9'), node(outside, 2, '9.9.9.10')]
    const own = node(home, 3, '0.0.0.0')
    for (const peer of [first, second])
      expect(await own.say(`connect ${(await peer.status()).addresses.join(' ')}`)).toBe(true)
    await expect
      .poll(async () => (await own.status()).ports[0]?.ipv4, eventually)
      .toMatchObject({ reachedBy: 0, missedBy: 2 })
    const relayed = async () => (await own.status()).addresses.filter((one) => one.includes('/p2p-circuit'))
    await expect.poll(relayed, eventually).not.toEqual([])
    const caller = node(outside, 4, '9.9.9.11')
    await caller.say(`connect ${(await relayed()).join(' ')}`)
    const { node: ownId } = await own.status()
    expect(await caller.say(`ask ${ownId}`), 'over the relay no address is seen').toBe('')
    // The one behind the router dials back to who called it, which is no hole punching but the same service.
    const direct = { nodeId: ownId, address: '9.9.9.1' }
    await expect.poll(async () => (await caller.status()).peers, eventually).toContainEqual(direct)
  })
}

if (mayMakeNamespaces) {
  const left = missing.length === 0 ? '' : ` (skipped: ${missing.join(', ')} missing)`
  describe.skipIf(missing.length > 0)(`miniupnpd${left}`, interop)
} else {
  // No program is missing, so nothing is skipped that could be installed.
  it('needs network namespaces, which cannot be made here', async () => {
    await expect(namespace()).rejects.toThrow()
  })
}

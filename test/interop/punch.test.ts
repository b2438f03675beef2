/** Two homes, each behind a router with the kernel's NAT, in namespaces of their own: who met by a relay goes on without it. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { portWords } from '../../node/commands/port-words.ts'
import {
  cable,
  canMakeNamespaces,
  end,
  type Namespace,
  namespace,
  programsMissing,
} from '../support/namespaces.ts'
import { Child, type ReachStatus } from '../support/routers/child.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const path = (name: string) => fileURLToPath(new URL(`../support/routers/${name}`, import.meta.url))
const missing = programsMissing(['nft', 'python3'])
const mayMakeNamespaces = missing.length > 0 || canMakeNamespaces()
const SLOW_WIRE = path('slow-wire.py')
const mayMakeWires = spawnSync('unshare', ['-n', 'python3', SLOW_WIRE]).status === 0
const eventually = { timeout: 20_000, interval: 50 }
const RELAYS = ['8.8.8.8', '8.8.8.9']
const RELAYS_6 = ['2620:fe::8', '2620:fe::9']
const DROPS = 'drop'
const REFUSES = 'meta l4proto tcp reject with tcp reset'

interface RelayStatus {
  readonly addresses: readonly string[]
  readonly passedOn: number
}

function interop(): void {
  const ends: (() => Promise<unknown>)[] = []
  let outside: Namespace
  let relays: Child<RelayStatus>[]

  beforeEach(async () => {
    outside = await space()
  })
  function startRelays(hosts: readonly string[]): void {
    for (const host of hosts) outside.run(`ip addr add ${host} dev lo`)
    relays = hosts.map((host, index) => run(outside, 'relay-child.ts', String(index + 1), host))
  }
  // The last thing made ends first.
  afterEach(async () => {
    for (const one of ends.splice(0).reverse()) await one()
  })

  async function space(): Promise<Namespace> {
    const made = await namespace()
    ends.push(() => made.close())
    return made
  }

  function run<Status>(where: Namespace, script: string, ...args: string[]): Child<Status> {
    const child = new Child<Status>(where.spawn(process.execPath, [path(script), ...args]))
    ends.push(() => child.end())
    return child
  }

  /** A node in a home that is `9.9.<net>.2` outside, which asked the relays to pass requests on to it. */
  async function home(net: number, masquerade: string, unasked: string): Promise<Child<ReachStatus>> {
    const [inside, router, wan] = [await space(), await space(), `wan${net}`]
    cable('home', router, '192.168.1.1/24', inside, '192.168.1.5/24')
    cable(wan, router, `9.9.${net}.2/24`, outside, `9.9.${net}.1/24`)
    inside.run('ip route add default via 192.168.1.1')
    router.run(`ip route add default via 9.9.${net}.1`)
    for (const one of [router, outside]) one.run('echo 1 > /proc/sys/net/ipv4/ip_forward')
    router.run(`nft -f - <<'RULES'
      table ip router {
        chain postrouting { type nat hook postrouting priority 100; oifname "${wan}" ${masquerade}; }
        chain input { type filter hook input priority 0; iifname "${wan}" ct state new,invalid ${unasked}; }
      }\nRULES`)
    return nodeIn(inside, net, '0.0.0.0')
  }

  /** A node at `2a01:<net>::5`, behind a router that lets nobody in who was not asked. */
  async function home6(net: number): Promise<Child<ReachStatus>> {
    const [inside, router, wan] = [await space(), await space(), `wan${net}`]
    for (const one of [router, outside]) one.run('echo 1 > /proc/sys/net/ipv6/conf/all/forwarding')
    cable('home', router, `2a01:${net}::1/64 nodad`, inside, `2a01:${net}::5/64 nodad`)
    cable(wan, router, `2a02:${net}::2/64 nodad`, outside, `2a02:${net}::1/64 nodad`)
    inside.run(`ip route add default via 2a01:${net}::1`)
    router.run(`ip route add default via 2a02:${net}::1`)
    outside.run(`ip route add 2a01:${net}::/64 via 2a02:${net}::2`)
    router.run(`nft -f - <<'RULES'
      table ip6 router {
        chain forward { type filter hook forward priority 0; iifname "${wan}" ct state new,invalid drop; }
      }\nRULES`)
    return nodeIn(inside, net, '::')
  }

  async function nodeIn(inside: Namespace, net: number, host: string): Promise<Child<ReachStatus>> {
    const node = run<ReachStatus>(inside, 'reach-child.ts', String(net + 10), host)
    for (const relay of relays)
      expect(await node.say(`connect ${(await relay.status()).addresses.join(' ')}`)).toBe(true)
    await node.say('hidden')
    return node
  }

  /** The second one's name, once the first knows how to ask it. */
  async function introduce(first: Child<ReachStatus>, second: Child<ReachStatus>): Promise<string> {
    const relayed = async () =>
      (await second.status()).addresses.filter((one) => one.includes('/p2p-circuit'))
    await expect.poll(relayed, eventually).not.toEqual([])
    await first.say(`connect ${(await relayed()).join(' ')}`)
    return (await second.status()).node
  }

  const passedOn = async () =>
    (await Promise.all(relays.map((one) => one.status()))).reduce((sum, one) => sum + one.passedOn, 0)
  const mappingOf = async (node: Child<ReachStatus>) => (await node.status()).ports[0]?.natMapping

  it('leads two nodes that met by a relay to each other: a request goes on over it, and the relay sees no more of them', async () => {
    startRelays(RELAYS)
    const [caller, called] = [await home(1, 'masquerade', DROPS), await home(2, 'masquerade', DROPS)]
    const id = await introduce(caller, called)
    await expect.poll(() => mappingOf(called), eventually).toBe('same')
    // Answered over a direct connection only, which there is none yet.
    expect(await caller.say(`ask ${id} 2`)).toBe('9.9.1.2')
    expect((await caller.status()).peers).toContainEqual({ nodeId: id, address: '9.9.2.2' })
    await expect.poll(passedOn, eventually).toBe(0)
    await Promise.all(relays.map((relay) => relay.end()))
    expect(await caller.say(`ask ${id}`)).toBe('9.9.1.2')
  })

  // Without the device nothing is skipped that could be installed.
  it(`works through routers that refuse who comes too early, 10 ms from each other${mayMakeWires ? '' : ' (no TUN device here)'}`, async () => {
    const wire = outside.spawn('python3', [SLOW_WIRE, '10'])
    if (!mayMakeWires) return expect(await once(wire, 'exit')).not.toEqual([0, null])
    ends.push(() => end(wire))
    wire.stderr?.pipe(process.stderr)
    if (wire.stdout !== null) await once(wire.stdout, 'data')
    outside.run('ip link set slow up; ip route add default dev slow table 7')
    startRelays(RELAYS)
    const [caller, called] = [await home(1, 'masquerade', REFUSES), await home(2, 'masquerade', REFUSES)]
    for (const net of [1, 2]) outside.run(`ip rule add iif wan${net} table 7`)
    const id = await introduce(caller, called)
    expect(await caller.say(`ask ${id} 2`)).toBe('9.9.1.2')
  })

  // A kernel without IPv6 has no firewall to go through.
  it.runIf(existsSync('/proc/sys/net/ipv6'))('works through firewalls over IPv6', async () => {
    startRelays(RELAYS_6)
    const [caller, called] = [await home6(1), await home6(2)]
    const id = await introduce(caller, called)
    expect(await caller.say(`ask ${id} 2`)).toBe('2a01:1::5')
  })

  it('is not tried by a router that maps each connection anew, which status says; the relay goes on', async () => {
    startRelays(RELAYS)
    const [caller, called] = [
      await home(1, 'masquerade fully-random', DROPS),
      await home(2, 'masquerade', DROPS),
    ]
    const id = await introduce(caller, called)
    await expect.poll(() => mappingOf(caller), eventually).toBe('changing')
    const [port] = (await caller.status()).ports
    expect(port && portWords(port, 0)).toContain('another port: no hole punching')
    for (let round = 0; round < 3; round++) expect(await caller.say(`ask ${id}`)).toBe('')
    expect(await passedOn()).toBe(1)
    expect((await caller.status()).peers).toHaveLength(RELAYS.length)
  })
}

if (mayMakeNamespaces) {
  const left = missing.length === 0 ? '' : ` (skipped: ${missing.join(', ')} missing)`
  describe.skipIf(missing.length > 0)(`hole punching${left}`, interop)
} else {
  // No program is missing, so nothing is skipped that could be installed.
  it('needs network namespaces, which cannot be made here', async () => {
    await expect(namespace()).rejects.toThrow()
  })
}

/** A node that nobody can dial: it hears gossip over the connections that it made, and is asked through a relay. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { identityFromSeed } from '../../node/net/identity.ts'
import { nodeIdOfAddress } from '../../node/net/names.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import { addressesToTell, isRelayed, RELAYED_BYTES_MAX, RelayPace } from '../../node/net/relay.ts'
import type { FederationId } from '../../protocol/ids.ts'
import { STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import { Listener, untilHeard } from './network.suite.ts'
import { silentLog } from './silent-log.ts'

vi.setConfig({ testTimeout: 60_000 })

const federationId = 'ab'.repeat(32) as FederationId
const identity = (seed: number) => identityFromSeed(new Uint8Array(32).fill(seed))
const eventually = { timeout: 15_000, interval: 25 }
const options = { timeoutMs: 10_000 }
const ended: (() => unknown)[] = []
afterEach(() => Promise.all(ended.splice(0).map((end) => end())))

async function node(seed: number, listen: readonly string[] = ['/ip4/127.0.0.1/tcp/0']): Promise<Listener> {
  const network = new Libp2pNetwork({ identity: identity(seed), federationId, listen, log: silentLog })
  const listener = new Listener(network)
  network.handle('audit', async (request, from) => {
    if (request.length > 1) return request
    return new TextEncoder().encode(`${seed} was asked from ${from.nodeId} at "${from.address}"`)
  })
  await network.start()
  ended.push(() => network.stop())
  return listener
}

/** One that passes on, one that listens nowhere and asked it to, and one that knows the second by what it tells. */
async function three() {
  const [relay, hidden, asker] = await Promise.all([node(1), node(2, []), node(3)])
  await relay.network.setReachable(true)
  expect(await hidden.network.connect(relay.network.addresses())).toBe(true)
  await hidden.network.setReachable(false)
  await expect.poll(() => hidden.network.addresses(), eventually).not.toEqual([])
  await asker.network.connect(hidden.network.addresses())
  return { relay, hidden, asker }
}

describe('a node that listens nowhere', () => {
  it('tells addresses through a relay that it found among its peers', async () => {
    const { relay, hidden } = await three()
    const [address = ''] = hidden.network.addresses()
    expect(address).toBe(`${relay.network.addresses()[0]}/p2p-circuit/p2p/${hidden.network.nodeId}`)
    expect(nodeIdOfAddress(address)).toBe(hidden.network.nodeId)
  })

  it('hears gossip through the relay, and tells it', async () => {
    const { relay, hidden, asker } = await three()
    await asker.network.connect(relay.network.addresses())
    await untilHeard(asker.network, [hidden])
    await untilHeard(hidden.network, [asker])
  })

  it('is asked through it, and takes nobody there for a peer', async () => {
    const { relay, hidden, asker } = await three()
    expect(asker.network.peers()).toEqual([])
    const answer = await asker.network.request(hidden.network.nodeId, 'audit', new Uint8Array(1), options)
    expect(new TextDecoder().decode(answer)).toBe(`2 was asked from ${asker.network.nodeId} at ""`)
    expect(hidden.network.peers().map(({ nodeId }) => nodeId)).toEqual([relay.network.nodeId])
    expect(asker.network.peers().map(({ nodeId }) => nodeId)).toEqual([relay.network.nodeId])
  })

  it('is not taken for connected by who asked it so and would rather have it directly', async () => {
    const { relay, hidden, asker } = await three()
    const dead = `/ip4/127.0.0.1/tcp/1/p2p/${hidden.network.nodeId}`
    expect(await asker.network.connect([dead, ...hidden.network.addresses()])).toBe(false)
    await asker.network.request(hidden.network.nodeId, 'audit', new Uint8Array(1), options)
    // The peer itself told its addresses by then, those through the relay too.
    expect(await asker.network.connect([dead])).toBe(false)
    expect(asker.network.peers().map(({ nodeId }) => nodeId)).toEqual([relay.network.nodeId])
  })

  it('gets the largest request and answers it, again and again, on a new connection when one is used up', async () => {
    const { hidden, asker } = await three()
    const request = new Uint8Array(STREAM_MESSAGE_BYTES_MAX).fill(7)
    const rounds = Math.ceil((1.5 * RELAYED_BYTES_MAX) / (2 * request.length))
    for (let round = 0; round < rounds; round++) {
      const answer = await asker.network.request(hidden.network.nodeId, 'audit', request, options)
      expect(answer).toEqual(request)
    }
  })

  it('cannot be asked when its relay is gone, and says so by its addresses', async () => {
    const { relay, hidden, asker } = await three()
    await relay.network.stop()
    await expect.poll(() => hidden.network.addresses(), eventually).toEqual([])
    const asked = asker.network.request(hidden.network.nodeId, 'audit', new Uint8Array(1), options)
    await expect(asked).rejects.toMatchObject({ code: 'unreachable' })
  })
})

describe('a node that others reach', () => {
  it('passes nothing on before it was told to', async () => {
    const [relay, hidden] = await Promise.all([node(1), node(2, [])])
    await hidden.network.connect(relay.network.addresses())
    await hidden.network.setReachable(false)
    const told = vi.fn()
    hidden.network.onAddresses(told)
    await untilHeard(relay.network, [hidden])
    expect(hidden.network.addresses()).toEqual([])
    await relay.network.setReachable(true)
    await expect.poll(() => hidden.network.addresses(), eventually).toHaveLength(1)
    expect(hidden.network.addresses().every(isRelayed)).toBe(true)
  })

  it('passes on for sixteen nodes at most', async () => {
    const relay = await node(1)
    await relay.network.setReachable(true)
    const hidden = await Promise.all(Array.from({ length: 18 }, (_, index) => node(index + 2, [])))
    await Promise.all(hidden.map(({ network }) => network.connect(relay.network.addresses())))
    await Promise.all(hidden.map(({ network }) => network.setReachable(false)))
    const served = () => hidden.filter(({ network }) => network.addresses().length > 0).length
    await expect.poll(served, eventually).toBe(16)
    await untilHeard(relay.network, hidden)
    expect(served()).toBe(16)
  })

  it('opens thirty relayed connections a minute at most', () => {
    let nowMs = 0
    const pace = new RelayPace(() => nowMs)
    const admitted = () => Array.from({ length: 40 }, () => pace.admits()).filter((one) => one).length
    nowMs = 100_000
    expect(admitted()).toBe(30)
    nowMs += 59_999
    expect(admitted()).toBe(0)
    nowMs += 1
    expect(admitted()).toBe(30)
  })
})

describe('addresses', () => {
  const relay = identity(1).nodeId
  const own = identity(2).nodeId
  it.each([
    [`/ip4/127.0.0.1/tcp/1/p2p/${own}`, own],
    [`/ip4/127.0.0.1/tcp/1/p2p/${relay}/p2p-circuit/p2p/${own}`, own],
    [`/ip4/127.0.0.1/tcp/1/p2p/${relay}/p2p-circuit`, null],
    [`/ip4/127.0.0.1/tcp/1/p2p/${relay}/p2p/${own}`, null],
    [`/ip4/127.0.0.1/tcp/1/p2p/${relay}/p2p-circuit/p2p/${relay}/p2p-circuit/p2p/${own}`, null],
    ['/ip4/127.0.0.1/tcp/1', null],
  ])('%s leads to %s', (address, nodeId) => {
    expect(nodeIdOfAddress(address)).toBe(nodeId)
  })

  it('through relays are told last, four of them, those at public addresses first', () => {
    const through = (host: string) => `/ip4/${host}/tcp/1/p2p/${relay}/p2p-circuit/p2p/${own}`
    const direct = `/ip4/192.168.1.5/tcp/1/p2p/${own}`
    const hosts = ['127.0.0.1', '192.168.1.1', '9.9.9.1', '10.0.0.1', '9.9.9.2']
    expect(addressesToTell([...hosts.map(through), direct])).toEqual([
      direct,
      ...['9.9.9.1', '9.9.9.2', '127.0.0.1', '192.168.1.1'].map(through),
    ])
  })
})

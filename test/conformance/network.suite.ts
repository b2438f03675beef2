/**
 * What the Network port promises, run on the libp2p adapter and on its in-memory twin.
 * Over 300 lines: it is the whole contract of one port, to be read from top to bottom.
 */
import { createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { askReachable, serveDialback } from '../../node/net/dialback.ts'
import { OPEN_REQUESTS_PER_PEER_MAX, REQUEST_BURST_MAX } from '../../node/net/request-limit.ts'
import type { Network, Topic, Verdict } from '../../node/ports.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { GOSSIP_BYTES_MAX, STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'

export interface NetworkOptions {
  /** The same number gives the same identity. */
  readonly seed: number
  /** Chosen by the world when left out. */
  readonly port?: number
  readonly remembered?: readonly string[]
}

/** Nodes that can reach each other. Made, not started. */
export interface NetworkWorld {
  make(options: NetworkOptions): Network
}

/** A network that notes what it hears, and judges it by its first byte. */
export class Listener {
  readonly network: Network
  readonly heard: { topic: Topic; text: string; from: NodeId }[] = []

  constructor(network: Network, topics: readonly Topic[] = ['manifests', 'catalogs']) {
    this.network = network
    for (const topic of topics) {
      network.onGossip(topic, (data, from) => {
        const text = new TextDecoder().decode(data.subarray(0, 100))
        this.heard.push({ topic, text, from })
        return verdictOf(text)
      })
    }
  }

  texts(topic: Topic = 'manifests'): string[] {
    return this.heard.filter((message) => message.topic === topic).map((message) => message.text)
  }
}

function verdictOf(text: string): Verdict {
  if (text.startsWith('throw')) throw new Error('thrown by the test')
  if (text.startsWith('reject')) return 'reject'
  return text.startsWith('ignore') ? 'ignore' : 'accept'
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
let probes = 0

/** Gossip needs a moment after a connection: publishes probes until each listener has heard one. */
export async function untilHeard(from: Network, listeners: readonly Listener[], topic: Topic = 'manifests') {
  const sent: string[] = []
  await expect
    .poll(
      async () => {
        const probe = `probe ${probes++}`
        sent.push(probe)
        await from.publish(topic, bytes(probe))
        return listeners.every((listener) => listener.texts(topic).some((text) => sent.includes(text)))
      },
      { timeout: 15_000, interval: 100 },
    )
    .toBe(true)
}

const eventually = { timeout: 15_000, interval: 25 }

export function networkSuite(name: string, makeWorld: () => NetworkWorld): void {
  vi.setConfig({ testTimeout: 60_000 })
  const open: Network[] = []
  const servers: Server[] = []
  let world: NetworkWorld | null = null

  const make = (options: NetworkOptions): Network => {
    world ??= makeWorld()
    const network = world.make(options)
    open.push(network)
    return network
  }
  const started = async (options: NetworkOptions, prepare: (network: Network) => void = () => {}) => {
    const network = make(options)
    prepare(network)
    await network.start()
    return network
  }
  /** Listeners, each connected to the one before. */
  const chain = async (length: number): Promise<Listener[]> => {
    const listeners: Listener[] = []
    for (let i = 0; i < length; i++) {
      const listener = new Listener(make({ seed: i + 1 }))
      await listener.network.start()
      const before = listeners.at(-1)
      if (before !== undefined) {
        expect(await listener.network.connect(before.network.addresses())).toBe(true)
      }
      listeners.push(listener)
    }
    return listeners
  }

  afterEach(async () => {
    await Promise.all(open.splice(0).map((network) => network.stop()))
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
    world = null
  })

  describe(`${name}: gossip`, () => {
    it('reaches every node over its neighbours, once', async () => {
      const nodes = await chain(5)
      const [first, ...others] = nodes as [Listener, ...Listener[]]
      await untilHeard(first.network, others)
      expect(await first.network.publish('manifests', bytes('hello'))).toBe(1)
      for (const node of others) await expect.poll(() => node.texts(), eventually).toContain('hello')
      for (const node of others) expect(node.texts().filter((text) => text === 'hello')).toHaveLength(1)
      expect(first.texts()).not.toContain('hello')
      const last = others.at(-1)
      const message = last?.heard.find(({ text }) => text === 'hello')
      expect(message?.from, 'the neighbour, not the author').toBe(others.at(-2)?.network.nodeId)
    })

    for (const verdict of ['reject', 'ignore', 'throw']) {
      it(`that is judged ${verdict} is not forwarded`, async () => {
        const [a, b, c] = (await chain(3)) as [Listener, Listener, Listener]
        await untilHeard(a.network, [b, c])
        await a.network.publish('manifests', bytes(`${verdict} this`))
        await expect.poll(() => b.texts(), eventually).toContain(`${verdict} this`)
        // What comes after, on the same way, arrives: so the other would have.
        await untilHeard(b.network, [c])
        expect(c.texts()).not.toContain(`${verdict} this`)
      })
    }

    it('that is rejected costs the sender score; ignored or accepted costs nothing', async () => {
      const [a, b] = (await chain(2)) as [Listener, Listener]
      await untilHeard(a.network, [b])
      await a.network.publish('manifests', bytes('ignore this'))
      await expect.poll(() => b.texts(), eventually).toContain('ignore this')
      expect(b.network.score(a.network.nodeId)).toBeGreaterThanOrEqual(0)
      await a.network.publish('manifests', bytes('reject this'))
      await expect.poll(() => b.network.score(a.network.nodeId), eventually).toBeLessThan(-5)
      expect(a.network.score(b.network.nodeId)).toBeGreaterThanOrEqual(0)
    })

    it('of a peer that had three messages rejected is not heard any more', async () => {
      const [a, b] = (await chain(2)) as [Listener, Listener]
      await untilHeard(a.network, [b])
      for (const text of ['reject 1', 'reject 2', 'reject 3'])
        await a.network.publish('manifests', bytes(text))
      await expect.poll(() => b.texts(), eventually).toContain('reject 3')
      await expect.poll(() => b.network.score(a.network.nodeId), eventually).toBeLessThan(-80)
      // Its own requests show that what was published before them has arrived.
      b.network.handle('audit', async (request) => request)
      await a.network.publish('manifests', bytes('hello'))
      await a.network.request(b.network.nodeId, 'audit', bytes('ping'), { timeoutMs: 5_000 })
      expect(b.texts()).not.toContain('hello')
    })

    it('on the wrong topic does not hide the same bytes on the right one', async () => {
      const [a, b] = (await chain(2)) as [Listener, Listener]
      await untilHeard(a.network, [b])
      await untilHeard(a.network, [b], 'catalogs')
      await a.network.publish('catalogs', bytes('same bytes'))
      await a.network.publish('manifests', bytes('same bytes'))
      await expect.poll(() => b.texts('manifests'), eventually).toContain('same bytes')
      expect(b.texts('catalogs')).toContain('same bytes')
    })

    it('above the bound is refused before anything is sent, at the bound it arrives', async () => {
      const [a, b] = (await chain(2)) as [Listener, Listener]
      await untilHeard(a.network, [b])
      const largest = new Uint8Array(GOSSIP_BYTES_MAX).fill(65)
      await expect(a.network.publish('manifests', new Uint8Array(GOSSIP_BYTES_MAX + 1))).rejects.toThrow(
        RangeError,
      )
      expect(await a.network.publish('manifests', largest)).toBe(1)
      await expect.poll(() => b.texts(), eventually).toContain('A'.repeat(100))
      expect(b.texts().every((text) => text.startsWith('probe') || text.startsWith('A'))).toBe(true)
      await untilHeard(a.network, [b])
    })

    it('with nobody to hear it goes to 0 peers', async () => {
      const a = await started({ seed: 1 })
      expect(await a.publish('manifests', bytes('hello'))).toBe(0)
    })

    it('goes only to those that listen to the topic', async () => {
      const a = await started({ seed: 1 })
      const b = new Listener(make({ seed: 2 }), ['manifests'])
      await b.network.start()
      await a.connect(b.network.addresses())
      await untilHeard(a, [b])
      expect(await a.publish('catalogs', bytes('hello'))).toBe(0)
    })

    it('reaches a late joiner from then on, but brings nothing from before', async () => {
      const [a, b] = (await chain(2)) as [Listener, Listener]
      await untilHeard(a.network, [b])
      await a.network.publish('manifests', bytes('before'))
      await expect.poll(() => b.texts(), eventually).toContain('before')
      const late = new Listener(make({ seed: 9 }))
      await late.network.start()
      await late.network.connect(b.network.addresses())
      await untilHeard(a.network, [late])
      expect(late.texts()).not.toContain('before')
    })
  })

  describe(`${name}: requests`, () => {
    const pair = async (prepare: (b: Network) => void): Promise<[Network, Network]> => {
      const a = await started({ seed: 1 })
      const b = await started({ seed: 2 }, prepare)
      expect(await a.connect(b.addresses())).toBe(true)
      return [a, b]
    }
    const ask = (a: Network, b: Network, request: Uint8Array, timeoutMs = 20_000) =>
      a.request(b.nodeId, 'audit', request, { timeoutMs })

    it('bring back what the handler made of them, from empty to the largest, in either direction', async () => {
      const [a, b] = await pair((network) => network.handle('audit', async (request) => request.toReversed()))
      a.handle('audit', async (request) => request)
      for (const size of [0, 1, 300, STREAM_MESSAGE_BYTES_MAX]) {
        const request = new Uint8Array(size).map((_, i) => i % 251)
        expect(Buffer.compare(await ask(a, b, request), request.toReversed()), `${size} bytes`).toBe(0)
        expect(Buffer.compare(await ask(b, a, request), request), `${size} bytes back`).toBe(0)
      }
    })

    it('tell the handler who asks and from where', async () => {
      const [a, b] = await pair((network) =>
        network.handle('audit', async (_, from) => bytes(`${from.nodeId} ${from.address}`)),
      )
      expect(new TextDecoder().decode(await ask(a, b, bytes('?')))).toBe(`${a.nodeId} 127.0.0.1`)
    })

    it('above the bound are refused before anything is sent', async () => {
      let asked = 0
      const [a, b] = await pair((network) =>
        network.handle('audit', async (request) => {
          asked++
          return request
        }),
      )
      await expect(ask(a, b, new Uint8Array(STREAM_MESSAGE_BYTES_MAX + 1))).rejects.toThrow(RangeError)
      await ask(a, b, bytes('after'))
      expect(asked).toBe(1)
    })

    it('fail with a code, and the next one works', async () => {
      const never = new Promise<Uint8Array>(() => {})
      const [a, b] = await pair((network) =>
        network.handle('audit', async (request) => {
          if (request[0] === 1) throw new Error('thrown by the test')
          if (request[0] === 2) return new Uint8Array(STREAM_MESSAGE_BYTES_MAX + 1)
          return request[0] === 3 ? never : request
        }),
      )
      const failsWith = (code: string) => expect.objectContaining({ name: 'RequestError', code })
      await expect(ask(a, b, Uint8Array.of(1))).rejects.toEqual(failsWith('refused'))
      await expect(ask(a, b, Uint8Array.of(2))).rejects.toEqual(failsWith('refused'))
      await expect(ask(a, b, Uint8Array.of(3), 200)).rejects.toEqual(failsWith('timed-out'))
      await expect(a.request(b.nodeId, 'catalog', bytes('?'), { timeoutMs: 5_000 })).rejects.toEqual(
        failsWith('unsupported'),
      )
      const stranger = make({ seed: 77 }).nodeId
      await expect(a.request(stranger, 'audit', bytes('?'), { timeoutMs: 5_000 })).rejects.toEqual(
        failsWith('unreachable'),
      )
      expect(await ask(a, b, bytes('x'))).toEqual(bytes('x'))
    })

    it('of one peer are answered only so many at once', async () => {
      const waiting: (() => void)[] = []
      const [a, b] = await pair((network) =>
        network.handle('audit', async (request) => {
          if (request[0] === 0) await new Promise<void>((resolve) => waiting.push(resolve))
          return request
        }),
      )
      const held = Array.from({ length: OPEN_REQUESTS_PER_PEER_MAX }, () => ask(a, b, Uint8Array.of(0)))
      await expect.poll(() => waiting.length, eventually).toBe(OPEN_REQUESTS_PER_PEER_MAX)
      await expect(ask(a, b, Uint8Array.of(1))).rejects.toMatchObject({ code: 'refused' })
      for (const release of waiting) release()
      await Promise.all(held)
      await expect
        .poll(() => ask(a, b, Uint8Array.of(1)).catch(() => null), eventually)
        .toEqual(Uint8Array.of(1))
    })

    it('of one peer without pause are refused after a while, those of another are answered', async () => {
      const [a, b] = await pair((network) => network.handle('audit', async (request) => request))
      const c = await started({ seed: 3 })
      await c.connect(b.addresses())
      let refused = 0
      for (let i = 0; i < REQUEST_BURST_MAX + 200 && refused === 0; i++) {
        await ask(a, b, Uint8Array.of(1)).catch(() => refused++)
      }
      expect(refused).toBe(1)
      expect(await ask(c, b, Uint8Array.of(1))).toEqual(Uint8Array.of(1))
    })
  })

  describe(`${name}: peers`, () => {
    it('are told when they come and go, and are on this machine alone', async () => {
      const events: string[] = []
      const a = await started({ seed: 1 }, (network) =>
        network.onPeer(({ kind, peer }) => events.push(`${kind} ${peer.nodeId} ${peer.address}`)),
      )
      const b = await started({ seed: 2 })
      await b.connect(a.addresses())
      await expect.poll(() => events, eventually).toEqual([`connected ${b.nodeId} 127.0.0.1`])
      expect(a.peers()).toEqual([{ nodeId: b.nodeId, address: '127.0.0.1' }])
      for (const address of [...a.addresses(), ...b.addresses()]) {
        expect(address).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/[1-9][0-9]*\/p2p\/12D3KooW/)
      }
      await b.stop()
      await expect.poll(() => events.at(-1), eventually).toBe(`disconnected ${b.nodeId} 127.0.0.1`)
      expect(a.peers()).toEqual([])
    })

    it('can be asked as soon as one is told of them, on both sides', async () => {
      const answers: Promise<Uint8Array>[] = []
      const prepare = (network: Network) => {
        network.handle('audit', async (request) => request)
        network.onPeer(({ kind, peer }) => {
          if (kind !== 'connected') return
          answers.push(network.request(peer.nodeId, 'audit', bytes('at once'), { timeoutMs: 5_000 }))
        })
      }
      const a = await started({ seed: 1 }, prepare)
      const b = await started({ seed: 2 }, prepare)
      await b.connect(a.addresses())
      await expect.poll(() => answers.length, eventually).toBe(2)
      expect(await Promise.all(answers)).toEqual([bytes('at once'), bytes('at once')])
    })

    it('that are away now are connected when they appear', async () => {
      const a = await started({ seed: 1 })
      const early = await started({ seed: 2 })
      const addresses = early.addresses()
      await early.stop()
      expect(await a.connect(addresses)).toBe(false)
      expect(await a.connect(['not a multiaddr', '/ip4/127.0.0.1/tcp/1'])).toBe(false)
      const b = await started({ seed: 2, port: portOf(addresses) })
      await expect.poll(() => a.peers().map((peer) => peer.nodeId), eventually).toEqual([b.nodeId])
    })

    it('that start again with the same key and port are found again, and heard', async () => {
      const [a, b] = (await chain(2)) as [Listener, Listener]
      await untilHeard(a.network, [b])
      const port = portOf(a.network.addresses())
      await a.network.stop()
      await expect.poll(() => b.network.peers(), eventually).toEqual([])
      const again = new Listener(make({ seed: 1, port }))
      await again.network.start()
      await untilHeard(again.network, [b])
      await untilHeard(b.network, [again])
    })

    it('remembered from before are dialled at the start', async () => {
      const b = await started({ seed: 2 })
      const a = await started({ seed: 1, remembered: [...b.addresses(), 'nonsense'] })
      await expect.poll(() => a.peers().map((peer) => peer.nodeId), eventually).toEqual([b.nodeId])
    })

    it('cannot share a port: the second says so in one sentence', async () => {
      const a = await started({ seed: 1 })
      const port = portOf(a.addresses())
      await expect(make({ seed: 2, port }).start()).rejects.toThrow(
        new RegExp(`^libp2p port ${port} is already in use$`),
      )
    })
  })

  describe(`${name}: addresses`, () => {
    it('are told as a router forwards them, for as long as it does', async () => {
      const a = await started({ seed: 1 })
      let told: string[][] = []
      a.onAddresses(() => told.push(a.addresses()))
      const [port] = a.listens().map((one) => one.port)
      expect(a.listens()).toEqual([{ host: '127.0.0.1', port: portOf(a.addresses()) }])
      const external = `/ip4/185.15.59.224/tcp/${port}`
      a.setExternal([external])
      await expect.poll(() => told.at(-1), eventually).toContain(`${external}/p2p/${a.nodeId}`)
      expect(told.at(-1)).toHaveLength(2)
      told = []
      a.setExternal([])
      await expect.poll(() => told.at(-1), eventually).toEqual(a.addresses())
      expect(a.addresses()).toHaveLength(1)
    })
  })

  describe(`${name}: dial-back`, () => {
    it('tells an open port from a closed one, and is refused when asked again too soon', async () => {
      const server = createServer()
      servers.push(server)
      const openPort = await listen(server)
      const closed = createServer()
      const closedPort = await listen(closed)
      await new Promise((resolve) => closed.close(resolve))

      let nowMs = 0
      const a = await started({ seed: 1 })
      const b = await started({ seed: 2 }, (network) => serveDialback(network, () => nowMs))
      await a.connect(b.addresses())
      expect(await askReachable(a, b.nodeId, [openPort])).toEqual({ reached: [true], host: '127.0.0.1' })
      expect(await askReachable(a, b.nodeId, [openPort]), 'too soon').toBeNull()
      nowMs += 10_000
      expect(await askReachable(a, b.nodeId, [closedPort, openPort])).toMatchObject({
        reached: [false, true],
      })
      nowMs += 10_000
      expect(await askReachable(a, b.nodeId, [70_000]), 'no such port').toBeNull()
      expect(await askReachable(a, b.nodeId, [openPort, openPort, openPort]), 'too many').toBeNull()
      expect(await askReachable(a, make({ seed: 77 }).nodeId, [openPort]), 'no such peer').toBeNull()
    })
  })
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
}

export function portOf(addresses: readonly string[]): number {
  const port = /\/tcp\/(\d+)/.exec(addresses[0] ?? '')?.[1]
  if (port === undefined) throw new Error('no address')
  return Number(port)
}

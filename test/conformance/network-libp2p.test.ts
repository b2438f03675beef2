/** What only the libp2p adapter can show: other processes, other federations, peers that do not keep the rules. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createHost, type Host } from '../../node/net/host.ts'
import { identityFromSeed } from '../../node/net/identity.ts'
import { protocolName, topicName } from '../../node/net/names.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import type { FederationId } from '../../protocol/ids.ts'
import { GOSSIP_BYTES_MAX } from '../../protocol/limits.ts'
import { Listener, portOf, untilHeard } from './network.suite.ts'
import { silentLog } from './silent-log.ts'

vi.setConfig({ testTimeout: 60_000 })

const federationId = 'ab'.repeat(32) as FederationId
const identity = (seed: number) => identityFromSeed(new Uint8Array(32).fill(seed))
const eventually = { timeout: 15_000, interval: 25 }
const ended: (() => unknown)[] = []
afterEach(() => Promise.all(ended.splice(0).map((end) => end())))

function make(seed: number, federation = federationId): Libp2pNetwork {
  const network = new Libp2pNetwork({ identity: identity(seed), federationId: federation, log: silentLog })
  ended.push(() => network.stop())
  return network
}

/** A libp2p host of ours without the adapter around it: it can send what the adapter never would. */
async function rawHost(seed: number): Promise<Host> {
  const host = await createHost({
    identity: identity(seed),
    federationId,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce: [],
    log: silentLog,
  })
  await host.start()
  ended.push(() => host.stop())
  return host
}

interface OtherProcess {
  readonly process: ChildProcess
  readonly address: string
}

async function startProcess(seed: number, port: number): Promise<OtherProcess> {
  const script = fileURLToPath(new URL('network-peer.ts', import.meta.url))
  const child = spawn(process.execPath, [script, String(seed), String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  ended.push(() => kill(child))
  const [address] = await once(createInterface(child.stdout), 'line')
  return { process: child, address: String(address) }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

describe('a process that is killed', () => {
  it('and started again on its port is connected within 10 s, each time', async () => {
    const a = make(1)
    await a.start()
    let other = await startProcess(2, 0)
    expect(await a.connect([other.address])).toBe(true)
    const [nodeId] = a.peers().map((peer) => peer.nodeId)
    if (nodeId === undefined) throw new Error('not connected')
    for (let round = 0; round < 3; round++) {
      await kill(other.process)
      await expect.poll(() => a.peers(), eventually).toEqual([])
      other = await startProcess(2, portOf([other.address]))
      const startedMs = performance.now()
      await expect.poll(() => a.peers(), { timeout: 10_000, interval: 20 }).toHaveLength(1)
      const answer = await a.request(nodeId, 'audit', new Uint8Array(1), { timeoutMs: 5_000 })
      expect(new TextDecoder().decode(answer), 'the new process').toBe(String(other.process.pid))
      await expect
        .poll(
          () => a.publish('manifests', new TextEncoder().encode(`round ${round} ${Math.random()}`)),
          eventually,
        )
        .toBe(1)
      expect(performance.now() - startedMs).toBeLessThan(10_000)
    }
  })
})

describe('many nodes behind one address', () => {
  it('that all dial one at once are let in, and hear it', async () => {
    const hub = make(100)
    await hub.start()
    const listeners = Array.from({ length: 20 }, (_, i) => new Listener(make(i + 1)))
    await Promise.all(listeners.map(({ network }) => network.start()))
    const connected = await Promise.all(listeners.map(({ network }) => network.connect(hub.addresses())))
    expect(connected).toEqual(listeners.map(() => true))
    await untilHeard(hub, listeners)
    expect(hub.peers()).toHaveLength(20)
    for (const { network } of listeners) expect(hub.score(network.nodeId)).toBeGreaterThanOrEqual(0)
  })
})

describe('a peer of another federation', () => {
  it('hears nothing of ours and answers none of our requests', async () => {
    const a = new Listener(make(1))
    const b = new Listener(make(2, 'cd'.repeat(32) as FederationId))
    const c = new Listener(make(3))
    for (const { network } of [a, b, c]) {
      network.handle('audit', async (request) => request)
      await network.start()
    }
    await b.network.connect(a.network.addresses())
    await c.network.connect(a.network.addresses())
    await untilHeard(a.network, [c])
    expect(b.heard).toEqual([])
    const asked = a.network.request(b.network.nodeId, 'audit', Uint8Array.of(1), { timeoutMs: 5_000 })
    await expect(asked).rejects.toMatchObject({ code: 'unsupported' })
  })
})

describe('a peer that does not keep the rules', () => {
  it('loses score by a message above the bound, which is not handed on', async () => {
    const a = new Listener(make(1))
    await a.network.start()
    const raw = await rawHost(2)
    await raw.dial(a.network.addresses().map((address) => multiaddr(address)))
    const topic = topicName(federationId, 'manifests')
    let attempts = 0
    await expect
      .poll(async () => {
        const data = new Uint8Array(GOSSIP_BYTES_MAX + 1).fill(attempts++)
        return (await raw.services.pubsub.publish(topic, data)).recipients.length
      }, eventually)
      .toBe(1)
    await expect.poll(() => a.network.score(identity(2).nodeId), eventually).toBeLessThan(-10)
    expect(a.heard).toEqual([])
    expect(a.network.peers()).toHaveLength(1)
  })

  it('is refused when it announces a request of 2 MiB, before it sent it', async () => {
    const a = make(1)
    let asked = 0
    a.handle('audit', async (request) => {
      asked++
      return request
    })
    await a.start()
    const raw = await rawHost(2)
    const connection = await raw.dial(a.addresses().map((address) => multiaddr(address)))
    const stream = await connection.newStream(protocolName(federationId, 'audit'))
    const closed = new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }))
    stream.send(Uint8Array.of(0x80, 0x80, 0x80, 0x01)) // 2 MiB as a varint
    await closed
    expect(stream.status).toBe('reset')
    expect(asked).toBe(0)
  })

  it('keeps its bad score when it leaves and comes back', async () => {
    const a = new Listener(make(1))
    await a.network.start()
    const b = make(2)
    await b.start()
    await b.connect(a.network.addresses())
    await untilHeard(b, [a])
    for (const text of ['reject 1', 'reject 2']) await b.publish('manifests', new TextEncoder().encode(text))
    await expect.poll(() => a.network.score(b.nodeId), eventually).toBeLessThan(-50)
    await b.stop()
    await expect.poll(() => a.network.peers(), eventually).toEqual([])
    const again = make(2)
    await again.start()
    await again.connect(a.network.addresses())
    await expect.poll(() => a.network.peers(), eventually).toHaveLength(1)
    expect(a.network.score(b.nodeId)).toBeLessThan(-50)
  })

  it('with a key that is not Ed25519 is not let in', async () => {
    const a = make(1)
    let seen = 0
    a.onPeer(() => seen++)
    await a.start()
    const stranger = await createLibp2p({
      privateKey: await generateKeyPair('secp256k1'),
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
    })
    ended.push(() => stranger.stop())
    // The dialler's half of the handshake may end before it is thrown out.
    const dialled = stranger.dial(a.addresses().map((address) => multiaddr(address)))
    await dialled.catch(() => {})
    await expect.poll(() => stranger.getConnections().length, eventually).toBe(0)
    expect(seen).toBe(0)
  })

  it('and speaks anything but libp2p does no harm', async () => {
    const a = make(1)
    await a.start()
    for (const text of ['GET / HTTP/1.0\r\n\r\n', '\u0000'.repeat(100_000)]) {
      const socket = connect({ host: '127.0.0.1', port: portOf(a.addresses()) })
      const closed = new Promise((resolve) => socket.on('close', resolve))
      socket.on('error', () => {})
      socket.end(text)
      await closed
    }
    const b = make(2)
    await b.start()
    expect(await b.connect(a.addresses())).toBe(true)
  })
})

describe('libp2p itself', () => {
  it('knows our identity by the same peer id', async () => {
    const host = await rawHost(5)
    expect(host.peerId.equals(peerIdFromString(identity(5).nodeId))).toBe(true)
  })
})

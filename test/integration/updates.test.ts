/** The exchange of updates between nodes (PROTOCOL 4), over the memory network. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { MemoryHub, MemoryNetwork } from '../../node/net/memory-network.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import type { Network } from '../../node/ports.ts'
import { keyOf, prefixOf } from '../../node/store/keyspace.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { openContradiction } from '../../protocol/manifest/trust.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { entries, shardsOf } from '../support/books.ts'
import { saying, testIdentity, Writer } from '../support/records.ts'
import { deafened, started, stopAll, Updater } from '../support/updaters.ts'

const eventually = { timeout: 10_000, interval: 10 }
afterEach(stopAll)

function memory(hub: MemoryHub, number: number): MemoryNetwork {
  return new MemoryNetwork({ hub, nodeId: testIdentity(number).nodeId, log: silentLog })
}

/** Somebody who is in the network and publishes what a test wants. */
async function stranger(hub: MemoryHub, number: number, near: Updater): Promise<MemoryNetwork> {
  const network = memory(hub, number)
  await network.start()
  await network.connect(near.network.addresses())
  return network
}

async function join(hub: MemoryHub, number: number, wrap = (network: Network): Network => network) {
  return started(new Updater(number, wrap(memory(hub, number))))
}

const link = (one: Updater, other: Updater) => one.network.connect(other.network.addresses())

describe('updates between nodes', () => {
  it('reach everybody by gossip, changes and heartbeats, through nodes in a line', async () => {
    const hub = new MemoryHub()
    const line = await Promise.all([0, 1, 2, 3].map((number) => join(hub, number)))
    const [a, b, c, d] = line as [Updater, Updater, Updater, Updater]
    await link(a, b)
    await link(b, c)
    await link(c, d)
    await a.say(saying({ entries: entries(3) }))
    await a.say(saying({ entries: entries(2, 1) }))
    await a.say(saying({ entries: entries(2, 1) }))
    await vi.waitFor(() => expect(d.exchange.book.get(a.node)?.sequence).toBe(3), eventually)
    expect(d.known()).toEqual(a.known())
    expect(d.toldOf(a.node)).toEqual(shardsOf(2, 1))
    expect(a.toldOf(a.node)).toEqual(shardsOf(2, 1))
  })

  it('are caught up with by a late joiner, small states and one of 10,000 entries', async () => {
    const hub = new MemoryHub()
    const early = await join(hub, 0)
    for (let number = 1; number <= 20; number++) {
      const writer = new Writer(number + 100)
      const other = new MemoryNetwork({ hub, nodeId: writer.node, log: silentLog })
      await other.start()
      await other.connect(early.network.addresses())
      await other.publish('manifests', writer.say(saying({ entries: entries(number) })).sealed)
      await vi.waitFor(() => expect(early.exchange.book.get(writer.node)).toBeDefined(), eventually)
      await other.stop()
    }
    await early.say(saying({ entries: entries(10_000) }))
    const late = await join(hub, 1)
    await link(late, early)
    await late.exchange.pull(early.node, true)
    expect(late.known()).toEqual(early.known())
    expect(late.toldOf(early.node)).toEqual(shardsOf(10_000))
  })

  it('too large for gossip are pulled by who hears of them', async () => {
    const hub = new MemoryHub()
    const [a, b, c] = (await Promise.all([0, 1, 2].map((number) => join(hub, number)))) as [
      Updater,
      Updater,
      Updater,
    ]
    await link(a, b)
    await link(b, c)
    await a.say(saying({ entries: entries(2_000) }))
    await vi.waitFor(() => expect(c.exchange.book.get(a.node)?.entries.size).toBe(2_000), eventually)
    expect(c.known()).toEqual(a.known())
  })

  it('that were lost leave a gap, which is filled from whoever knows', async () => {
    const hub = new MemoryHub()
    let deaf = false
    const a = await join(hub, 0)
    const b = await join(hub, 1, (network) => deafened(network, () => deaf))
    const c = await join(hub, 2)
    await link(a, b)
    await link(a, c)
    await link(b, c)
    await a.say(saying({ entries: entries(5) }))
    await vi.waitFor(() => expect(b.exchange.book.get(a.node)?.sequence).toBe(1), eventually)
    deaf = true
    await a.say(saying({ entries: entries(4) }))
    await vi.waitFor(() => expect(c.exchange.book.get(a.node)?.sequence).toBe(2), eventually)
    deaf = false
    await a.say(saying({ entries: entries(6, 1) }))
    await vi.waitFor(() => expect(b.exchange.book.get(a.node)?.sequence).toBe(3), eventually)
    expect(b.known()).toEqual(a.known())
    expect(b.toldOf(a.node)).toEqual(shardsOf(6, 1))
  })

  it('converge when a third of all gossip is lost', async () => {
    const hub = new MemoryHub()
    const nodes: Updater[] = []
    let count = 0
    // Every third message, by each receiver's own count: no chance, so a failure repeats.
    const lossy = (network: Network) => deafened(network, () => count++ % 3 === 2)
    for (let number = 0; number < 6; number++) nodes.push(await join(hub, number, lossy))
    for (const [i, one] of nodes.entries()) for (const other of nodes.slice(i + 1)) await link(one, other)
    for (let round = 0; round < 8; round++) {
      for (const [i, node] of nodes.entries()) {
        await node.say(saying({ entries: entries(3 + ((round * 7 + i) % 5), i + round) }))
      }
    }
    const visit = async () => {
      for (const [i, one] of nodes.entries()) {
        const peer = nodes[(i + 1) % nodes.length]
        if (peer !== undefined) await one.exchange.pull(peer.node, false)
      }
      for (const node of nodes) expect(node.known()).toEqual(nodes[0]?.known())
    }
    await vi.waitFor(visit, eventually)
    for (const reader of nodes) {
      for (const [i, writer] of nodes.entries()) {
        expect(reader.toldOf(writer.node)).toEqual(shardsOf(3 + ((7 * 7 + i) % 5), i + 7))
      }
    }
  })

  it('of two halves meet after a partition', async () => {
    const hub = new MemoryHub()
    const nodes = await Promise.all([0, 1, 2, 3].map((number) => join(hub, number)))
    const [a, b, c, d] = nodes as [Updater, Updater, Updater, Updater]
    await link(a, b)
    await link(c, d)
    for (const [i, node] of nodes.entries()) await node.say(saying({ entries: entries(2, 5 * i) }))
    await vi.waitFor(() => expect(Object.keys(b.known())).toHaveLength(2), eventually)
    await vi.waitFor(() => expect(Object.keys(d.known())).toHaveLength(2), eventually)
    await link(b, c)
    await b.exchange.pull(c.node, true)
    await c.exchange.pull(b.node, true)
    expect(b.known()).toEqual(c.known())
    // The news of the other half is no gossip; the ends get it when they visit.
    await a.exchange.pull(b.node, false)
    await d.exchange.pull(c.node, false)
    for (const node of nodes) expect(node.known()).toEqual(b.known())
    expect(Object.keys(a.known())).toHaveLength(4)
  })

  it('that contradict each other are proven to both sides, and cost nobody score', async () => {
    const hub = new MemoryHub()
    const nodes = await Promise.all([0, 1, 2].map((number) => join(hub, number)))
    const [a, b, c] = nodes as [Updater, Updater, Updater]
    await link(a, b)
    await link(b, c)
    const two = [new Writer(50), new Writer(50)] as const
    const [liar, otherLiar] = await Promise.all([stranger(hub, 60, a), stranger(hub, 61, c)])
    await liar.publish('manifests', two[0].say(saying({ entries: entries(1) })).sealed)
    await otherLiar.publish('manifests', two[1].say(saying({ entries: entries(2) })).sealed)
    for (const node of nodes) {
      await vi.waitFor(() => expect(node.contradictions).toHaveLength(1), eventually)
      const [found] = node.contradictions
      expect(found?.node).toBe(two[0].node)
      if (found !== undefined) expect(openContradiction(...found.proof, verifyEd25519)).not.toBeNull()
    }
    expect(b.network.score(a.node)).toBeCloseTo(0)
    expect(b.network.score(c.node)).toBeCloseTo(0)
  })

  it('that nobody can sign are rejected at the first hop', async () => {
    const hub = new MemoryHub()
    const [a, b] = (await Promise.all([0, 1].map((number) => join(hub, number)))) as [Updater, Updater]
    await link(a, b)
    const forger = await stranger(hub, 70, a)
    const forged = new Writer(70).say(saying()).sealed.with(120, 0)
    await forger.publish('manifests', forged)
    await vi.waitFor(() => expect(a.network.score(forger.nodeId)).toBeLessThan(0), eventually)
    expect(Object.keys(b.known())).toEqual([])
    expect(b.network.score(a.node)).toBeCloseTo(0)
  })

  it('of a node that says too much are not handed on, and what is lacking is pulled', async () => {
    const hub = new MemoryHub()
    const a = await started(new Updater(0, memory(hub, 0), { publishMinMs: 60_000 }))
    let handedOn = 0
    const b = await join(hub, 1, (network) => deafened(network, () => handedOn++ < 0))
    await link(a, b)
    const flooder = await stranger(hub, 70, a)
    const writer = new Writer(70)
    for (let i = 0; i < 100; i++) {
      await flooder.publish('manifests', writer.say(saying({ entries: entries(i) })).sealed)
    }
    const last = writer.last?.sequence
    await vi.waitFor(() => expect(a.exchange.book.get(writer.node)?.sequence).toBe(last), eventually)
    await vi.waitFor(() => expect(handedOn).toBeGreaterThanOrEqual(8), eventually)
    expect(handedOn).toBeLessThanOrEqual(9)
    await b.exchange.pull(a.node, false)
    expect(b.known()).toEqual(a.known())
  })

  it('outlast a restart, and what is damaged on disk is left out', async () => {
    const hub = new MemoryHub()
    const store = createMemoryStore()
    const first = new Updater(0, memory(hub, 0), { store })
    await first.network.start()
    const other = await join(hub, 1)
    await link(first, other)
    await other.say(saying({ entries: entries(30) }))
    await vi.waitFor(() => expect(first.exchange.book.get(other.node)).toBeDefined(), eventually)
    await other.say(saying({ entries: entries(29) }))
    await vi.waitFor(() => expect(first.exchange.book.get(other.node)?.sequence).toBe(2), eventually)
    await first.say(saying({ entries: entries(3) }))
    const known = first.known()
    await first.exchange.stop()
    await first.network.stop()

    const second = new Updater(0, memory(new MemoryHub(), 0), { store })
    await second.exchange.restore()
    expect(second.known()).toEqual(known)
    expect(second.toldOf(other.node)).toEqual(shardsOf(29))
    await second.exchange.stop()

    const buckets: string[] = []
    for await (const { key } of store.list(prefixOf('recordBuckets'))) buckets.push(key)
    const mine = buckets.find((key) => key.includes(other.node)) ?? ''
    await store.batch([{ type: 'del', key: mine }])
    const third = new Updater(0, memory(new MemoryHub(), 0), { store })
    await third.exchange.restore()
    expect(Object.keys(third.known())).toEqual([first.node])
    expect(await store.get(keyOf('records', other.node))).toBeNull()
    await third.exchange.stop()
  })

  it('of a node that lost its state go on above what others remember', async () => {
    const hub = new MemoryHub()
    const other = await join(hub, 1)
    const first = new Updater(0, memory(hub, 0))
    await first.network.start()
    await link(first, other)
    for (let i = 0; i < 5; i++) await first.say(saying({ entries: entries(i) }))
    await vi.waitFor(() => expect(other.exchange.book.get(first.node)?.sequence).toBe(5), eventually)
    await first.network.stop()
    const second = await join(hub, 0)
    await link(second, other)
    await second.exchange.pull(other.node, true)
    expect(second.aheads).toEqual([5])
    second.sequence = 6
    await second.say(saying({ entries: entries(2, 9) }))
    await vi.waitFor(() => expect(other.exchange.book.get(first.node)?.sequence).toBe(6), eventually)
    expect(other.toldOf(first.node)).toEqual(shardsOf(2, 9))
  })

  it('that are forgotten are gone from disk, too', async () => {
    const hub = new MemoryHub()
    const [a, b] = (await Promise.all([0, 1].map((number) => join(hub, number)))) as [Updater, Updater]
    await link(a, b)
    await b.say(saying({ entries: entries(3) }))
    await vi.waitFor(() => expect(a.exchange.book.get(b.node)).toBeDefined(), eventually)
    a.exchange.forget(b.node)
    await a.exchange.stop()
    for (const space of ['records', 'recordBuckets'] as const) {
      for await (const { key } of a.store.list(prefixOf(space))) expect(key).not.toContain(b.node)
    }
  })
})

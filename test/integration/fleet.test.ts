/** Up to 30 real nodes over libp2p on loopback: what PROTOCOL 4 and 10 promise, with real sockets and real time. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { SCORE_THRESHOLDS } from '../../node/net/rules.ts'
import { KeptStore } from '../../node/store/kept.ts'
import type { Kept } from '../../protocol/core/kept.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { GOSSIP_BYTES_MAX, NODE_UPDATE_BYTES_MAX, STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import { testShard } from '../support/cores.ts'
import { agreed, Fleet, spreadMs } from '../support/fleet.ts'
import type { FleetNode } from '../support/fleet-node.ts'
import { Flooder } from '../support/flooder.ts'
import { keptOf, ownRow } from '../support/kept.ts'

vi.setConfig({ testTimeout: 60_000 })
const eventually = { timeout: 30_000, interval: 50 }

let fleet: Fleet | null = null
afterEach(async () => {
  const ended = fleet
  fleet = null
  await ended?.stop()
})

async function newFleet(...options: Parameters<typeof Fleet.create>): Promise<Fleet> {
  fleet = await Fleet.create(...options)
  return fleet
}

const until = (what: () => boolean, message: string) =>
  vi.waitFor(() => expect(what(), message).toBe(true), eventually)

/** The ledger and the book of `one` say that all of these are live, with the very same states. */
const livesIn = (one: FleetNode, nodes: readonly FleetNode[]) =>
  nodes.every(({ node }) => one.state.ledger.standing(node, Date.now()) === 'live')

const allLive = (nodes: readonly FleetNode[]) => nodes.every((one) => livesIn(one, nodes))

/** Holders of each shard, as the nodes themselves know. */
const held = (fleet: Fleet): number[] =>
  fleet.shards.map(({ key }) => fleet.up.filter((one) => one.state.own.get(key)?.state === 'held').length)

const everyShardHas = (count: number, fleet: Fleet) => held(fleet).every((one) => one >= count)

describe('a fleet of nodes over libp2p', () => {
  it('of 30 that know one address finds together: every ledger knows everybody, with the same digests', async () => {
    const fleet = await newFleet({ parameters: { renewMs: 10_000, ttlMs: 30_000, antiEntropyMs: 6_000 } })
    await fleet.add(30)
    await until(() => allLive(fleet.nodes) && agreed(fleet.nodes), 'all know all')
    for (const node of fleet.nodes) {
      expect(Object.keys(node.known())).toHaveLength(30)
      // All of them are behind one address, as three nodes of a home are, which costs nobody anything.
      for (const other of fleet.nodes)
        if (other !== node) expect(node.network.score(other.node)).toBeGreaterThanOrEqual(0)
    }
  })

  it('takes over what a leaving node has, before it lets go', async () => {
    const fleet = await newFleet({ shards: 4 })
    await fleet.add(5)
    await until(() => everyShardHas(3, fleet), 'three copies of each')
    const leaver = fleet.nodes.find((one) => one.state.own.size > 0)
    if (leaver === undefined) throw new Error('nobody holds anything')
    const others = fleet.nodes.filter((one) => one !== leaver)
    leaver.dispatch({ kind: 'leave' })
    await until(() => leaver.state.own.size === 0, 'it let go of everything')
    for (const { key } of fleet.shards) {
      const holders = others.filter((one) => one.state.own.get(key)?.state === 'held')
      expect(holders.length, key).toBeGreaterThanOrEqual(3)
    }
    await until(
      () =>
        others.every((one) => {
          const record = one.updates.book.get(leaver.node)
          return record?.entries.size === 0 && record.head.capacity.bytesTotal === 0
        }),
      'all know that it offers nothing',
    )
  })

  it('misses a killed node once its ttl is over, and makes its copies anew when it does not come back', async () => {
    const parameters = { ttlMs: 3_000, renewMs: 1_000, restMs: 3_000 }
    const fleet = await newFleet({ shards: 3, parameters: { ...parameters, clockSkewMs: 500 } })
    await fleet.add(5)
    await until(() => everyShardHas(3, fleet) && agreed(fleet.up), 'three copies of each')
    const lost = fleet.nodes.find((one) => one.state.own.size > 0)
    if (lost === undefined) throw new Error('nobody holds anything')
    const standing = (one: FleetNode) => one.state.ledger.standing(lost.node, Date.now())
    const { node } = lost
    await fleet.kill(lost)
    for (const one of fleet.up) expect(standing(one)).toBe('live')
    await until(() => fleet.up.every((one) => standing(one) === 'resting'), 'it rests')
    await until(() => fleet.up.every((one) => standing(one) === 'absent'), 'it is absent')
    await until(() => everyShardHas(3, fleet), 'three copies of each, without it')
    for (const one of fleet.up) expect(one.network.peers().map((peer) => peer.nodeId)).not.toContain(node)
  })

  it('in two halves goes on in both, and agrees again when they meet', async () => {
    const fleet = await newFleet()
    await fleet.add(8)
    await until(() => allLive(fleet.nodes) && agreed(fleet.nodes), 'all know all')
    const halves = [fleet.nodes.slice(0, 4), fleet.nodes.slice(4)] as const
    const sideOf = (node: string) => (halves[0].some((one) => one.node === node) ? 0 : 1)
    fleet.admits = (a, b) => sideOf(a) === sideOf(b)
    fleet.sockets.cut()
    const apart = (one: FleetNode) => {
      const peers = one.network.peers()
      return peers.length > 0 && peers.every((peer) => sideOf(peer.nodeId) === sideOf(one.node))
    }
    await until(() => fleet.nodes.every(apart), 'nobody is connected with the other half')
    for (const [i, half] of halves.entries()) {
      const [one] = half
      if (one !== undefined) await spreadMs(one, half, 1e9 + i, 15_000)
    }
    expect(agreed(halves[0])).toBe(true)
    expect(agreed(fleet.nodes)).toBe(false)
    fleet.admits = () => true
    const startMs = performance.now()
    await until(() => agreed(fleet.nodes), 'both halves agree')
    expect(performance.now() - startMs).toBeLessThan(20_000)
    for (const [i, [one]] of halves.entries()) {
      const told = fleet.nodes.map(
        (other) => one && other.updates.book.get(one.node)?.head.capacity.bytesTotal,
      )
      expect(new Set(told)).toEqual(new Set([1e9 + i]))
    }
  })

  it('catches a late joiner up, 10,000 entries of one node too, in answers below 1 MiB', async () => {
    const fleet = await newFleet({ shards: 3 })
    await fleet.add(4)
    const [big] = await fleet.add(1, (node) => {
      // Full: a node may not say more than 10,000 entries.
      node.bytesTotal = 1e10
      return new KeptStore(node.store).save(holderOf(10_000))
    })
    await until(() => everyShardHas(3, fleet) && agreed(fleet.nodes), 'all know all')
    const [late] = await fleet.add(1)
    if (big === undefined || late === undefined) throw new Error('not started')
    await until(
      () => agreed(fleet.nodes) && late.state.shards.size === 3,
      'the late one knows what the others know, and the catalog',
    )
    const record = late.updates.book.get(big.node)
    expect(record?.entries.size).toBe(10_000)
    const pulls = fleet.nodes.flatMap((one) => one.network.pulls)
    expect(Math.max(...pulls.map((pull) => pull.answerBytes))).toBeLessThanOrEqual(STREAM_MESSAGE_BYTES_MAX)
    const lateBytes = late.network.pulls.reduce((sum, pull) => sum + pull.answerBytes, 0)
    expect(lateBytes, 'more than one answer holds').toBeGreaterThan(STREAM_MESSAGE_BYTES_MAX)
    expect(Math.max(...big.network.published), 'gossip names it, and does not carry it').toBeLessThanOrEqual(
      NODE_UPDATE_BYTES_MAX,
    )
  })

  it('refuses to gossip more than 1 MiB before anything is sent, and goes on', async () => {
    const fleet = await newFleet()
    const [a, b, c] = await fleet.add(3)
    if (a === undefined || b === undefined || c === undefined) throw new Error('not started')
    await until(() => allLive(fleet.nodes) && agreed(fleet.nodes), 'all know all')
    const before = fleet.sockets.receivedBytes
    const message = new Uint8Array(GOSSIP_BYTES_MAX + 1)
    await expect(a.network.publish('manifests', message)).rejects.toThrow(RangeError)
    await spreadMs(a, [b, c], 2e9, 15_000)
    expect(fleet.sockets.receivedBytes - before).toBeLessThan(GOSSIP_BYTES_MAX / 2)
    for (const one of [b, c]) expect(one.network.score(a.node)).toBeGreaterThanOrEqual(0)
  })

  it('silences a peer that floods it, and is not slowed down by it', async () => {
    const fleet = await newFleet()
    await fleet.add(8)
    await until(() => allLive(fleet.nodes) && agreed(fleet.nodes), 'all know all')
    const quietMs = await medianSpreadMs(fleet)
    const flooder = new Flooder(200)
    try {
      await flooder.join(fleet)
      flooder.start()
      await until(() => isSilenced(fleet, flooder), 'nobody hears it any more')
      const before = flooder.sent
      const floodedMs = await medianSpreadMs(fleet)
      console.info(
        `a change was everywhere after ${Math.round(quietMs)} ms, under a flood after ${Math.round(floodedMs)} ms, with ${flooder.sent - before} messages at the same time`,
      )
      expect(flooder.sent - before).toBeGreaterThan(200)
      expect(floodedMs).toBeLessThan(Math.max(3 * quietMs, 1_500))
      // What it says well now is not heard either: an honest word that is said later is everywhere first.
      await flooder.stop()
      await flooder.sayWell()
      await medianSpreadMs(fleet)
      for (const one of fleet.nodes) expect(one.updates.book.get(flooder.node)).toBeUndefined()
      for (const one of fleet.nodes)
        for (const other of fleet.nodes)
          if (one !== other) expect(one.network.score(other.node)).toBeGreaterThanOrEqual(0)
    } finally {
      await flooder.end()
    }
  })

  it('has a node that was killed and starts again back within 10 s', async () => {
    const fleet = await newFleet({ shards: 2 })
    await fleet.add(6)
    await until(() => everyShardHas(3, fleet) && agreed(fleet.nodes), 'three copies of each')
    const one = fleet.nodes.find((node) => node.state.own.size > 0)
    if (one === undefined) throw new Error('nobody holds anything')
    const owned = [...one.state.own.keys()].sort()
    const others = fleet.nodes.filter((other) => other !== one)
    await fleet.kill(one)
    await until(
      () => others.every((other) => other.network.peers().every((peer) => peer.nodeId !== one.node)),
      'all lost it',
    )
    const startMs = performance.now()
    await one.start([])
    expect([...one.state.own.keys()].sort()).toEqual(owned)
    await until(() => one.network.peers().length === others.length, 'it is connected with all')
    await spreadMs(one, others, 3e9, 15_000)
    expect(performance.now() - startMs).toBeLessThan(10_000)
    await until(() => agreed(fleet.nodes), 'all agree')
  })
})

/** A node that holds so many shards, none of which are in the fleet's catalog. */
function holderOf(count: number): Kept {
  return keptOf(
    Array.from({ length: count }, (_, i) => {
      const shard = testShard(`x${i}wiki`)
      const infohash = shard.digest.slice(0, 40) as Infohash
      return ownRow(shard, { state: 'held', infohash, sinceMs: 1, doneBytes: shard.sizeBytes })
    }),
  )
}

/**
 * What a peer that is heard sends lowers its score further. gossipsub hears a peer of good score for a second or 128 messages
 * before it looks again, at a score that may be a second old.
 */
const UNHEARD_MS = 3_000
const seenScores = new Map<FleetNode, { score: number; atMs: number }>()
function isSilenced(fleet: Fleet, flooder: Flooder): boolean {
  const verdicts = fleet.nodes.map((one) => {
    const score = one.network.score(flooder.node)
    const seen = seenScores.get(one)
    if (seen !== undefined && score >= seen.score)
      return score < SCORE_THRESHOLDS.graylistThreshold && performance.now() - seen.atMs >= UNHEARD_MS
    seenScores.set(one, { score, atMs: performance.now() })
    return false
  })
  return verdicts.every((one) => one)
}

let capacity = 5e9
/** Of five changes, each at another node. */
async function medianSpreadMs(fleet: Fleet): Promise<number> {
  const times: number[] = []
  for (const from of fleet.nodes.slice(0, 5))
    times.push(await spreadMs(from, fleet.nodes, capacity++, 15_000))
  return times.sort((a, b) => a - b)[2] ?? 0
}

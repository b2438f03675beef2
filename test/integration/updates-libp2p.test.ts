/** The exchange of updates (PROTOCOL 4) over real connections on loopback. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Libp2pNetwork } from '../../node/net/network.ts'
import type { FederationId } from '../../protocol/ids.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { entries, shardsOf } from '../support/books.ts'
import { saying, testIdentity } from '../support/records.ts'
import { deafened, started, stopAll, Updater } from '../support/updaters.ts'

const eventually = { timeout: 10_000, interval: 10 }
afterEach(stopAll)

describe('over libp2p', () => {
  it('gossip, a gap and a catch-up of 3,000 entries work as over the memory network', async () => {
    const federationId = 'ab'.repeat(32) as FederationId
    const nodes: Updater[] = []
    let deaf = false
    let lost = 0
    const isLost = () => {
      if (deaf) lost++
      return deaf
    }
    for (const number of [0, 1]) {
      const network = new Libp2pNetwork({ identity: testIdentity(number), federationId, log: silentLog })
      nodes.push(await started(new Updater(number, number === 1 ? deafened(network, isLost) : network)))
    }
    const [a, b] = nodes as [Updater, Updater]
    await a.say(saying({ entries: entries(3_000) }))
    expect(await b.network.connect(a.network.addresses())).toBe(true)
    await b.exchange.pull(a.node, true)
    expect(b.known()).toEqual(a.known())
    // Gossip begins to flow when the two have told each other their topics.
    const gossips = async () => {
      await a.say(saying({ entries: entries(3_000 - a.sequence) }))
      await vi.waitFor(() => expect(b.known()).toEqual(a.known()), { timeout: 300, interval: 10 })
    }
    await vi.waitFor(gossips, eventually)
    deaf = true
    await a.say(saying({ entries: entries(5) }))
    await vi.waitFor(() => expect(lost).toBe(1), eventually)
    expect(b.known()).not.toEqual(a.known())
    deaf = false
    await a.say(saying({ entries: entries(6) }))
    await vi.waitFor(() => expect(b.known()).toEqual(a.known()), eventually)
    expect(b.toldOf(a.node)).toEqual(shardsOf(6))
  })
})

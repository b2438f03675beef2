import { afterEach, describe, expect, it } from 'vitest'
import { type HostIdentity, identityFromSeed } from '../../node/net/identity.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import { CatalogExchange } from '../../node/runtime/catalogs.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { Documents } from '../../node/runtime/documents.ts'
import { UpdateExchange } from '../../node/runtime/updates.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { encodeArchiveList } from '../../protocol/catalog/archive-list.ts'
import {
  CATALOG_INDEX_DOMAIN,
  CATALOG_INDEX_TYPE,
  encodeCatalogIndex,
  referenceOf,
} from '../../protocol/catalog/catalog.ts'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import type { Cycle, FederationId, NodeId } from '../../protocol/ids.ts'
import { nextUpdate } from '../../protocol/manifest/next-update.ts'
import type { NodeHead } from '../../protocol/manifest/node-head.ts'
import type { NodeRecord } from '../../protocol/manifest/node-record.ts'
import {
  encodeNodeUpdate,
  NODE_UPDATE_DOMAIN,
  NODE_UPDATE_TYPE,
} from '../../protocol/manifest/node-update.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { testShard } from '../support/cores.ts'

const FEDERATION = 'ab'.repeat(32) as FederationId
const networks: Libp2pNetwork[] = []
afterEach(async () => {
  for (const network of networks.splice(0)) await network.stop()
})

const identityOf = (byte: number): HostIdentity => identityFromSeed(new Uint8Array(32).fill(byte))

async function start(identity: HostIdentity): Promise<Libp2pNetwork> {
  const network = new Libp2pNetwork({ identity, federationId: FEDERATION, log: silentLog })
  networks.push(network)
  return network
}

/** A victim that listens to manifests and catalogs, and a peer of it that publishes what the test wants. */
async function meet(coordinators: readonly NodeId[] = []) {
  const victimIdentity = identityOf(1)
  const sender = identityOf(2)
  const heard: NodeRecord[] = []
  const probes: NodeRecord[] = []
  const catalogs: string[][] = []
  const archived: (readonly [string, number])[][] = []
  const victim = await start(victimIdentity)
  const exchange = new UpdateExchange({
    identity: victimIdentity,
    network: victim,
    store: createMemoryStore(),
    clock: systemClock,
    log: silentLog,
    parameters: () => ({ clockSkewMs: 300_000, goneMs: 14 * 86_400_000, publishMinMs: 1 }),
    heard: (record) => (record.head.operator === 'probe' ? probes : heard).push(record),
    contradicted: () => {},
    ahead: () => {},
  })
  const store = createMemoryStore()
  const catalogExchange = new CatalogExchange({
    network: victim,
    store,
    documents: new Documents({ network: victim, store, log: silentLog }),
    log: silentLog,
    coordinators: new Set(coordinators),
    changed: (facts) => {
      catalogs.push(facts.shards.map((shard) => shard.id))
      archived.push([...facts.archived])
    },
  })
  const peer = await start(sender)
  peer.onGossip('manifests', () => 'accept')
  peer.onGossip('catalogs', () => 'accept')
  await victim.start()
  await peer.start()
  expect(await peer.connect(victim.addresses())).toBe(true)
  // Gossip needs a moment after the connection stands, and the same bytes are never sent twice: fresh manifests until one
  // is heard.
  let sequence = 0
  await expect
    .poll(
      async () => {
        sequence++
        await peer.publish('manifests', seal(sender, own(sender, { sequence, operator: 'probe' })))
        return probes.length
      },
      { timeout: 15_000, interval: 100 },
    )
    .toBeGreaterThan(0)
  return { victim, peer, sender, heard, catalogs, archived, exchange, catalogExchange }
}

const seal = (by: HostIdentity, payload: Uint8Array) => by.seal(NODE_UPDATE_DOMAIN, NODE_UPDATE_TYPE, payload)

function own(by: HostIdentity, said: { sequence?: number; operator?: string } = {}): Uint8Array {
  const head: NodeHead = {
    parameters: 'test',
    capacity: { bytesTotal: 1e12, bytesUsed: 0, claimsMax: 8 },
    agent: 'test',
    operator: said.operator ?? '',
    languages: [],
    endpoints: { libp2p: [], bittorrent: [] },
    reachable: true,
  }
  const { sequence = 1 } = said
  const when = { sequence, issuedAtMs: Date.now(), ttlMs: 60_000 }
  const { update } = nextUpdate(null, {
    node: by.nodeId,
    ...when,
    head,
    entries: [],
    refuted: [],
    audits: [],
  })
  return encodeNodeUpdate(update)
}

async function publish(
  network: Libp2pNetwork,
  topic: 'manifests' | 'catalogs',
  data: Uint8Array,
): Promise<void> {
  expect(await network.publish(topic, data)).toBeGreaterThan(0)
}

describe('an update that no honest node would send', () => {
  it('with a bad signature changes nothing and costs the sender score', async () => {
    const { victim, peer, sender, heard } = await meet()
    const sealed = seal(sender, own(sender))
    sealed[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 1
    await publish(peer, 'manifests', sealed)
    await expect.poll(() => victim.score(sender.nodeId)).toBeLessThan(0)
    expect(heard).toEqual([])
  })

  it('with ../../x in a shard name changes nothing and costs the sender score', async () => {
    const { victim, peer, sender, heard } = await meet()
    const honest = decodeCbor(own(sender, { sequence: 10_000 }), 'update', 100_000) as Record<string, unknown>
    const entry = [`dumps/../../x/20260101@${'ab'.repeat(32)}`, 1, null, 16, 1]
    const payload = encodeCbor({ ...honest, set: [entry] })
    await publish(peer, 'manifests', seal(sender, payload))
    await expect.poll(() => victim.score(sender.nodeId)).toBeLessThan(0)
    expect(heard).toEqual([])
  })

  it('that is only old is ignored: nothing changes and nobody loses score', async () => {
    const { victim, peer, sender, heard } = await meet()
    await publish(peer, 'manifests', seal(sender, own(sender, { sequence: 10_000, operator: 'new' })))
    await expect.poll(() => heard.length).toBe(1)
    const before = victim.score(sender.nodeId)
    await publish(peer, 'manifests', seal(sender, own(sender, { sequence: 9_999, operator: 'old' })))
    await publish(peer, 'manifests', seal(sender, own(sender, { sequence: 10_001, operator: 'newest' })))
    await expect.poll(() => heard.length).toBe(2)
    expect(heard.map((record) => record.head.operator)).toEqual(['new', 'newest'])
    expect(victim.score(sender.nodeId)).toBeGreaterThanOrEqual(Math.min(0, before))
  })
})

describe('a catalog', () => {
  it('index that no coordinator signed changes nothing and costs the sender score', async () => {
    const { victim, peer, sender, catalogs } = await meet([identityOf(4).nodeId])
    const index = {
      coordinator: sender.nodeId,
      sequence: 1,
      issuedAtMs: 1,
      readAtMs: 1,
      catalogs: [],
      archives: [],
      operators: [],
    }
    const sealed = sender.seal(CATALOG_INDEX_DOMAIN, CATALOG_INDEX_TYPE, encodeCatalogIndex(index))
    await publish(peer, 'catalogs', sealed)
    await expect.poll(() => victim.score(sender.nodeId)).toBeLessThan(0)
    expect(catalogs.flat()).toEqual([])
  })

  it('with ../../x as a file name is refused, even from a coordinator', async () => {
    const coordinator = identityOf(2)
    const { peer, sender, catalogs } = await meet([coordinator.nodeId])
    const evil = encodeCbor({
      cycle: '2026-01',
      shards: [
        {
          id: 'dumps/tenwiki/20260101',
          bundle: 1,
          files: [['20260101/../../x', 5, { md5: 'ab'.repeat(16) }]],
          status: '{}\n',
        },
      ],
    })
    const reference = referenceOf('2026-01' as never, evil)
    let asked = 0
    peer.handle('catalog', async () => {
      asked++
      return evil
    })
    const index = {
      coordinator: sender.nodeId,
      sequence: 1,
      issuedAtMs: 1,
      readAtMs: 1,
      catalogs: [reference],
      archives: [],
      operators: [],
    }
    await publish(
      peer,
      'catalogs',
      sender.seal(CATALOG_INDEX_DOMAIN, CATALOG_INDEX_TYPE, encodeCatalogIndex(index)),
    )
    await expect.poll(() => asked).toBeGreaterThan(0)
    await expect.poll(() => catalogs.length).toBeGreaterThan(0)
    expect(catalogs.flat()).toEqual([])
  })

  it('index with a list of what is archived is acted on when the list has the signed sha256, and not before', async () => {
    const coordinator = identityOf(2)
    const { peer, sender, archived } = await meet([coordinator.nodeId])
    const cycle = '2026-01' as Cycle
    const shard = testShard('tenwiki').key
    const list = (verifiedAtMs: number) => encodeArchiveList({ cycle, verified: [{ shard, verifiedAtMs }] })
    const served = new Map<string, Uint8Array>()
    let asked = 0
    peer.handle('catalog', async (request) => {
      asked++
      const { sha256 } = decodeCbor(request, 'request', 4_096) as { sha256: string }
      return served.get(sha256) ?? list(5)
    })
    const tell = async (sequence: number, bytes: Uint8Array) => {
      const index = {
        coordinator: sender.nodeId,
        sequence,
        issuedAtMs: 1,
        readAtMs: 1,
        catalogs: [],
        archives: [referenceOf(cycle, bytes)],
        operators: [],
      }
      await publish(
        peer,
        'catalogs',
        sender.seal(CATALOG_INDEX_DOMAIN, CATALOG_INDEX_TYPE, encodeCatalogIndex(index)),
      )
    }
    const good = list(7)
    served.set(referenceOf(cycle, good).sha256, good)
    await tell(1, good)
    await expect.poll(() => archived.at(-1)).toEqual([[shard, 7]])
    // Of the next one other bytes come than were signed: what was known stays.
    asked = 0
    await tell(2, list(9))
    await expect.poll(() => asked).toBeGreaterThan(0)
    const heardOf = archived.length
    await expect.poll(() => archived.length).toBeGreaterThanOrEqual(heardOf)
    expect(
      archived
        .slice(1)
        .flat()
        .every(([, atMs]) => atMs === 7),
    ).toBe(true)
    expect(archived.at(-1)).toEqual([[shard, 7]])
  })
})

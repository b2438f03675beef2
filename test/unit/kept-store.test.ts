import { describe, expect, it } from 'vitest'
import type { Store, StoreOperation } from '../../node/ports.ts'
import { KeptStore } from '../../node/store/kept.ts'
import { keyOf } from '../../node/store/keyspace.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { encodeCbor } from '../../protocol/codec/cbor.ts'
import type { Kept } from '../../protocol/core/kept.ts'
import type { Infohash, NodeId } from '../../protocol/ids.ts'
import { shardToValue } from '../../protocol/shard/cut.ts'
import { testShard } from '../support/cores.ts'
import { NODES, NOW } from '../support/manifests.ts'

const [alice] = NODES as [NodeId]
const SHARDS = ['awiki', 'bwiki', 'cwiki'].map((wiki) => testShard(wiki))

function keptOf(state: 'claimed' | 'held' = 'held'): Kept {
  return {
    sequence: 7,
    own: SHARDS.map((shard) => ({
      shard,
      state,
      infohash: state === 'held' ? ('ab'.repeat(20) as Infohash) : null,
      sinceMs: NOW,
      doneBytes: 5,
      promisedUntilMs: 0,
      repairing: false,
      led: true,
      fromOriginBytes: 1,
      fromSwarmBytes: 2,
    })),
    refuted: [],
    audits: SHARDS.map((shard) => ({ shard: shard.key, node: alice, outcome: 'pass', atMs: NOW })),
    damages: [],
    observations: { observedAtMs: 0, counted: [] },
  }
}

/** What each save writes. */
function watched(): { store: Store; written: () => string[] } {
  const store = createMemoryStore()
  let written: StoreOperation[] = []
  return {
    store: {
      ...store,
      batch: async (operations) => {
        written = [...operations]
        await store.batch(operations)
      },
    },
    written: () => written.map(({ type, key }) => `${type} ${key}`),
  }
}

const KEPT = keyOf('own', 'kept')

describe('what the core keeps', () => {
  it('comes back as it was saved', async () => {
    const { store } = watched()
    await new KeptStore(store).save(keptOf())
    expect(await new KeptStore(store).load()).toEqual(keptOf())
  })

  it('is written row by row: only what changed since the last save, or since it was loaded', async () => {
    const { store, written } = watched()
    const kept = keptOf('claimed')
    const first = new KeptStore(store)
    await first.save(kept)
    expect(written()).toHaveLength(SHARDS.length * 2 + 1)
    const one = { ...keptOf().own[1] } as Kept['own'][number]
    const row = `put ${keyOf('ownEntries', one.shard.key)}`
    const changed = { ...kept, own: kept.own.with(1, one) }
    await first.save(changed)
    expect(written()).toEqual([row, `put ${KEPT}`])
    const second = new KeptStore(store)
    await second.load()
    await second.save(changed)
    expect(written()).toEqual([`put ${KEPT}`])
    await second.save({ ...changed, audits: changed.audits.map((audit) => ({ ...audit, atMs: NOW + 1 })) })
    expect(written()).toHaveLength(SHARDS.length + 1)
  })

  it('loses the rows of what is let go, also when nobody loaded it before', async () => {
    const { store, written } = watched()
    await new KeptStore(store).save(keptOf())
    const less = { ...keptOf(), own: keptOf().own.slice(1), audits: [] }
    await new KeptStore(store).save(less)
    expect(written().filter((line) => line.startsWith('del'))).toHaveLength(1 + SHARDS.length)
    expect(await new KeptStore(store).load()).toEqual(less)
  })

  it('is taken over from a build that wrote all of it as one value, and split by the next save', async () => {
    const { store, written } = watched()
    const kept = keptOf()
    const value = encodeCbor({
      ...kept,
      own: kept.own.map((own) => ({ ...own, shard: shardToValue(own.shard) })),
    })
    await store.batch([{ type: 'put', key: KEPT, value }])
    const taken = new KeptStore(store)
    expect(await taken.load()).toEqual(kept)
    await taken.save(kept)
    expect(written()).toHaveLength(SHARDS.length * 2 + 1)
    expect(await new KeptStore(store).load()).toEqual(kept)
  })

  it('refuses a row that is not one of ours', async () => {
    const { store } = watched()
    await new KeptStore(store).save(keptOf())
    const key = keyOf('ownEntries', (SHARDS[0] as (typeof SHARDS)[0]).key)
    await store.batch([{ type: 'put', key, value: encodeCbor({ state: 'held' }) }])
    await expect(new KeptStore(store).load()).rejects.toThrow(key)
  })
})

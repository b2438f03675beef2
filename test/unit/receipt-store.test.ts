import { describe, expect, it } from 'vitest'
import type { Log, Store } from '../../node/ports.ts'
import { keyOf, prefixOf } from '../../node/store/keyspace.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { type Failure, ReceiptStore } from '../../node/store/receipts.ts'
import { decodeReceipt, encodeReceipt, type Receipt } from '../../protocol/audit/receipt.ts'
import { encodeCbor } from '../../protocol/codec/cbor.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { testIdentity, testKey } from '../support/records.ts'

const [node, auditor, other] = [testIdentity(1).nodeId, testIdentity(2).nodeId, testIdentity(3).nodeId]
const receiptOf = (number: number): Receipt => ({
  challenge: Uint8Array.of(1, number),
  answer: Uint8Array.of(2, number),
})
const failureOf = (number: number, atMs: number): Failure => ({ shard: testKey(number), node, auditor, atMs })

async function keysOf(store: Store, space: 'receipts' | 'failures'): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list(prefixOf(space))) keys.push(key)
  return keys
}

describe('receipts of failures', () => {
  it('are there again after a restart, the newest first, both messages as they were', async () => {
    const store = createMemoryStore()
    const before = await ReceiptStore.open(store, silentLog)
    for (const [number, atMs] of [
      [1, 500],
      [2, 900],
      [3, 700],
    ] as const)
      await before.keepFailure(failureOf(number, atMs), receiptOf(number))
    const after = await ReceiptStore.open(store, silentLog)
    for (const one of [before, after]) {
      expect(one.failures()).toEqual([failureOf(2, 900), failureOf(3, 700), failureOf(1, 500)])
      expect(await one.failure(testKey(3), node, auditor)).toEqual(receiptOf(3))
      expect(await one.failure(testKey(3), node, other)).toBeNull()
      expect(await one.failure(testKey(4), node, auditor)).toBeNull()
    }
  })

  it('are the newest of each replica and auditor, and outlive a later pass', async () => {
    const store = createMemoryStore()
    const receipts = await ReceiptStore.open(store, silentLog)
    await receipts.keepFailure(failureOf(1, 500), receiptOf(1))
    await receipts.keepFailure(failureOf(1, 600), receiptOf(2))
    await receipts.keepFailure({ ...failureOf(1, 550), auditor: other }, receiptOf(3))
    await receipts.keep(testKey(1), node, receiptOf(4))
    expect(receipts.failures()).toEqual([failureOf(1, 600), { ...failureOf(1, 550), auditor: other }])
    expect(await receipts.failure(testKey(1), node, auditor)).toEqual(receiptOf(2))
    expect(await receipts.failure(testKey(1), node, other)).toEqual(receiptOf(3))
  })

  it('are so many and no more: the oldest go, from disk too', async () => {
    const store = createMemoryStore()
    const max = { latest: 5, failures: 3 }
    const receipts = await ReceiptStore.open(store, silentLog, max)
    for (const [number, atMs] of [
      [1, 300],
      [2, 100],
      [3, 200],
      [4, 400],
    ] as const)
      await receipts.keepFailure(failureOf(number, atMs), receiptOf(number))
    const kept = [failureOf(4, 400), failureOf(1, 300), failureOf(3, 200)]
    expect(receipts.failures()).toEqual(kept)
    expect(await receipts.failure(testKey(2), node, auditor)).toBeNull()
    // One that is older than all that are kept is not kept.
    await receipts.keepFailure(failureOf(5, 50), receiptOf(5))
    // The same again takes nobody's place.
    await receipts.keepFailure(failureOf(4, 400), receiptOf(4))
    expect(receipts.failures()).toEqual(kept)
    expect(await keysOf(store, 'failures')).toHaveLength(3)
    expect((await ReceiptStore.open(store, silentLog, max)).failures()).toEqual(kept)
  })

  it('that are none are removed at the start, with a warning, and the others stay', async () => {
    const store = createMemoryStore()
    const receipts = await ReceiptStore.open(store, silentLog)
    await receipts.keepFailure(failureOf(1, 500), receiptOf(1))
    const bad = [
      [keyOf('failures', testKey(2), node, auditor), encodeCbor({ at: 1 })],
      [keyOf('failures', testKey(3), node, auditor), Uint8Array.of(1, 2, 3)],
      [
        keyOf('failures', testKey(4), node, auditor),
        encodeCbor({ at: 1, receipt: encodeCbor({ challenge: 'no', answer: 'no' }) }),
      ],
      [
        keyOf('failures', 'dumps', node, auditor),
        encodeCbor({ at: 1, receipt: encodeReceipt(receiptOf(1)) }),
      ],
    ] as const
    await store.batch(bad.map(([key, value]) => ({ type: 'put', key, value })))
    const warned: unknown[] = []
    const log: Log = { ...silentLog, warn: (facts) => void warned.push(facts) }
    const after = await ReceiptStore.open(store, log)
    expect(after.failures()).toEqual([failureOf(1, 500)])
    expect(warned).toHaveLength(bad.length)
    expect(await keysOf(store, 'failures')).toEqual([keyOf('failures', testKey(1), node, auditor)])
  })
})

describe('the latest receipt of each replica', () => {
  it('is kept as it was sealed, instead of the one before', async () => {
    const store = createMemoryStore()
    const receipts = await ReceiptStore.open(store, silentLog)
    await receipts.keep(testKey(1), node, receiptOf(1))
    await receipts.keep(testKey(1), node, receiptOf(2))
    await receipts.keep(testKey(1), other, receiptOf(3))
    const value = await store.get(keyOf('receipts', testKey(1), node))
    expect(decodeReceipt(value ?? new Uint8Array())).toEqual(receiptOf(2))
    expect(await keysOf(store, 'receipts')).toHaveLength(2)
  })

  it('gives way when there are too many: the longest unchanged goes, over a restart too', async () => {
    const store = createMemoryStore()
    const max = { latest: 3, failures: 5 }
    const before = await ReceiptStore.open(store, silentLog, max)
    for (const number of [1, 2, 3, 1, 4, 5]) await before.keep(testKey(number), node, receiptOf(number))
    const keyFor = (number: number) => keyOf('receipts', testKey(number), node)
    expect(await keysOf(store, 'receipts')).toEqual([1, 4, 5].map(keyFor))
    const after = await ReceiptStore.open(store, silentLog, max)
    await after.keep(testKey(0), node, receiptOf(0))
    expect(await keysOf(store, 'receipts')).toHaveLength(3)
    expect(await keysOf(store, 'receipts')).toContain(keyFor(0))
  })
})

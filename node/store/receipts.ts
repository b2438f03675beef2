/**
 * Receipts on disk (PROTOCOL 7): the latest of each replica that this node audited, judged or only witnessed; and beside them those
 * that prove a failure, its own and those of others that its own bytes confirmed. What proves a failure outlives a later pass.
 */
import { decodeReceipt, encodeReceipt, type Receipt } from '../../protocol/audit/receipt.ts'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { bytes, integer, record, ShapeError } from '../../protocol/codec/shape.ts'
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import { readNodeId, readShardKey } from '../../protocol/manifest/entry.ts'
import type { Log, Store } from '../ports.ts'
import { keyOf, partsOf, prefixOf } from './keyspace.ts'

/** Kept of each kind; of more the oldest go. One takes 2 to 8 KiB on disk. */
export const LATEST_MAX = 20_000
export const FAILURES_MAX = 10_000
const VALUE_BYTES_MAX = 64 * 1024

export interface Failure {
  readonly shard: ShardKey
  readonly node: NodeId
  readonly auditor: NodeId
  /** Unix ms. */
  readonly atMs: number
}

export interface ReceiptsMax {
  readonly latest: number
  readonly failures: number
}

export class ReceiptStore {
  readonly #store: Store
  readonly #max: ReceiptsMax
  /** Keys of the latest ones, the longest unchanged first; those of before the start stand in the order of their keys. */
  readonly #latest = new Set<string>()
  /** By key, in no order. */
  readonly #failures = new Map<string, Failure>()

  private constructor(store: Store, max: ReceiptsMax) {
    this.#store = store
    this.#max = max
  }

  /** Reads what is kept; a value that is none of ours is removed, with a warning. */
  static async open(
    store: Store,
    log: Log,
    max: ReceiptsMax = { latest: LATEST_MAX, failures: FAILURES_MAX },
  ): Promise<ReceiptStore> {
    const receipts = new ReceiptStore(store, max)
    for await (const { key } of store.list(prefixOf('receipts'))) receipts.#latest.add(key)
    for await (const { key, value } of store.list(prefixOf('failures'))) {
      try {
        receipts.#failures.set(key, { ...readParts(key), atMs: readFailure(value).atMs })
      } catch (error) {
        if (!(error instanceof ShapeError)) throw error
        log.warn({ key, error: error.message }, 'a stored receipt is not right')
        await store.batch([{ type: 'del', key }])
      }
    }
    return receipts
  }

  /** The newest first. */
  failures(): Failure[] {
    return [...this.#failures.values()].sort((a, b) => b.atMs - a.atMs)
  }

  /** The latest receipt of an audit of ours. */
  async keep(shard: ShardKey, node: NodeId, receipt: Receipt): Promise<void> {
    const key = keyOf('receipts', shard, node)
    this.#latest.delete(key)
    this.#latest.add(key)
    const [oldest] = this.#latest.size > this.#max.latest ? this.#latest : []
    if (oldest !== undefined) this.#latest.delete(oldest)
    await this.#put(key, encodeReceipt(receipt), oldest)
  }

  /** A receipt that proves what `auditor` found. */
  async keepFailure(failure: Failure, receipt: Receipt): Promise<void> {
    const { shard, node, auditor, atMs } = failure
    const key = keyOf('failures', shard, node, auditor)
    this.#failures.set(key, failure)
    const oldest = this.#failures.size > this.#max.failures ? this.#oldestFailure() : undefined
    if (oldest !== undefined) this.#failures.delete(oldest)
    await this.#put(key, encodeCbor({ at: atMs, receipt: encodeReceipt(receipt) }), oldest)
  }

  /** The receipt by which `auditor` proves that the replica failed, or null. */
  async failure(shard: ShardKey, node: NodeId, auditor: NodeId): Promise<Receipt | null> {
    const value = await this.#store.get(keyOf('failures', shard, node, auditor))
    return value === null ? null : readFailure(value).receipt
  }

  async #put(key: string, value: Uint8Array, gone: string | undefined): Promise<void> {
    const dels = gone === undefined ? [] : [{ type: 'del' as const, key: gone }]
    // In this order: one that is older than all that are kept goes again.
    await this.#store.batch([{ type: 'put', key, value }, ...dels])
  }

  #oldestFailure(): string | undefined {
    let oldest: [key: string, failure: Failure] | undefined
    for (const one of this.#failures) if (oldest === undefined || one[1].atMs < oldest[1].atMs) oldest = one
    return oldest?.[0]
  }
}

/** Throws ShapeError. */
function readParts(key: string): Omit<Failure, 'atMs'> {
  const [shard, node, auditor] = partsOf('failures', key)
  return {
    shard: readShardKey(shard, 'failure.shard'),
    node: readNodeId(node, 'failure.node'),
    auditor: readNodeId(auditor, 'failure.auditor'),
  }
}

/** Throws ShapeError. */
function readFailure(value: Uint8Array): { atMs: number; receipt: Receipt } {
  const fields = record(decodeCbor(value, 'failure', VALUE_BYTES_MAX), 'failure', ['at', 'receipt'])
  return {
    atMs: integer(fields.at, 'failure.at'),
    receipt: decodeReceipt(bytes(fields.receipt, 'failure.receipt', 1, VALUE_BYTES_MAX)),
  }
}

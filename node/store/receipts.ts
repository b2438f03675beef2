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

/** Failures kept; of more the oldest go. */
export const FAILURES_MAX = 10_000
const VALUE_BYTES_MAX = 64 * 1024

export interface Failure {
  readonly shard: ShardKey
  readonly node: NodeId
  readonly auditor: NodeId
  /** Unix ms. */
  readonly atMs: number
}

export class ReceiptStore {
  readonly #store: Store
  /** By key, in no order. */
  readonly #failures = new Map<string, Failure>()

  private constructor(store: Store) {
    this.#store = store
  }

  /** Reads what is kept; a value that is none of ours is removed, with a warning. */
  static async open(store: Store, log: Log): Promise<ReceiptStore> {
    const receipts = new ReceiptStore(store)
    for await (const { key, value } of store.list(prefixOf('failures'))) {
      try {
        const [shard, node, auditor] = partsOf('failures', key)
        const failure = {
          shard: readShardKey(shard, 'failure.shard'),
          node: readNodeId(node, 'failure.node'),
          auditor: readNodeId(auditor, 'failure.auditor'),
          atMs: readFailure(value).atMs,
        }
        receipts.#failures.set(key, failure)
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

  async keep(shard: ShardKey, node: NodeId, receipt: Receipt): Promise<void> {
    const key = keyOf('receipts', shard, node)
    await this.#store.batch([{ type: 'put', key, value: encodeReceipt(receipt) }])
  }

  /** The latest receipt of an audit of ours, or null. */
  async latest(shard: ShardKey, node: NodeId): Promise<Receipt | null> {
    const value = await this.#store.get(keyOf('receipts', shard, node))
    return value === null ? null : decodeReceipt(value)
  }

  /** A receipt that proves what `auditor` found. */
  async keepFailure(failure: Failure, receipt: Receipt): Promise<void> {
    const { shard, node, auditor, atMs } = failure
    const key = keyOf('failures', shard, node, auditor)
    const isNew = !this.#failures.has(key)
    const oldest = isNew && this.#failures.size >= FAILURES_MAX ? this.failures().at(-1) : undefined
    const value = encodeCbor({ at: atMs, receipt: encodeReceipt(receipt) })
    await this.#store.batch([
      { type: 'put', key, value },
      ...(oldest === undefined ? [] : [{ type: 'del' as const, key: keyOfFailure(oldest) }]),
    ])
    if (oldest !== undefined) this.#failures.delete(keyOfFailure(oldest))
    this.#failures.set(key, failure)
  }

  /** The receipt by which `auditor` proves that the replica failed, or null. */
  async failure(shard: ShardKey, node: NodeId, auditor: NodeId): Promise<Receipt | null> {
    const value = await this.#store.get(keyOf('failures', shard, node, auditor))
    return value === null ? null : readFailure(value).receipt
  }
}

const keyOfFailure = ({ shard, node, auditor }: Failure): string => keyOf('failures', shard, node, auditor)

function readFailure(value: Uint8Array): { atMs: number; receipt: Receipt } {
  const fields = record(decodeCbor(value, 'failure', VALUE_BYTES_MAX), 'failure', ['at', 'receipt'])
  return {
    atMs: integer(fields.at, 'failure.at'),
    receipt: decodeReceipt(bytes(fields.receipt, 'failure.receipt', 1, VALUE_BYTES_MAX)),
  }
}

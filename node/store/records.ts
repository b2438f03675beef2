/**
 * The records of all known nodes on disk: the newest sealed update and head of each, and its rows by bucket, so that a change
 * writes one bucket. Written behind: what a crash loses is pulled again from the others, and a record that is not what its
 * node signed is not believed after a restart (PROTOCOL 4).
 */
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { bytes, record as fieldsOf, ShapeError } from '../../protocol/codec/shape.ts'
import { isNodeId, type NodeId } from '../../protocol/ids.ts'
import { NODE_HEAD_BYTES_MAX, NODE_UPDATE_BYTES_MAX } from '../../protocol/limits.ts'
import { recordFromBuckets } from '../../protocol/manifest/apply-update.ts'
import {
  BUCKETS,
  type Bucket,
  bucketAt,
  decodeBucket,
  differingBuckets,
  EMPTY_BUCKET,
} from '../../protocol/manifest/bucket-digest.ts'
import { decodeHead, encodeHead } from '../../protocol/manifest/node-head.ts'
import type { NodeRecord } from '../../protocol/manifest/node-record.ts'
import type { NodeUpdate } from '../../protocol/manifest/node-update.ts'
import type { Opened } from '../../protocol/manifest/trust.ts'
import type { Store } from '../ports.ts'
import { keyOf, partsOf, prefixOf } from './keyspace.ts'

type Operation = Parameters<Store['batch']>[0][number]

/** The record to write, and the one that the disk has; null: none. */
interface Dirty {
  record: NodeRecord | null
}

export class RecordStore {
  readonly #store: Store
  readonly #failed: (error: unknown) => void
  /** What is on disk, as far as this process wrote or read it. */
  readonly #written = new Map<NodeId, NodeRecord>()
  readonly #dirty = new Map<NodeId, Dirty>()
  #writing: Promise<void> | null = null

  constructor(store: Store, failed: (error: unknown) => void) {
    this.#store = store
    this.#failed = failed
  }

  /** Everything that is there and right. What is not is removed, and named to `wrong`. */
  async *load(
    open: (sealed: Uint8Array) => Opened<NodeUpdate>,
    wrong: (key: string, why: string) => void,
  ): AsyncGenerator<NodeRecord> {
    for await (const { key, value } of this.#store.list(prefixOf('records'))) {
      const node = partsOf('records', key)[0] ?? ''
      if (!isNodeId(node)) continue
      try {
        const record = await this.#read(node, value, open)
        this.#written.set(node, record)
        yield record
      } catch (error) {
        if (!(error instanceof ShapeError)) throw error
        wrong(key, error.message)
        await this.#store.batch([{ type: 'del', key }, ...(await this.#removeBuckets(node))])
      }
    }
  }

  save(record: NodeRecord): void {
    this.#mark(record.node, record)
  }

  remove(node: NodeId): void {
    this.#mark(node, null)
  }

  /** Resolves when everything that was saved before is on disk, or failed. */
  async flushed(): Promise<void> {
    while (this.#writing !== null) await this.#writing
  }

  async #read(
    node: NodeId,
    value: Uint8Array,
    open: (sealed: Uint8Array) => Opened<NodeUpdate>,
  ): Promise<NodeRecord> {
    const fields = fieldsOf(decodeCbor(value, 'record', RECORD_BYTES_MAX), 'record', ['sealed', 'head'])
    const sealed = bytes(fields.sealed, 'record.sealed', 1, NODE_UPDATE_BYTES_MAX)
    const head = decodeHead(bytes(fields.head, 'record.head', 1, NODE_HEAD_BYTES_MAX))
    const opened = open(sealed)
    if (!opened.ok || opened.signer !== node) throw new ShapeError('record.sealed', `an update of ${node}`)
    const buckets = new Array<Bucket>(BUCKETS).fill(EMPTY_BUCKET)
    for await (const row of this.#store.list(bucketsOf(node))) {
      const number = Number(partsOf('recordBuckets', row.key)[1])
      buckets[number] = decodeBucket(row.value, number)
    }
    const record = recordFromBuckets(opened.value, sealed, head, buckets)
    if (record === null) throw new ShapeError('record', 'the state that its node signed')
    return record
  }

  #mark(node: NodeId, record: NodeRecord | null): void {
    this.#dirty.set(node, { record })
    // One batch at a time: what changes while one is written goes into the next together.
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null
    })
  }

  async #write(): Promise<void> {
    // Changes of the same turn go together, too.
    await Promise.resolve()
    while (this.#dirty.size > 0) {
      const dirty = [...this.#dirty]
      this.#dirty.clear()
      try {
        const operations: Operation[] = []
        for (const [node, { record }] of dirty) operations.push(...(await this.#operations(node, record)))
        await this.#store.batch(operations)
        for (const [node, { record }] of dirty) {
          if (record === null) this.#written.delete(node)
          else this.#written.set(node, record)
        }
      } catch (error) {
        this.#failed(error)
      }
    }
  }

  async #operations(node: NodeId, record: NodeRecord | null): Promise<Operation[]> {
    const key = keyOf('records', node)
    if (record === null) return [{ type: 'del', key }, ...(await this.#removeBuckets(node))]
    const known = this.#written.get(node)
    // Not known to be clean: rows of an older state may lie there.
    const operations: Operation[] = known === undefined ? await this.#removeBuckets(node) : []
    const numbers =
      known === undefined
        ? Array.from({ length: BUCKETS }, (_, i) => i)
        : differingBuckets(known.tree, record.tree)
    for (const number of numbers) {
      const bucket = bucketAt(record.tree, number)
      const at = bucketKey(node, number)
      if (bucket.bytes.length > 0) operations.push({ type: 'put', key: at, value: bucket.bytes })
      else if (known !== undefined) operations.push({ type: 'del', key: at })
    }
    const value = encodeCbor({ sealed: record.sealed, head: encodeHead(record.head) })
    return [...operations, { type: 'put', key, value }]
  }

  async #removeBuckets(node: NodeId): Promise<Operation[]> {
    const operations: Operation[] = []
    for await (const { key } of this.#store.list(bucketsOf(node))) operations.push({ type: 'del', key })
    return operations
  }
}

const RECORD_BYTES_MAX = NODE_UPDATE_BYTES_MAX + NODE_HEAD_BYTES_MAX + 1_024

const bucketKey = (node: NodeId, number: number): string =>
  keyOf('recordBuckets', node, String(number).padStart(3, '0'))

const bucketsOf = (node: NodeId): string => `${keyOf('recordBuckets', node)}|`

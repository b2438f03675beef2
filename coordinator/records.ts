/** What a coordinator remembers of each shard: accepted by the merge, kept at the Internet Archive. One JSON value a shard. */

import type { Store } from '../node/ports.ts'
import { type Keyspace, keyOf, partsOf, prefixOf } from '../node/store/keyspace.ts'
import { utf8FromBytes, utf8ToBytes } from '../protocol/codec/bytes.ts'
import { branded, integer, optional, type Reader, record, ShapeError, text } from '../protocol/codec/shape.ts'
import { type Infohash, isInfohash, isShardKey, type ShardKey } from '../protocol/ids.ts'

/** The merge accepted this infohash: we rebuilt it from bytes that match upstream (PROTOCOL 9.2). */
export interface Accepted {
  readonly infohash: Infohash
  readonly acceptedAtMs: number
}

export interface Archived {
  readonly item: string
  /** Where its files lie below without a redirect; null when the Archive does not say it, absent in rows of earlier builds. */
  readonly storage?: string | null
  readonly verifiedAtMs: number
}

/** A map that lives in the store: read once, written through. */
export class Records<T> {
  readonly #store: Store
  readonly #space: Keyspace
  readonly #rows = new Map<ShardKey, T>()

  private constructor(store: Store, space: Keyspace) {
    this.#store = store
    this.#space = space
  }

  /** Throws ShapeError when a stored row is not one of ours. */
  static async open<T>(store: Store, space: Keyspace, read: Reader<T>): Promise<Records<T>> {
    const records = new Records<T>(store, space)
    for await (const { key, value } of store.list(prefixOf(space))) {
      const [shard = ''] = partsOf(space, key)
      if (!isShardKey(shard)) throw new ShapeError(key, 'a shard key')
      records.#rows.set(shard, read(JSON.parse(utf8FromBytes(value) ?? ''), key))
    }
    return records
  }

  get(shard: ShardKey): T | undefined {
    return this.#rows.get(shard)
  }

  async set(shard: ShardKey, row: T): Promise<void> {
    const value = utf8ToBytes(JSON.stringify(row))
    await this.#store.batch([{ type: 'put', key: keyOf(this.#space, shard), value }])
    this.#rows.set(shard, row)
  }

  async delete(shard: ShardKey): Promise<void> {
    await this.#store.batch([{ type: 'del', key: keyOf(this.#space, shard) }])
    this.#rows.delete(shard)
  }
}

export const readAccepted: Reader<Accepted> = (value, path) => {
  const fields = record(value, path)
  return {
    infohash: branded(isInfohash, 'an infohash')(fields.infohash, `${path}.infohash`),
    acceptedAtMs: integer(fields.acceptedAtMs, `${path}.acceptedAtMs`),
  }
}

const storageText: Reader<string> = (value, path) => text(value, path, 512)

export const readArchived: Reader<Archived> = (value, path) => {
  const fields = record(value, path)
  const storage = fields.storage === null ? null : optional(fields.storage, `${path}.storage`, storageText)
  return {
    item: text(fields.item, `${path}.item`, 100),
    ...(storage === undefined ? {} : { storage }),
    verifiedAtMs: integer(fields.verifiedAtMs, `${path}.verifiedAtMs`),
  }
}

/**
 * Numbers for names: shard keys, node ids and operators are long, and a ledger holds each many times. A process has one set of
 * names for all its ledgers (a simulator: for thousands of them). Numbers mean nothing outside the process.
 */
import type { NodeId, ShardKey } from '../ids.ts'

export class Interner<K extends string> {
  readonly #numbers = new Map<K, number>()
  readonly #keys: K[] = []
  readonly #sizeMax: number

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  get size(): number {
    return this.#keys.length
  }

  /** The number of this name; a new name gets the next one. -1 when there is no room for another. */
  number(key: K): number {
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    if (this.#keys.length >= this.#sizeMax) return -1
    this.#numbers.set(key, this.#keys.length)
    return this.#keys.push(key) - 1
  }

  /** The number, or -1 for a name never seen. */
  find(key: K): number {
    return this.#numbers.get(key) ?? -1
  }

  key(number: number): K {
    const key = this.#keys[number]
    if (key === undefined) throw new RangeError(`no name has the number ${number}`)
    return key
  }
}

/** Node numbers fit 16 bits. */
const NODES_MAX = 65_534
const SHARDS_MAX = 4_000_000

export interface Names {
  readonly shards: Interner<ShardKey>
  readonly nodes: Interner<NodeId>
  readonly operators: Interner<string>
  readonly networks: Interner<string>
}

export function createNames(): Names {
  return {
    shards: new Interner<ShardKey>(SHARDS_MAX),
    nodes: new Interner<NodeId>(NODES_MAX),
    operators: new Interner<string>(NODES_MAX),
    networks: new Interner<string>(NODES_MAX),
  }
}

/**
 * Rendezvous order of all known nodes for a shard (PROTOCOL 5), remembered: scores are pure, so every core of a process may
 * share them. Bounded; what does not fit is computed again.
 */
import type { ShardDigest } from '../ids.ts'
import type { Names } from '../ledger/names.ts'
import { compareScores, type Score, score, scorePrefix } from './rank.ts'

interface Ordered {
  /** Node numbers, best first. */
  readonly order: Uint16Array
  /** The place of each node in `order`, by node number. */
  readonly places: Uint16Array
  /** First 48 bits of each node's score, and the tickets that it was drawn with, by node number. */
  readonly prefixes: Float64Array
  readonly tickets: Uint8Array
  readonly epoch: number
}

/** Nodes of all orders together: 13 bytes each. */
const NUMBERS_MAX = 20_000_000

export class RankCache {
  readonly #names: Names
  readonly #numbersMax: number
  readonly #orders = new Map<ShardDigest, Ordered>()
  #tickets = new Uint8Array(64).fill(1)
  #epoch = 0
  #numbers = 0

  constructor(names: Names, numbersMax = NUMBERS_MAX) {
    this.#names = names
    this.#numbersMax = numbersMax
  }

  /** T of a node (PROTOCOL 5). */
  setTickets(node: number, count: number): void {
    if (node >= this.#tickets.length) {
      const more = new Uint8Array(Math.max(node + 1, this.#tickets.length * 2)).fill(1)
      more.set(this.#tickets)
      this.#tickets = more
    }
    if (this.#tickets[node] === count) return
    this.#tickets[node] = count
    this.#epoch++
  }

  /** Numbers of all nodes that have a name, best first. */
  order(digest: ShardDigest): Uint16Array {
    return this.#ordered(digest).order
  }

  /** The place of a node in `order`; 0 is best. */
  place(digest: ShardDigest, node: number): number {
    return this.#ordered(digest).places[node] ?? Number.POSITIVE_INFINITY
  }

  #ordered(digest: ShardDigest): Ordered {
    const known = this.#orders.get(digest)
    const count = this.#names.nodes.size
    if (known !== undefined && known.order.length === count && known.epoch === this.#epoch) return known
    const next = this.#compute(digest, known, count)
    this.#numbers += count - (known?.order.length ?? 0)
    this.#orders.delete(digest)
    this.#orders.set(digest, next)
    while (this.#numbers > this.#numbersMax && this.#orders.size > 1) this.#forgetOldest()
    return next
  }

  /** Scores that are known and drawn with the same tickets are kept. */
  #compute(digest: ShardDigest, known: Ordered | undefined, count: number): Ordered {
    const scoreOf = (node: number): Score =>
      score(digest, this.#names.nodes.key(node), this.#tickets[node] ?? 1)
    const prefixes = new Float64Array(count)
    const tickets = new Uint8Array(count)
    const order = new Uint16Array(count)
    let changed = known === undefined || known.order.length !== count
    for (let node = 0; node < count; node++) {
      const drawn = this.#tickets[node] ?? 1
      const same = known?.tickets[node] === drawn
      prefixes[node] = same ? (known.prefixes[node] as number) : scorePrefix(scoreOf(node))
      tickets[node] = drawn
      order[node] = node
      changed ||= !same
    }
    if (!changed && known !== undefined) return { ...known, epoch: this.#epoch }
    order.sort((a, b) => {
      const difference = (prefixes[b] as number) - (prefixes[a] as number)
      return difference !== 0 ? difference : compareScores(scoreOf(b), scoreOf(a))
    })
    const places = new Uint16Array(count)
    for (let place = 0; place < count; place++) places[order[place] as number] = place
    return { order, places, prefixes, tickets, epoch: this.#epoch }
  }

  #forgetOldest(): void {
    const oldest = this.#orders.entries().next().value
    if (oldest === undefined) return
    this.#orders.delete(oldest[0])
    this.#numbers -= oldest[1].order.length
  }
}

/**
 * Shards that are short of their target and could be taken by this node, by shard number (PROTOCOL 5). In typed arrays, since a
 * simulator has a thousand cores with thousands of them. Those whose turn is to come lie in a heap by when it comes; when it has
 * come they are ready.
 */
import { grown } from '../ledger/grown.ts'

export interface Shortage {
  /** Monotonic ms since when it waits with its present turn. */
  readonly sinceMs: number
  /** Nodes that come before this one. */
  readonly turn: number
  /** Monotonic ms when this node's turn comes; infinite: not as things stand. */
  readonly dueAtMs: number
  /** Operators on it, at the last look: the rarest is taken first. */
  readonly taken: number
}

const NONE = 0
const READY = -1
const UNDATED = -2

export class Shortages {
  #sinceMs = new Float64Array(64)
  #dueAtMs = new Float64Array(64)
  #turn = new Int32Array(64)
  #taken = new Uint8Array(64)
  /** Place in the heap + 1, or one of NONE, READY, UNDATED. */
  #place = new Int32Array(64)
  #heap = new Int32Array(64)
  #waiting = 0
  readonly #ready = new Set<number>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Shards whose turn has come. */
  get readyCount(): number {
    return this.#ready.size
  }

  /** When the next turn comes, infinite when none is dated. Monotonic ms. */
  get nextDueAtMs(): number {
    return this.#waiting === 0 ? Number.POSITIVE_INFINITY : this.#due(0)
  }

  has(shard: number): boolean {
    return (this.#place[shard] ?? NONE) !== NONE
  }

  /** As it was put, or undefined. */
  get(shard: number): Shortage | undefined {
    if (!this.has(shard)) return undefined
    return {
      sinceMs: this.#sinceMs[shard] as number,
      turn: this.#turn[shard] as number,
      dueAtMs: this.#dueAtMs[shard] as number,
      taken: this.#taken[shard] as number,
    }
  }

  taken(shard: number): number {
    return this.has(shard) ? (this.#taken[shard] as number) : 0
  }

  *shards(): IterableIterator<number> {
    for (let shard = 0; shard < this.#place.length; shard++) if (this.#place[shard] !== NONE) yield shard
  }

  put(shard: number, { sinceMs, turn, dueAtMs, taken }: Shortage): void {
    this.delete(shard)
    this.#grow(shard)
    this.#sinceMs[shard] = sinceMs
    this.#turn[shard] = turn
    this.#dueAtMs[shard] = dueAtMs
    this.#taken[shard] = Math.min(taken, 255)
    this.#size++
    if (dueAtMs === Number.POSITIVE_INFINITY) {
      this.#place[shard] = UNDATED
      return
    }
    if (this.#waiting === this.#heap.length) {
      this.#heap = grown(this.#heap, new Int32Array(this.#heap.length * 2))
    }
    this.#set(this.#waiting, shard)
    this.#rise(this.#waiting++)
  }

  delete(shard: number): void {
    const place = this.#place[shard] ?? NONE
    if (place === NONE) return
    this.#size--
    if (place === READY) this.#ready.delete(shard)
    if (place > 0) this.#unheap(place - 1)
    this.#place[shard] = NONE
  }

  /** All whose turn has come by now, in the order in which it came. */
  ready(nowMs: number): ReadonlySet<number> {
    while (this.nextDueAtMs <= nowMs) {
      const shard = this.#heap[0] as number
      this.#unheap(0)
      this.#place[shard] = READY
      this.#ready.add(shard)
    }
    return this.#ready
  }

  #due(place: number): number {
    return this.#dueAtMs[this.#heap[place] as number] as number
  }

  #set(place: number, shard: number): void {
    this.#heap[place] = shard
    this.#place[shard] = place + 1
  }

  #unheap(place: number): void {
    const last = this.#heap[--this.#waiting] as number
    if (place === this.#waiting) return
    this.#set(place, last)
    this.#sink(place)
    this.#rise(place)
  }

  #rise(from: number): void {
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      if (this.#due(above) <= this.#due(place)) return
      this.#swap(place, above)
      place = above
    }
  }

  #sink(from: number): void {
    let place = from
    for (;;) {
      let least = place
      for (const below of [2 * place + 1, 2 * place + 2]) {
        if (below < this.#waiting && this.#due(below) < this.#due(least)) least = below
      }
      if (least === place) return
      this.#swap(place, least)
      place = least
    }
  }

  #swap(a: number, b: number): void {
    const shard = this.#heap[a] as number
    this.#set(a, this.#heap[b] as number)
    this.#set(b, shard)
  }

  #grow(shard: number): void {
    if (shard < this.#place.length) return
    const length = Math.max(shard + 1, Math.ceil(this.#place.length * 1.5))
    this.#sinceMs = grown(this.#sinceMs, new Float64Array(length))
    this.#dueAtMs = grown(this.#dueAtMs, new Float64Array(length))
    this.#turn = grown(this.#turn, new Int32Array(length))
    this.#taken = grown(this.#taken, new Uint8Array(length))
    this.#place = grown(this.#place, new Int32Array(length))
  }
}

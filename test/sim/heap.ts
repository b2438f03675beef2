/**
 * What happens when: one binary heap in typed arrays, ordered by time and, at the same time, by order of arrival, so that a
 * run never depends on how the heap is balanced. An event is a kind and two numbers; nothing is allocated for it.
 */

export class EventHeap {
  /** Of the event that `pop` took out last. */
  timeMs = 0
  kind = 0
  a = 0
  b = 0

  #size = 0
  #order = 0
  #times: Float64Array
  #orders: Float64Array
  #kinds: Uint8Array
  #as: Int32Array
  #bs: Int32Array

  constructor(capacity = 1024) {
    this.#times = new Float64Array(capacity)
    this.#orders = new Float64Array(capacity)
    this.#kinds = new Uint8Array(capacity)
    this.#as = new Int32Array(capacity)
    this.#bs = new Int32Array(capacity)
  }

  get size(): number {
    return this.#size
  }

  /** Time of the next event; infinite when there is none. */
  get nextMs(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[0] as number)
  }

  push(timeMs: number, kind: number, a: number, b: number): void {
    if (this.#size === this.#times.length) this.#grow()
    const order = this.#order++
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      // A parent at the same time came earlier, so it stays above.
      if ((this.#times[parent] as number) <= timeMs) break
      this.#move(parent, at)
      at = parent
    }
    this.#times[at] = timeMs
    this.#orders[at] = order
    this.#kinds[at] = kind
    this.#as[at] = a
    this.#bs[at] = b
  }

  /** Takes the next event into the fields above; false when there is none. */
  pop(): boolean {
    if (this.#size === 0) return false
    this.timeMs = this.#times[0] as number
    this.kind = this.#kinds[0] as number
    this.a = this.#as[0] as number
    this.b = this.#bs[0] as number
    const last = --this.#size
    if (last > 0) this.#sink(last)
    return true
  }

  /** Lets the event at `from`, which is outside of the heap now, find its place from the top. */
  #sink(from: number): void {
    const time = this.#times[from] as number
    const order = this.#orders[from] as number
    const size = this.#size
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && this.#before(child + 1, child)) child++
      const childTime = this.#times[child] as number
      if (childTime > time || (childTime === time && (this.#orders[child] as number) > order)) break
      this.#move(child, at)
      at = child
    }
    this.#move(from, at)
  }

  #before(one: number, other: number): boolean {
    const a = this.#times[one] as number
    const b = this.#times[other] as number
    return a < b || (a === b && (this.#orders[one] as number) < (this.#orders[other] as number))
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] as number
    this.#orders[to] = this.#orders[from] as number
    this.#kinds[to] = this.#kinds[from] as number
    this.#as[to] = this.#as[from] as number
    this.#bs[to] = this.#bs[from] as number
  }

  #grow(): void {
    const capacity = this.#times.length * 2
    this.#times = grown(new Float64Array(capacity), this.#times)
    this.#orders = grown(new Float64Array(capacity), this.#orders)
    this.#kinds = grown(new Uint8Array(capacity), this.#kinds)
    this.#as = grown(new Int32Array(capacity), this.#as)
    this.#bs = grown(new Int32Array(capacity), this.#bs)
  }
}

function grown<T extends { set(from: T): void }>(bigger: T, from: T): T {
  bigger.set(from)
  return bigger
}

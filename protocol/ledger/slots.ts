/**
 * Who claims or holds which shard, in typed arrays: one slot a (shard, node), linked in a list a shard. About 24 bytes a slot,
 * so that a thousand ledgers of ten thousand replicas fit into a simulator's memory.
 */

import { grown } from './grown.ts'

const NONE = -1
/** Bit of `#state` that says held; the low bits are `done`, 0..16. */
const HELD = 32

export class Slots {
  /** By shard number: its first slot. */
  #first = new Int32Array(64).fill(NONE)
  #next = new Int32Array(256)
  #node = new Uint16Array(256)
  #state = new Uint8Array(256)
  /** Most `done` that was ever told of a claim: less and then as much again is no growth. */
  #peak = new Uint8Array(256)
  #changedAtMs = new Float64Array(256)
  /** > 0: unix ms of the newest pass that counts; < 0: of a failure after it; 0: never audited. */
  #proof = new Float64Array(256)
  #used = 0
  #free = NONE

  /** First slot of a shard, or -1. Walk with `next`. */
  first(shard: number): number {
    return shard < this.#first.length ? (this.#first[shard] as number) : NONE
  }

  next(slot: number): number {
    return this.#next[slot] as number
  }

  node(slot: number): number {
    return this.#node[slot] as number
  }

  isHeld(slot: number): boolean {
    return ((this.#state[slot] as number) & HELD) !== 0
  }

  done(slot: number): number {
    return (this.#state[slot] as number) & (HELD - 1)
  }

  changedAtMs(slot: number): number {
    return this.#changedAtMs[slot] as number
  }

  proof(slot: number): number {
    return this.#proof[slot] as number
  }

  setProof(slot: number, proof: number): void {
    this.#proof[slot] = proof
  }

  find(shard: number, node: number): number {
    for (let slot = this.first(shard); slot !== NONE; slot = this.next(slot)) {
      if (this.#node[slot] === node) return slot
    }
    return NONE
  }

  /** Sets what a node says of a shard. A change of state or growth is remembered with its time; a new state has no proof. */
  put(shard: number, node: number, held: boolean, done: number, nowMs: number): number {
    const state = (held ? HELD : 0) | done
    const found = this.find(shard, node)
    if (found !== NONE) {
      if (this.#state[found] !== state) {
        const flips = this.isHeld(found) !== held
        if (flips) this.#proof[found] = 0
        if (flips || done > (this.#peak[found] as number)) {
          this.#peak[found] = done
          this.#changedAtMs[found] = nowMs
        }
        this.#state[found] = state
      }
      return found
    }
    const slot = this.#take()
    this.#growShards(shard)
    this.#next[slot] = this.#first[shard] as number
    this.#first[shard] = slot
    this.#node[slot] = node
    this.#state[slot] = state
    this.#peak[slot] = done
    this.#changedAtMs[slot] = nowMs
    this.#proof[slot] = 0
    return slot
  }

  remove(shard: number, node: number): void {
    let before = NONE
    for (let slot = this.first(shard); slot !== NONE; slot = this.next(slot)) {
      if (this.#node[slot] === node) {
        const next = this.#next[slot] as number
        if (before === NONE) this.#first[shard] = next
        else this.#next[before] = next
        this.#next[slot] = this.#free
        this.#free = slot
        return
      }
      before = slot
    }
  }

  /** Bytes of the arrays, for the bench. */
  get sizeBytes(): number {
    const arrays = [
      this.#first,
      this.#next,
      this.#node,
      this.#state,
      this.#peak,
      this.#changedAtMs,
      this.#proof,
    ]
    return arrays.reduce((sum, array) => sum + array.byteLength, 0)
  }

  #take(): number {
    if (this.#free !== NONE) {
      const slot = this.#free
      this.#free = this.#next[slot] as number
      return slot
    }
    if (this.#used === this.#next.length) this.#growSlots()
    return this.#used++
  }

  #growSlots(): void {
    const length = Math.ceil(this.#next.length * 1.5)
    this.#next = grown(this.#next, new Int32Array(length))
    this.#node = grown(this.#node, new Uint16Array(length))
    this.#state = grown(this.#state, new Uint8Array(length))
    this.#peak = grown(this.#peak, new Uint8Array(length))
    this.#changedAtMs = grown(this.#changedAtMs, new Float64Array(length))
    this.#proof = grown(this.#proof, new Float64Array(length))
  }

  #growShards(shard: number): void {
    if (shard < this.#first.length) return
    const length = Math.max(shard + 1, Math.ceil(this.#first.length * 1.5))
    this.#first = grown(this.#first, new Int32Array(length).fill(NONE))
  }
}

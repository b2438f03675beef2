/**
 * Observations as a node keeps and hands them on: sealed, one of each node and day, a bounded number of them. What they say is for
 * the core to weigh.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, compareBytes, hexToBytes } from '../codec/bytes.ts'
import type { NodeId } from '../ids.ts'
import { OBSERVATIONS_A_DAY_MAX, OBSERVATIONS_MAX } from '../limits.ts'
import type { Opened, Verified } from '../manifest/trust.ts'
import type { Parameters } from '../parameters.ts'
import { score } from '../placement/rank.ts'
import { dayOf, type Observation } from './observation.ts'
import { observersDigest } from './observers.ts'

export interface KeptObservation {
  readonly observation: Verified<Observation>
  readonly sealed: Uint8Array
  /** Of the sealed bytes, hex: by it others ask for them. */
  readonly sha256: string
  readonly day: number
}

/** Only `new` changes anything; only `refused` costs its sender score. `second`: another one of the same node and day. */
export type HeardObservation =
  | { readonly kind: 'new'; readonly kept: KeptObservation; readonly replaced: KeptObservation | null }
  | { readonly kind: 'refused'; readonly detail: string }
  | { readonly kind: 'known' | 'second' | 'future' | 'old' | 'full' }

export interface ObservationBookOptions {
  readonly open: (sealed: Uint8Array) => Opened<Observation>
  /** As it holds now. */
  readonly parameters: () => Pick<Parameters, 'clockSkewMs' | 'goneMs' | 'observeEveryMs'>
  /** How much its place among observers is worth, 0 is best (observerClass). */
  readonly classOf: (node: NodeId) => number
}

export class ObservationBook {
  readonly #options: ObservationBookOptions
  /** By sha256. */
  readonly #kept = new Map<string, KeptObservation>()
  /** By day, then node. */
  readonly #days = new Map<number, Map<NodeId, KeptObservation>>()
  /** What was looked at and is not wanted: not asked for again. The oldest are forgotten. */
  readonly #unwanted = new Set<string>()
  #digest: string | null = null

  constructor(options: ObservationBookOptions) {
    this.#options = options
  }

  /** `late`: from a peer that was asked for what it knows, so it may be of any age. */
  hear(sealed: Uint8Array, nowMs: number, late: boolean): HeardObservation {
    const name = bytesToHex(sha256(sealed))
    if (this.#kept.has(name)) return { kind: 'known' }
    const opened = this.#options.open(sealed)
    if (!opened.ok) return { kind: 'refused', detail: `${opened.code}: ${opened.detail}` }
    const observation = opened.value
    const { clockSkewMs, goneMs, observeEveryMs } = this.#options.parameters()
    if (observation.atMs > nowMs + clockSkewMs) return { kind: 'future' }
    if (!late && observation.atMs < nowMs - goneMs) return { kind: 'old' }
    const kept = { observation, sealed, sha256: name, day: dayOf(observation.atMs, observeEveryMs) }
    const sameDay = this.#days.get(kept.day) ?? new Map<NodeId, KeptObservation>()
    if (sameDay.has(observation.node)) return this.#leave(name, 'second')
    const worst = this.#mustGive(kept, sameDay)
    if (worst === kept) return this.#leave(name, 'full')
    if (worst !== null) this.#remove(worst)
    this.#days.set(kept.day, sameDay.set(observation.node, kept))
    this.#kept.set(name, kept)
    this.#digest = null
    return { kind: 'new', kept, replaced: worst }
  }

  /** Null when another one of its node and day, or none, is here. */
  forget(observation: Observation): KeptObservation | null {
    const day = dayOf(observation.atMs, this.#options.parameters().observeEveryMs)
    const kept = this.#days.get(day)?.get(observation.node)
    if (kept?.observation !== observation) return null
    this.#remove(kept)
    return kept
  }

  #remove(kept: KeptObservation): void {
    const { day, observation } = kept
    if (!this.#kept.delete(kept.sha256)) return
    const sameDay = this.#days.get(day)
    sameDay?.delete(observation.node)
    if (sameDay?.size === 0) this.#days.delete(day)
    this.#digest = null
    this.#leave(kept.sha256, 'known')
  }

  all(): IterableIterator<KeptObservation> {
    return this.#kept.values()
  }

  get(name: string): Uint8Array | undefined {
    return this.#kept.get(name)?.sealed
  }

  /** Equal where the same observations are known. */
  get digest(): string {
    this.#digest ??= bytesToHex(sha256(hexToBytes([...this.#kept.keys()].sort().join(''))))
    return this.#digest
  }

  /** Of what a peer knows, that which is worth asking for. */
  missing(names: readonly string[]): string[] {
    return names.filter((name) => !this.#kept.has(name) && !this.#unwanted.has(name))
  }

  #leave<K extends 'known' | 'second' | 'full'>(name: string, kind: K): { readonly kind: K } {
    if (this.#unwanted.size >= OBSERVATIONS_MAX) {
      for (const oldest of this.#unwanted) {
        this.#unwanted.delete(oldest)
        break
      }
    }
    this.#unwanted.add(name)
    return { kind }
  }

  /** Which of them goes: this one itself, another one in its place, or none. Old days make room for new ones. */
  #mustGive(kept: KeptObservation, sameDay: ReadonlyMap<NodeId, KeptObservation>): KeptObservation | null {
    if (sameDay.size >= OBSERVATIONS_A_DAY_MAX) return this.#worstOf([...sameDay.values(), kept])
    if (this.#kept.size < OBSERVATIONS_MAX) return null
    const oldest = Math.min(...this.#days.keys())
    return oldest < kept.day ? this.#worstOf([...(this.#days.get(oldest) ?? new Map()).values()]) : kept
  }

  /** Of too many of one day: the one whose node comes last among the observers of that day. */
  #worstOf(all: readonly KeptObservation[]): KeptObservation | null {
    let worst: KeptObservation | null = null
    for (const one of all) if (worst === null || this.#isBehind(one, worst)) worst = one
    return worst
  }

  #isBehind(a: KeptObservation, b: KeptObservation): boolean {
    const { classOf } = this.#options
    const [one, other] = [classOf(a.observation.node), classOf(b.observation.node)]
    if (one !== other) return one > other
    const digest = observersDigest(a.day)
    return compareBytes(score(digest, a.observation.node, 1), score(digest, b.observation.node, 1)) < 0
  }
}

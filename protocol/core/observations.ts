/** What a core remembers of observations (PROTOCOL 1): who named which run's document, and the documents that count for it. */
import { dayOf, type Observation, type RunReference } from '../catalog/observation.ts'
import type { Basis } from '../catalog/observers.ts'
import type { NodeId, RunId, Series } from '../ids.ts'
import type { Shard } from '../shard/shard.ts'

/** A document that counts until a coordinator's catalogs name its run. */
export interface CountedRun {
  readonly reference: RunReference
  basis: Basis
  /** The day of the observation that made it count. */
  readonly day: number
  /** Null until the document is here. */
  shards: readonly Shard[] | null
  /** Unix ms until when this node leaves it alone, since upstream told it something else; 0: it does not. */
  refusedUntilMs: number
}

/** What survives a restart. The observations themselves come back from where they are kept sealed, documents too. */
export interface KeptObservations {
  readonly observedAtMs: number
  readonly counted: readonly Pick<CountedRun, 'reference' | 'basis' | 'day'>[]
}

/** Newest run of one dataset of a wiki in the coordinators' catalogs. */
export interface NewestRun {
  readonly date: string
  readonly sizeBytes: number
}

export class Observations {
  /** With the monotonic ms when it came. */
  readonly #heard = new Map<Observation, number>()
  /** By sha256 of a document: who named it. */
  readonly #witnesses = new Map<string, Observation[]>()
  /** By sha256 of the document. Changed by `count` and `uncount` only. */
  readonly counted = new Map<string, CountedRun>()
  readonly #byRun = new Map<RunId, CountedRun[]>()
  readonly #countedOn = new Map<number, number>()
  /** Unix ms when this node last read upstream for others, 0: never. */
  observedAtMs: number
  /** Monotonic ms when it is looked at next whether this node should. */
  lookAtMs = 0
  /** No coordinator was heard of at the last look. */
  wasStale = false
  /** Unix ms since when a coordinator is heard of again, or since the start. */
  freshSinceMs: number
  /** Null: the catalogs changed since it was made. */
  newest: ReadonlyMap<Series, NewestRun> | null = null
  /** The node's shards must be put together anew. */
  changed = false
  /** Other documents are needed than were asked for. */
  wanting = false

  constructor(kept: KeptObservations | null, nowMs: number) {
    this.observedAtMs = kept?.observedAtMs ?? 0
    this.freshSinceMs = nowMs
    for (const one of kept?.counted ?? []) this.count({ ...one, shards: null, refusedUntilMs: 0 })
  }

  add(observation: Observation, nowMs: number): void {
    this.#heard.set(observation, nowMs)
    for (const { sha256 } of observation.runs)
      this.#witnesses.set(sha256, [...(this.#witnesses.get(sha256) ?? []), observation])
  }

  remove(observation: Observation): void {
    if (!this.#heard.delete(observation)) return
    for (const { sha256 } of observation.runs) {
      const others = (this.#witnesses.get(sha256) ?? []).filter((one) => one !== observation)
      if (others.length === 0) this.#witnesses.delete(sha256)
      else this.#witnesses.set(sha256, others)
    }
  }

  heard(): IterableIterator<readonly [observation: Observation, atMs: number]> {
    return this.#heard.entries()
  }

  witnesses(sha256: string): readonly Observation[] {
    return this.#witnesses.get(sha256) ?? []
  }

  /** Those who observed on a day. */
  nodesOn(day: number, observeEveryMs: number): NodeId[] {
    return [...this.#heard.keys()]
      .filter((one) => dayOf(one.atMs, observeEveryMs) === day)
      .map(({ node }) => node)
  }

  count(run: CountedRun): void {
    this.counted.set(run.reference.sha256, run)
    this.#byRun.set(run.reference.run, [...this.revisions(run.reference.run), run])
    this.#countedOn.set(run.day, this.countedOn(run.day) + 1)
    this.wanting = true
    if (run.shards !== null) this.changed = true
  }

  uncount(run: CountedRun): void {
    if (!this.counted.delete(run.reference.sha256)) return
    const others = this.revisions(run.reference.run).filter((one) => one !== run)
    if (others.length === 0) this.#byRun.delete(run.reference.run)
    else this.#byRun.set(run.reference.run, others)
    this.#countedOn.set(run.day, this.countedOn(run.day) - 1)
    if (this.countedOn(run.day) <= 0) this.#countedOn.delete(run.day)
    this.changed = true
    this.wanting = true
  }

  countedOn(day: number): number {
    return this.#countedOn.get(day) ?? 0
  }

  /** Documents of a run that count. */
  revisions(run: RunId): readonly CountedRun[] {
    return this.#byRun.get(run) ?? []
  }

  kept(): KeptObservations {
    const counted = [...this.counted.values()].map(({ reference, basis, day }) => ({ reference, basis, day }))
    return { observedAtMs: this.observedAtMs, counted }
  }
}

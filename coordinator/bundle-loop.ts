/**
 * Cycle bundles (PROTOCOL 2, docs/decisions/0034): made when every small run that the catalog names for a cycle is held and none of
 * them is new, and made anew when they changed.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { writeFileAtomic } from '../node/files/durable.ts'
import type { BundleStatus } from '../node/observe/bundle-status.ts'
import type { Pace } from '../node/pace/pacer.ts'
import type { Store } from '../node/ports.ts'
import { isSystemError } from '../node/system-error.ts'
import { BundleError, buildBundle } from '../node/transfer/build-bundle.ts'
import { readTorrent } from '../node/transfer/seed-source.ts'
import type { CoreState } from '../protocol/core/state.ts'
import { type Cycle, cycleOf, type ShardId, type ShardKey } from '../protocol/ids.ts'
import type { Shard } from '../protocol/shard/shard.ts'
import { type CycleBundle, cycleBundles, isBundled } from '../protocol/torrent/bundle.ts'
import { infohashOf } from '../protocol/torrent/info.ts'
import { encodeMetainfo } from '../protocol/torrent/metainfo.ts'
import { forgetBundle, keepBundle, loadBundles, type MadeBundle } from './bundle-records.ts'
import { BundleSeeds, type BundleSeedsParts } from './bundle-seeds.ts'

export interface BundleLoopParts extends BundleSeedsParts {
  readonly state: Pick<CoreState, 'own' | 'named'>
  readonly store: Store
  /** Unix ms when the merge accepted a shard; undefined: it did not yet. */
  readonly acceptedAtMs: (shard: ShardKey) => number | undefined
  /** So long no run of the cycle may be new. */
  readonly quietMs: number
  /** Resolves when so many bytes may have been read. */
  readonly pace: Pace
}

/** All small runs of a cycle that the catalog names. */
interface CyclePlan {
  readonly cycle: Cycle
  /** Of each run that is held, the revision that was accepted last. */
  readonly shards: readonly Shard[]
  /** Why nothing can be made of them now; empty: it can. */
  readonly detail: string
  /** How many runs there are. */
  readonly runs: number
}

export class BundleLoop {
  readonly #parts: BundleLoopParts
  readonly #seeds: BundleSeeds
  readonly #made: Map<string, MadeBundle>
  /** Cycles that are not all in bundles. */
  readonly #open = new Map<Cycle, BundleStatus>()
  /** Keys of the shards of which a cycle's bundles are made. */
  readonly #done = new Map<Cycle, string>()

  private constructor(parts: BundleLoopParts, made: Map<string, MadeBundle>) {
    this.#parts = parts
    this.#made = made
    this.#seeds = new BundleSeeds(parts)
  }

  static async open(parts: BundleLoopParts): Promise<BundleLoop> {
    await mkdir(parts.folder, { recursive: true })
    return new BundleLoop(parts, await loadBundles(parts.store))
  }

  /** Those whose shards are all held now, in order of name. */
  whole(): MadeBundle[] {
    const whole = [...this.#made.values()].filter((bundle) => this.#seeds.isWhole(bundle))
    return whole.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** The whole .torrent file; null when it was lost. */
  torrent(bundle: MadeBundle): Promise<Uint8Array | null> {
    return this.#seeds.torrent(bundle)
  }

  status(): BundleStatus[] {
    const made = [...this.#made.values()].map(({ name, cycle, infohash, sizeBytes, shards }) => {
      const missing = shards.filter((key) => this.#seeds.held(key) === null).length
      const detail = missing === 0 ? '' : `waits for ${missing} of ${shards.length} shards to be whole again`
      return { name, cycle, infohash, sizeBytes, shards: shards.length, detail }
    })
    return [...made, ...this.#open.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1))
  }

  /** Makes what can be made. It reads whole cycles at a bounded rate, so it may take days. */
  async round(signal: AbortSignal): Promise<void> {
    const plans = this.#plans()
    for (const plan of plans) {
      if (plan.detail !== '') this.#tell(plan, plan.detail)
      else if (this.#isDone(plan)) this.#open.delete(plan.cycle)
      else this.#tell(plan, 'waits to be read')
    }
    for (const plan of plans) {
      if (signal.aborted) return
      if (plan.detail === '' && !this.#isDone(plan)) await this.#make(plan, signal)
    }
  }

  /** Seeds what is whole, and stops what is not. */
  seed(): Promise<void> {
    return this.#seeds.look(this.#made.values())
  }

  /** Bundles whose seed failed: what is damaged is repaired, and seeded again later. */
  async mend(): Promise<void> {
    for (const lost of await this.#seeds.mend([...this.#made.values()])) {
      this.#done.delete(lost.cycle)
      await this.#forget(lost)
    }
  }

  #plans(): CyclePlan[] {
    const { state, quietMs, clock } = this.#parts
    const cycles = new Map<Cycle, Map<ShardId, Shard | null>>()
    for (const shard of state.named.values()) {
      const cycle = cycleOf(shard.date)
      if (!isBundled(shard, cycle)) continue
      const runs = cycles.get(cycle) ?? new Map<ShardId, Shard | null>()
      const before = runs.get(shard.id) ?? null
      const isNewer = before === null || this.#acceptedAtMs(shard) > this.#acceptedAtMs(before)
      runs.set(shard.id, isNewer && this.#seeds.held(shard.key) !== null ? shard : before)
      cycles.set(cycle, runs)
    }
    return [...cycles].sort().map(([cycle, runs]) => {
      const shards = [...runs.values()].filter((shard) => shard !== null)
      const missing = runs.size - shards.length
      const quietAtMs = shards.reduce((ms, shard) => Math.max(ms, this.#acceptedAtMs(shard)), 0) + quietMs
      const detail =
        missing > 0
          ? `waits for ${missing} of ${runs.size} shards`
          : quietAtMs > clock.wallMs()
            ? `waits until ${new Date(quietAtMs).toISOString().slice(0, 16)}Z, in case more comes`
            : ''
      return { cycle, shards, runs: runs.size, detail }
    })
  }

  async #make(plan: CyclePlan, signal: AbortSignal): Promise<void> {
    const { store, log } = this.#parts
    const { cycle } = plan
    const wanted = cycleBundles(cycle, plan.shards)
    for (const bundle of wanted) {
      const before = this.#made.get(bundle.name)
      if (before !== undefined && isMadeOf(before, bundle)) continue
      this.#tell(plan, `${bundle.name} is being read`)
      const made = await this.#build(bundle, signal)
      if (made === null) return
      await keepBundle(store, made)
      this.#made.set(made.name, made)
      if (before !== undefined && before.infohash !== made.infohash) await this.#seeds.drop(before)
      log.info({ bundle: made.name, infohash: made.infohash }, 'a bundle was made')
      await this.seed()
    }
    const names = new Set(wanted.map((bundle) => bundle.name))
    for (const made of [...this.#made.values()])
      if (made.cycle === cycle && !names.has(made.name)) await this.#forget(made)
    this.#done.set(cycle, keysOf(plan))
    this.#open.delete(cycle)
  }

  /** Null: it could not be made now. */
  async #build(bundle: CycleBundle, signal: AbortSignal): Promise<MadeBundle | null> {
    const { files, copies, pace, clock, log } = this.#parts
    const { name, cycle, sizeBytes } = bundle
    const infoOf = async (shard: Shard) => {
      const infohash = this.#seeds.held(shard.key)?.infohash
      if (infohash == null) throw new BundleError(shard, 'it is not held any more')
      return readTorrent(await readFile(files.torrentPath(infohash)), infohash).info
    }
    log.info({ bundle: name, shards: bundle.shards.length, sizeBytes }, 'a bundle is being made')
    try {
      const info = await buildBundle(bundle, { mirror: files.mirror, infoOf, pace, signal })
      const infohash = infohashOf(info)
      await writeFileAtomic(files.torrentPath(infohash), encodeMetainfo({ info }))
      const shards = bundle.shards.map((shard) => shard.key)
      return { name, cycle, infohash, sizeBytes, shards, madeAtMs: clock.wallMs() }
    } catch (error) {
      if (signal.aborted) return null
      const isShard = error instanceof BundleError
      if (!isShard && !isSystemError(error)) throw error
      log.warn({ bundle: name, error: error.message }, 'a bundle could not be made')
      // Reads it whole, and has it repaired when it is damaged; until then the cycle waits for it.
      if (isShard && this.#seeds.held(error.shard.key) !== null) await copies.check(error.shard)
      return null
    }
  }

  async #forget(bundle: MadeBundle): Promise<void> {
    this.#made.delete(bundle.name)
    await forgetBundle(this.#parts.store, bundle.name)
    await this.#seeds.drop(bundle)
    this.#parts.log.info({ bundle: bundle.name }, 'a bundle was given up')
  }

  #isDone(plan: CyclePlan): boolean {
    return this.#done.get(plan.cycle) === keysOf(plan)
  }

  #tell({ cycle, shards, runs }: CyclePlan, detail: string): void {
    const sizeBytes = shards.reduce((sum, shard) => sum + shard.sizeBytes, 0)
    this.#open.set(cycle, { cycle, name: null, infohash: null, shards: runs, sizeBytes, detail })
  }

  /** What was not accepted yet is new. */
  #acceptedAtMs(shard: Shard): number {
    return this.#parts.acceptedAtMs(shard.key) ?? this.#parts.clock.wallMs()
  }
}

function isMadeOf(made: MadeBundle, { shards }: CycleBundle): boolean {
  return made.shards.length === shards.length && shards.every((shard, i) => shard.key === made.shards[i])
}

const keysOf = ({ shards }: CyclePlan): string => shards.map((shard) => shard.key).join(' ')

/** What is open in a cycle after what is made of it. */
const order = ({ cycle, name }: BundleStatus): string => `${cycle} ${name ?? '~'}`

/** Signs and publishes what is merged, to every target, local first (PROTOCOL 9.4). */

import type { Clock, Log, Store } from '../node/ports.ts'
import { keyOf } from '../node/store/keyspace.ts'
import { utf8FromBytes, utf8ToBytes } from '../protocol/codec/bytes.ts'
import { branded, list, record } from '../protocol/codec/shape.ts'
import { isShardKey, type ShardKey } from '../protocol/ids.ts'
import type { FederationKeys } from './federation/keys.ts'
import type { MergedShard } from './publish/merged-shard.ts'
import { buildPublication, type PublicationOptions, type PublicationState } from './publish/publication.ts'
import { PublishError } from './publish/publish-error.ts'
import type { PublishTarget } from './publish/target.ts'

/** How the last publication at one target went. */
export interface TargetStatus {
  readonly name: string
  readonly okAtMs: number | null
  readonly problem: string | null
}

export interface PublishLoopOptions {
  /** The bytes of `1.root.json`. */
  readonly root: Uint8Array
  readonly keys: FederationKeys
  /** In order; the local folder first. */
  readonly targets: readonly PublishTarget[]
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly publicUrl: string | null
  readonly places: PublicationOptions['places']
}

export class PublishLoop {
  readonly #options: PublishLoopOptions
  readonly #targets: TargetStatus[]
  #published = new Set<ShardKey>()
  #state: PublicationState | null = null
  /** What was published everywhere last, and when (unix ms); null = something is still to do. */
  #done: { content: string; atMs: number } | null = null

  private constructor(options: PublishLoopOptions) {
    this.#options = options
    this.#targets = options.targets.map(({ name }) => ({ name, okAtMs: null, problem: null }))
  }

  static async open(options: PublishLoopOptions): Promise<PublishLoop> {
    const loop = new PublishLoop(options)
    const value = await options.store.get(STATE_KEY)
    if (value !== null) {
      const fields = record(JSON.parse(utf8FromBytes(value) ?? ''), 'published')
      loop.#state = fields.state as PublicationState
      loop.#published = new Set(
        list(fields.shards, 'published.shards', 1_000_000, branded(isShardKey, 'a shard key')),
      )
    }
    return loop
  }

  targets(): readonly TargetStatus[] {
    return this.#targets
  }

  isPublished(shard: ShardKey): boolean {
    return this.#published.has(shard)
  }

  /** Publishes when what is said changed since the last whole success, or that is a day old; true when it tried. */
  async round(shards: readonly MergedShard[], signal: AbortSignal): Promise<boolean> {
    const { root, keys, store, clock, log, publicUrl, places } = this.#options
    const content = JSON.stringify(
      shards.map((one) => [
        one.id,
        one.digest,
        one.infohash,
        one.replicas,
        one.archive,
        one.peers,
        one.trackers,
        one.webSeeds,
      ]),
    )
    const nowMs = clock.wallMs()
    const fresh = this.#done?.content === content && nowMs - this.#done.atMs < RENEW_MS
    if (fresh || shards.length === 0) return false
    const built = buildPublication({
      root,
      keys,
      shards,
      previous: this.#state,
      nowMs,
      publicUrl,
      places,
    })
    // Versions are stored before they are used: a crash must not give one version to two texts.
    this.#state = built.state
    await this.#save(store)
    let failed = 0
    for (const [index, target] of this.#options.targets.entries()) {
      const before = this.#targets[index]
      try {
        const report = await target.publish(built.files, signal)
        this.#targets[index] = { name: target.name, okAtMs: clock.wallMs(), problem: null }
        log.info({ target: target.name, ...report, sequence: built.state.sequence }, 'published')
      } catch (error) {
        if (!(error instanceof PublishError)) throw error
        if (signal.aborted) return false
        failed++
        this.#targets[index] = { name: target.name, okAtMs: before?.okAtMs ?? null, problem: error.message }
        log.warn({ target: target.name, code: error.code, detail: error.message }, 'could not publish')
      }
    }
    if (failed > 0) return true
    this.#done = { content, atMs: nowMs }
    this.#published = new Set(shards.map((one) => `${one.id}@${one.digest}` as ShardKey))
    await this.#save(store)
    return true
  }

  async #save(store: Store): Promise<void> {
    const value = utf8ToBytes(JSON.stringify({ state: this.#state, shards: [...this.#published] }))
    await store.batch([{ type: 'put', key: STATE_KEY, value }])
  }
}

/** Signatures expire; in a quiet time they are renewed long before (TUF 5.3: timestamp has the shortest life). */
const RENEW_MS = 86_400_000

const STATE_KEY = keyOf('published', 'state')

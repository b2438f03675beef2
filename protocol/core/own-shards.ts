/**
 * What a node claims and holds, by shard. A core is ticked once a minute and holds hundreds of shards, of which it claims a few:
 * what every tick asks is kept at hand, so that an idle tick walks over nothing.
 */
import type { ShardKey } from '../ids.ts'
import { type Own, reservedBytes } from './state.ts'

export class OwnShards extends Map<ShardKey, Own> {
  /** In the order of the map; null: to be found anew. */
  #claims: readonly Own[] | null = null
  #bytesUsed = 0
  /** Monotonic ms; NaN: to be found anew. */
  #auditCheckAtMs = Number.NaN

  override set(key: ShardKey, own: Own): this {
    const before = this.get(key)
    this.#bytesUsed += reservedBytes(own.shard) - (before === undefined ? 0 : reservedBytes(before.shard))
    this.#forget()
    return super.set(key, own)
  }

  override delete(key: ShardKey): boolean {
    const before = this.get(key)
    if (before !== undefined) this.#bytesUsed -= reservedBytes(before.shard)
    this.#forget()
    return super.delete(key)
  }

  override clear(): void {
    this.#bytesUsed = 0
    this.#forget()
    super.clear()
  }

  /** Bytes that all of them may take on disk. */
  get bytesUsed(): number {
    return this.#bytesUsed
  }

  /** Those that are claimed and not held. */
  get claims(): readonly Own[] {
    this.#claims ??= [...this.values()].filter((own) => own.state === 'claimed')
    return this.#claims
  }

  /** Monotonic ms when audits of some held one are looked at next; infinite when none is held. */
  get auditCheckAtMs(): number {
    if (Number.isNaN(this.#auditCheckAtMs)) {
      let next = Number.POSITIVE_INFINITY
      for (const own of this.values()) if (own.state === 'held') next = Math.min(next, own.auditCheckAtMs)
      this.#auditCheckAtMs = next
    }
    return this.#auditCheckAtMs
  }

  /** The audits of this one are looked at then. */
  checkAudits(own: Own, atMs: number): void {
    // Only what moves the earliest time away is dear.
    if (own.auditCheckAtMs <= this.#auditCheckAtMs) this.#auditCheckAtMs = Number.NaN
    own.auditCheckAtMs = atMs
    if (own.state === 'held' && atMs < this.#auditCheckAtMs) this.#auditCheckAtMs = atMs
  }

  /** Claimed or held from now on. */
  restate(own: Own, state: Own['state']): void {
    own.state = state
    this.#forget()
  }

  #forget(): void {
    this.#claims = null
    this.#auditCheckAtMs = Number.NaN
  }
}

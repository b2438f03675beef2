/** What a node's store keeps, as a test wants it. */
import type { Kept } from '../../protocol/core/kept.ts'
import type { Shard } from '../../protocol/shard/shard.ts'

export type OwnRow = Kept['own'][number]

/** Claimed just now, but for what `change` says. */
export function ownRow(shard: Shard, change: Partial<OwnRow> = {}): OwnRow {
  return {
    shard,
    state: 'claimed',
    infohash: null,
    sinceMs: 0,
    doneBytes: 0,
    promisedUntilMs: 0,
    repairing: false,
    led: false,
    fromOriginBytes: 0,
    fromSwarmBytes: 0,
    ...change,
  }
}

/** Of a node that has nothing else. */
export function keptOf(own: readonly OwnRow[]): Kept {
  const observations = { observedAtMs: 0, counted: [] }
  return { sequence: 0, own, refuted: [], audits: [], damages: [], observations }
}

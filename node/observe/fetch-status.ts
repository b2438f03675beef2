/** What is fetched now, in the status. */
import type { CoreState } from '../../protocol/core/state.ts'
import type { ShardId } from '../../protocol/ids.ts'

export interface FetchStatus {
  readonly shard: ShardId
  readonly from: 'origin' | 'swarm'
  readonly doneBytes: number
  readonly sizeBytes: number
}

/** In order of id. */
export function fetches(state: Pick<CoreState, 'own'>): FetchStatus[] {
  const out: FetchStatus[] = []
  for (const { shard, fetch, doneBytes } of state.own.values()) {
    if (fetch !== null) out.push({ shard: shard.id, from: fetch.kind, doneBytes, sizeBytes: shard.sizeBytes })
  }
  return out.sort((a, b) => (a.shard < b.shard ? -1 : 1))
}

/** The newest run that a coordinator named, by dataset and wiki: observations are held against it (PROTOCOL 1). */
import { type Series, seriesOf } from '../ids.ts'
import type { NewestRun } from './observations.ts'
import type { CoreState } from './state.ts'

export function newestRuns(state: CoreState): ReadonlyMap<Series, NewestRun> {
  const { observations } = state
  if (observations.newest !== null) return observations.newest
  const newest = new Map<Series, NewestRun>()
  for (const shard of state.named.values()) {
    const { date, sizeBytes } = shard
    const series = seriesOf(shard)
    const known = newest.get(series)
    if (known !== undefined && known.date > date) continue
    const before = known?.date === date ? known.sizeBytes : 0
    newest.set(series, { date, sizeBytes: before + sizeBytes })
  }
  observations.newest = newest
  return newest
}

/** How many replicas each shard should have (PROTOCOL 5). */
import { parseShardId, type ShardKey } from '../ids.ts'
import type { Shard } from '../shard/shard.ts'
import type { Event } from './event.ts'
import type { CoreState } from './state.ts'

/** Runs of a wiki and dataset, the newest first, that are kept at R even when they are archived. */
const FRESH_RUNS = 2

/** Takes the catalogs: every shard gets its number and its target, and is looked at again. */
export function takeCatalogs(state: CoreState, event: Extract<Event, { kind: 'catalogs' }>): void {
  const targets = targetsOf(event.shards, event.archived, state.parameters.replicas)
  const catalog: { shard: Shard; target: number }[] = []
  for (const shard of event.shards) {
    const number = state.names.shards.number(shard.key)
    if (number < 0) continue
    catalog[number] = { shard, target: targets.get(shard.key) ?? state.parameters.replicas }
    state.ledger.touch(number)
  }
  state.shards = new Map(event.shards.map((shard) => [shard.key, shard]))
  state.catalog = catalog
  for (const number of state.short.keys()) if (catalog[number] === undefined) state.short.delete(number)
  state.listed = event.listed
  state.ledger.setListed(event.listed)
}

/**
 * R for the two newest runs of a wiki in a dataset, and for every run without a verified archive copy; 1 for the others. In
 * a catalog all runs are settled.
 */
export function targetsOf(
  shards: readonly Shard[],
  archived: ReadonlySet<ShardKey>,
  replicas: number,
): Map<ShardKey, number> {
  const dates = new Map<string, string[]>()
  for (const shard of shards) {
    const series = `${shard.dataset}/${shard.wiki}`
    const known = dates.get(series) ?? []
    if (!known.includes(shard.date)) dates.set(series, [...known, shard.date])
  }
  const fresh = new Set<string>()
  for (const [series, all] of dates) {
    for (const date of all.sort().slice(-FRESH_RUNS)) fresh.add(`${series}/${date}`)
  }
  return new Map(
    shards.map((shard) => {
      const { dataset, wiki, date } = parseShardId(shard.id)
      const wanted = fresh.has(`${dataset}/${wiki}/${date}`) || !archived.has(shard.key)
      return [shard.key, wanted ? replicas : 1]
    }),
  )
}

/** How many replicas each shard should have (PROTOCOL 5). */
import { parseShardId, type ShardKey } from '../ids.ts'
import type { Shard } from '../shard/shard.ts'
import type { Event } from './event.ts'
import { satisfied } from './shortage.ts'
import type { Catalogued, CoreState } from './state.ts'

/** Runs of a wiki and dataset, the newest first, that are kept at R even when they are archived. */
const FRESH_RUNS = 2

/** Takes the catalogs: every shard gets its number and its target, and is looked at again. */
export function takeCatalogs(state: CoreState, event: Extract<Event, { kind: 'catalogs' }>): void {
  const targets = targetsOf(event.shards, event.archived, state.parameters.replicas)
  const catalog: Catalogued[] = []
  for (const shard of event.shards) {
    const number = state.names.shards.number(shard.key)
    if (number < 0) continue
    const target = targets.get(shard.key) ?? state.parameters.replicas
    catalog[number] = { shard, target, chosen: isChosen(state, shard) }
    state.ledger.watch(number)
    state.ledger.touch(number)
  }
  state.shards = new Map(event.shards.map((shard) => [shard.key, shard]))
  state.catalog = catalog
  for (const number of state.short.shards()) if (catalog[number] === undefined) satisfied(state, number)
  state.listed = event.listed
  state.ledger.setListed(event.listed)
}

/** `yo` chooses yowiki, yowiktionary, ...: the language code is what stands before the project in a dbname. */
function isChosen(state: CoreState, shard: Shard): boolean {
  const { languages } = state.settings
  if (languages.length === 0) return false
  const language = LANGUAGE.exec(shard.wiki)?.[1]
  return languages.some((code) => language === code.replace(/-/g, '_'))
}
const LANGUAGE = /^([a-z_]+?)wik(?:i|tionary|ibooks|iquote|inews|isource|iversity|ivoyage)$/

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

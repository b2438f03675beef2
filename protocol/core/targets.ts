/** How many replicas each shard should have (PROTOCOL 5). */
import { preference } from '../dump/project.ts'
import { parseShardId, type ShardKey } from '../ids.ts'
import { isArchived } from '../ledger/health.ts'
import type { Shard } from '../shard/shard.ts'
import type { Event, Now } from './event.ts'
import { isStale, observedShards, reweighAll } from './observing.ts'
import { satisfied } from './shortage.ts'
import type { Catalogued, CoreState } from './state.ts'

/** Runs of a wiki and dataset, the newest first, that are kept at R even when they are archived. */
const FRESH_RUNS = 2

/** Takes the catalogs: every shard gets its number and its target; those of which something changed are looked at again. */
export function takeCatalogs(state: CoreState, event: Extract<Event, { kind: 'catalogs' }>, now: Now): void {
  const wasStale = isStale(state, now)
  const { shards, archived, listed } = event
  const isSame = shards === state.catalogs && archived === state.archived && listed === state.listed
  state.catalogReadAtMs = event.readAtMs
  if (wasStale && !isStale(state, now)) state.observations.freshSinceMs = now.wallMs
  state.observations.lookAtMs = now.monotonicMs
  // Most often it only says that upstream was looked at again.
  if (isSame) return
  state.catalogs = shards
  state.named = new Map(shards.map((shard) => [shard.key, shard]))
  state.archived = archived
  state.listed = listed
  state.ledger.setListed(listed)
  reweighAll(state, now)
  putTogether(state, now)
}

/** The shards that this node acts on: those of the catalogs, and what was observed while no coordinator was heard of. */
export function putTogether(state: CoreState, now: Now): void {
  state.observations.changed = false
  const observed = observedShards(state).filter((shard) => !state.named.has(shard.key))
  state.shards =
    observed.length === 0
      ? state.named
      : new Map([...state.named, ...observed.map((shard) => [shard.key, shard] as const)])
  retarget(state, now)
}

/** Verifications of the archive grow old, whether anybody says something or not. */
export function retargetWhenDue(state: CoreState, now: Now): void {
  if (now.wallMs >= state.retargetAtMs) retarget(state, now)
}

export function retarget(state: CoreState, now: Now): void {
  const { archived, parameters, names } = state
  const { auditValidMs, clockSkewMs } = parameters
  const counting = new Set<ShardKey>()
  state.retargetAtMs = Number.POSITIVE_INFINITY
  for (const [key, atMs] of archived) {
    const counts = isArchived(atMs, now.wallMs, parameters)
    if (counts) counting.add(key)
    const changesAtMs = counts ? atMs + auditValidMs + 1 : atMs - clockSkewMs
    if (changesAtMs > now.wallMs) state.retargetAtMs = Math.min(state.retargetAtMs, changesAtMs)
  }
  const shards = [...state.shards.values()]
  // What was observed is in no archive, and does not make an older run of the catalogs count for less.
  const targets = targetsOf([...state.named.values()], counting, parameters.replicas)
  const before = state.catalog
  const { languages, projects } = state.settings
  const catalog: Catalogued[] = []
  for (const shard of shards) {
    const number = names.shards.number(shard.key)
    if (number < 0) continue
    const known = before[number]
    const target = targets.get(shard.key) ?? parameters.replicas
    const archivedAtMs = archived.get(shard.key) ?? 0
    catalog[number] = {
      shard,
      target,
      preference: known?.preference ?? preference(shard.wiki, languages, projects),
      archivedAtMs,
    }
    if (known?.target === target) continue
    state.ledger.watch(number)
    state.ledger.touch(number)
  }
  state.catalog = catalog
  for (const number of state.short.shards()) if (catalog[number] === undefined) satisfied(state, number)
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

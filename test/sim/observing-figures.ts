/** What must hold of a run in which the coordinator was dead: upstream's new runs were taken all the same, and few looked (PROTOCOL 1). */
import { OBSERVERS } from '../../protocol/catalog/observers.ts'
import { HOUR_MS } from './clock.ts'
import type { Broken } from './invariants.ts'
import { placesByShard } from './places.ts'
import type { Simulation } from './simulation.ts'

/** Claims, fetches and homes that are off at night, once it was observed. */
const TAKEN_WITHIN_MS = 30 * HOUR_MS
/** Of one virtual day, which holds parts of two of theirs; where nobody fails. */
const READINGS_MAX = 3 * OBSERVERS

/** Only the coordinator fails, and liars make things up. */
const isQuiet = ({ options }: Simulation) =>
  options.faults.has('coordinator') &&
  [...options.faults].every((fault) => fault === 'coordinator' || fault === 'liars')

/** What upstream settled while the coordinator was dead is held by somebody honest within days. */
export function servedWithoutCoordinator(sim: Simulation): Broken {
  const { coordinator, parameters, upstream, timeMs } = sim
  if (!isQuiet(sim) || !coordinator.dead) return null
  const { observeAfterMs, observeEveryMs } = parameters
  const withinMs = observeAfterMs + 2 * observeEveryMs + TAKEN_WITHIN_MS
  const places = placesByShard(sim, true)
  for (const { index, settledAtMs, deletedAtMs, shard } of upstream.real) {
    if (timeMs - settledAtMs < withinMs || deletedAtMs <= timeMs || (places.get(index) ?? 0) > 0) continue
    return { detail: `nobody took ${shard.id} in the coordinator's absence`, shard: index }
  }
  return null
}

/** Upstream is looked at by few. */
export function fewReadUpstream(sim: Simulation): Broken {
  if (!isQuiet(sim)) return null
  for (const [day, count] of sim.observations.readings) {
    if (count > READINGS_MAX) return { detail: `${count} nodes read upstream on day ${day}`, shard: -1 }
  }
  return null
}

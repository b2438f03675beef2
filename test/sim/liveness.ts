/** When the faults have stopped, everything must come to rest where it should be, within a bound (docs/PROTOCOL.md, 11.5). */
import { HOUR_MS, MINUTE_MS } from './clock.ts'
import { knownSequence, ownShard, reservedBytes, reservedOf } from './core-view.ts'
import { somebodyIsReachable } from './figures.ts'
import type { Machine } from './machine.ts'
import { isBeside, placesByShard } from './places.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

export interface Converged {
  /** Hours from the end of the faults, or null: it did not within the bound. */
  readonly hours: number | null
  /** Shards of which no honest node has a whole copy and upstream has none any more. */
  readonly lost: number
  /** Shards below R, with nobody left who could take them. */
  readonly capacityShort: number
}

const LOOK_EVERY_MS = 30 * MINUTE_MS
/** A metered line, as `profiles` has them. */
const SLOWEST_BYTES_PER_SECOND = 100_000

/** Stops the faults and waits. What is still wrong at the end of the bound is a violation. */
export function settle(sim: Simulation): Converged {
  sim.calm()
  const startMs = sim.timeMs
  while (sim.violations.length === 0) {
    sim.run(sim.timeMs + LOOK_EVERY_MS)
    const open = firstOpen(sim)
    const hours = (sim.timeMs - startMs) / HOUR_MS
    if (open === null) return { hours, lost: lostShards(sim).length, capacityShort: shortOfCapacity(sim) }
    if (hours < boundHours(sim, open)) continue
    sim.violate('liveness', `after ${hours} h without faults: ${open.what}`, open.machine, open.shard)
  }
  return { hours: null, lost: lostShards(sim).length, capacityShort: shortOfCapacity(sim) }
}

/** A big shard that only a slow home still has takes days on its line, which others share. */
function boundHours(sim: Simulation, { shard }: Open): number {
  const sizeBytes = sim.upstream.shards[shard]?.shard.sizeBytes ?? 0
  const onceHours = sizeBytes / SLOWEST_BYTES_PER_SECOND / 3600
  return sim.options.livenessHours + 2 * onceHours
}

interface Open {
  readonly what: string
  readonly machine: number
  readonly shard: number
}

/** Something that is not as it should be at rest; null when all is. */
function firstOpen(sim: Simulation): Open | null {
  const places = placesByShard(sim, true)
  for (const index of sim.coordinator.catalogued) {
    const shard = sim.upstream.shards[index] as SimShard
    const held = places.get(index) ?? 0
    if (held >= sim.archive.wanted(shard, sim.wallMs, 0) || isLost(sim, shard)) continue
    const taker = couldTake(sim, shard)
    if (taker !== null) {
      const what = `it is held in ${held} places, and n${taker.index} could`
      return { what, machine: taker.index, shard: index }
    }
  }
  // A reachable one is taken only after a while when there are enough others.
  const hidden = somebodyIsReachable(sim)
  if (hidden !== null) return { what: hidden.detail, machine: -1, shard: hidden.shard }
  return disagreement(sim)
}

/** Every honest node knows of every other the newest that it said, but for what is on its way. */
function disagreement(sim: Simulation): Open | null {
  const settledMs = 10 * MINUTE_MS
  for (const machine of sim.machines) {
    if (!machine.up || machine.state === null) continue
    for (const other of sim.machines) {
      if (!other.up || other === machine) continue
      const said = sim.truth.sequenceOf(other)
      const known = knownSequence(machine.state, other.id)
      // A sequence is at least the time on its sender's clock.
      if (known < said && said < other.clock.read(sim.timeMs - settledMs).wallMs) {
        return {
          what: `n${machine.index} does not know what n${other.index} said`,
          machine: machine.index,
          shard: -1,
        }
      }
    }
  }
  return null
}

/** An honest node with room, of an operator and in a network that do not have it, that some source of the bytes could reach. */
function couldTake(sim: Simulation, shard: SimShard): Machine | null {
  const having = sim.machines.filter(
    ({ gone, volunteer, state }) =>
      !gone && volunteer && state !== null && ownShard(state, shard.shard.key)?.held === true,
  )
  for (const machine of sim.machines) {
    if (!machine.up || !machine.honest || !machine.volunteer || machine.leaving || machine.state === null)
      continue
    if (isBeside(machine, having)) continue
    const needed = reservedBytes(shard.shard)
    const claimed = ownShard(machine.state, shard.shard.key) !== null
    const room = machine.bytesTotal - reservedOf(machine.state)
    const fits = claimed || (room >= needed && machine.disk.freeBytes >= needed)
    if (fits && hasSource(sim, machine, shard)) return machine
  }
  return null
}

/** Upstream still serves it, or a holder can be connected: two that take no inbound connection cannot. */
function hasSource(sim: Simulation, machine: Machine, shard: SimShard): boolean {
  if (sim.timeMs < shard.deletedAtMs) return true
  return sim.truth
    .holders(shard)
    .some(
      (one) =>
        one.up && one.profile.upBytesPerSecond > 0 && (one.profile.reachable || machine.profile.reachable),
    )
}

function isLost(sim: Simulation, shard: SimShard): boolean {
  return sim.timeMs >= shard.deletedAtMs && sim.truth.holders(shard).length === 0
}

export function lostShards(sim: Simulation): SimShard[] {
  return [...sim.coordinator.catalogued]
    .map((index) => sim.upstream.shards[index] as SimShard)
    .filter((shard) => isLost(sim, shard))
}

function shortOfCapacity(sim: Simulation): number {
  const places = placesByShard(sim)
  let count = 0
  for (const index of sim.coordinator.catalogued) {
    const shard = sim.upstream.shards[index] as SimShard
    if ((places.get(index) ?? 0) < sim.archive.wanted(shard, sim.wallMs, 0)) count++
  }
  return count
}

/**
 * What must hold of a whole run, looked at when the faults end and at rest: that the work was done, and not at any price. What only
 * homes and lines do to each other costs hardly anything, so there the bounds are the goals themselves.
 */
import { EXPIRY_SLACK_MS } from './archive.ts'
import { DAY_MS, HOUR_MS } from './clock.ts'
import { ownShard, targetOf } from './core-view.ts'
import type { Broken } from './invariants.ts'
import { fewReadUpstream, servedWithoutCoordinator } from './observing-figures.ts'
import type { FaultName } from './options.ts'
import { isBeside, placesByShard } from './places.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** Bytes from origin for each unique byte: without faults, and where nobody attacks and upstream answers. */
const ORIGIN_MAX = 1.05
const ORIGIN_EVERYDAY_MAX = 1.15
/** Nodes that begin a shard at origin, on the mean, without faults. */
const READERS_MAX = 1.05
/** Replicas for each one that is wanted, where nobody attacks. */
const SURPLUS_MAX = 1.25
/** Shards in more places than R, one in so many at most. */
const EXTRA_ONE_IN = 50
/** Claims let go as too many, one in so many at most, where nobody attacks. */
const OVER_CLAIMS_ONE_IN = 33
/** A replica of this age must have been proven once. */
const PROVEN_WITHIN_MS = 6 * HOUR_MS
/** A shard that is in a catalog for so long is held by somebody honest, whoever attacks. */
const SERVED_WITHIN_MS = 30 * HOUR_MS

/** What homes and their lines do every day. */
const EVERYDAY: ReadonlySet<FaultName> = new Set([
  'loss',
  'late',
  'duplicate',
  'skew',
  'churn',
  'slow',
  'unreachable',
  'crash',
] as const)
/** Of these, what takes no room and no bandwidth from a repair. */
const KIND: ReadonlySet<FaultName> = new Set(['loss', 'late', 'duplicate', 'skew', 'crash'] as const)
const isEveryday = ({ options }: Simulation) => [...options.faults].every((fault) => EVERYDAY.has(fault))

const ATTACKS: ReadonlySet<FaultName> = new Set([
  'liars',
  'forgers',
  'replayers',
  'equivocators',
  'sybils',
  'hogs',
  'free-riders',
] as const)

/** Each byte leaves upstream about once. */
export function originIsSpared(sim: Simulation): Broken {
  if (!isEveryday(sim) || sim.metrics.uniqueBytes === 0) return null
  const ratio = sim.metrics.originBytes / sim.metrics.uniqueBytes
  return ratio <= (sim.options.faults.size === 0 ? ORIGIN_MAX : ORIGIN_EVERYDAY_MAX)
    ? null
    : { detail: `${ratio.toFixed(2)} bytes from origin for each one`, shard: -1 }
}

/** Without faults one node of those that claim a shard leads, and the others wait for it. */
export function oneLeads(sim: Simulation): Broken {
  const { readersPerShard } = sim.metrics
  if (sim.options.faults.size > 0 || readersPerShard <= READERS_MAX) return null
  return { detail: `${readersPerShard.toFixed(2)} nodes began each shard at origin`, shard: -1 }
}

/** Nobody keeps much more than is wanted, however often homes are silent. */
export function noSurplus(sim: Simulation): Broken {
  if (!isEveryday(sim)) return null
  let held = 0
  for (const machine of sim.machines) {
    if (!machine.honest || !machine.volunteer) continue
    for (const copy of machine.disk.copies.values()) if (copy.whole) held++
  }
  const wanted = sim.coordinator.catalogued.size * sim.parameters.replicas
  return held <= wanted * SURPLUS_MAX
    ? null
    : { detail: `${held} replicas, where ${wanted} are wanted`, shard: -1 }
}

/** Where nobody fails, hardly a shard is held in more places than R, whoever can be reached. */
export function noExtraPlaces(sim: Simulation): Broken {
  if ([...sim.options.faults].some((fault) => fault !== 'unreachable')) return null
  const extra = [...placesByShard(sim)].filter(([, places]) => places > sim.parameters.replicas)
  const [first] = extra
  if (first === undefined || extra.length * EXTRA_ONE_IN <= sim.coordinator.catalogued.size) return null
  return { detail: `${extra.length} shards are held in more places than R`, shard: first[0] }
}

/** Every honest replica that stands for a while, beside another one, was proven by somebody. */
export function everythingIsProven(sim: Simulation): Broken {
  if (sim.options.faults.size > 0) return null
  const places = placesByShard(sim)
  for (const machine of sim.machines) {
    if (!machine.honest || !machine.volunteer || machine.state === null) continue
    for (const own of machine.state.own.values()) {
      const shard = sim.upstream.get(own.shard.key)
      const age = machine.clock.read(sim.timeMs).wallMs - own.sinceMs
      if (own.state !== 'held' || age < PROVEN_WITHIN_MS || (places.get(shard.index) ?? 0) < 2) continue
      const proofs = sim.truth.proofs(shard).get(machine.index)
      if (proofs === undefined)
        return { detail: `nobody ever proved n${machine.index}'s replica`, shard: shard.index }
      const newestMs = Math.max(...proofs.values())
      const { auditEveryMs } = sim.parameters
      if (sim.timeMs - newestMs > auditEveryMs + DAY_MS) {
        return { detail: `n${machine.index}'s replica was not proven for long`, shard: shard.index }
      }
    }
  }
  return null
}

/** Attackers alone cannot keep the honest from taking what they should. */
export function servedUnderAttack(sim: Simulation): Broken {
  const { faults } = sim.options
  if (faults.size === 0 || [...faults].some((fault) => !ATTACKS.has(fault))) return null
  const places = placesByShard(sim, true)
  for (const index of sim.coordinator.catalogued) {
    const shard = sim.upstream.shards[index] as SimShard
    if (sim.timeMs - shard.settledAtMs < SERVED_WITHIN_MS || sim.timeMs < SERVED_WITHIN_MS) continue
    const held = places.get(index) ?? 0
    if (held === 0) return { detail: 'no honest node holds it, for attackers are in the way', shard: index }
  }
  return null
}

/** Within a day after those who are gone stop counting, every shard that had had R replicas has them again. */
export function repairedInTime(sim: Simulation): Broken {
  const { massLossAtMs, recoveredAtMs } = sim.metrics
  const hinders = (fault: FaultName) => fault !== 'mass-loss' && !KIND.has(fault)
  if (massLossAtMs === null || [...sim.options.faults].some(hinders)) return null
  const { ttlMs, clockSkewMs, restMs } = sim.parameters
  const allowedMs = ttlMs + clockSkewMs + restMs + DAY_MS
  const tookMs = (recoveredAtMs ?? sim.timeMs) - massLossAtMs
  if (recoveredAtMs !== null ? tookMs <= allowedMs : tookMs < allowedMs) return null
  return { detail: `${Math.round(tookMs / HOUR_MS)} h after the loss some shards were not back`, shard: -1 }
}

/** Claims are made in turn: few are one too many. */
export function claimsInTurn(sim: Simulation): Broken {
  const { claims, overClaims } = sim.metrics
  if (!isEveryday(sim) || overClaims * OVER_CLAIMS_ONE_IN <= claims) return null
  return { detail: `${overClaims} of ${claims} claims were one too many`, shard: -1 }
}

/** A copy that others found damaged is read again, and is not said to be held as it is. */
export function failuresAreHeeded(sim: Simulation): Broken {
  for (const machine of sim.machines) {
    if (!machine.honest || machine.state === null) continue
    for (const [index, copy] of machine.disk.copies) {
      const failedMs = sim.truth.failedAt(copy.shard, machine)
      if (!copy.whole || copy.damaged.length === 0 || failedMs === null || sim.timeMs - failedMs < DAY_MS)
        continue
      if (ownShard(machine.state, copy.shard.shard.key)?.held === true) {
        return { detail: `n${machine.index} still holds what others found damaged`, shard: index }
      }
    }
  }
  return null
}

/** What a node has whole it still says it holds, unless its store was lost. */
export function forgetsNothing(sim: Simulation): Broken {
  for (const machine of sim.machines) {
    if (!machine.honest || machine.forgot || machine.state === null) continue
    for (const [index, copy] of machine.disk.copies) {
      if (!copy.whole || ownShard(machine.state, copy.shard.shard.key) !== null) continue
      return { detail: `n${machine.index} has it whole and does not know`, shard: index }
    }
  }
  return null
}

/** PROTOCOL 5: while somebody reachable could take it, one of the replicas is reachable. */
export function somebodyIsReachable(sim: Simulation): Broken {
  const volunteers = sim.machines.filter((one) => one.up && one.honest && one.volunteer && !one.leaving)
  for (const index of sim.coordinator.catalogued) {
    const shard = sim.upstream.shards[index] as SimShard
    const holders = volunteers.filter((one) => one.disk.copies.get(index)?.whole === true)
    const wanted = sim.archive.wanted(shard, sim.wallMs, 0)
    if (holders.length < wanted || holders.some((one) => one.profile.reachable)) continue
    const could = volunteers.some(
      (one) =>
        one.profile.reachable && one.disk.freeBytes > 2 * shard.shard.sizeBytes && !isBeside(one, holders),
    )
    if (could) return { detail: `${holders.length} replicas, and nobody can connect to one`, shard: index }
  }
  return null
}

/** What is wanted of a shard is what its age and the archive say, to every node that heard the newest index. */
export function wantsEnough(sim: Simulation): Broken {
  for (const machine of sim.machines) {
    if (machine.state === null || machine.catalogs?.sequence !== sim.coordinator.sequence) continue
    const { wallMs } = machine.clock.read(sim.timeMs)
    for (const shard of machine.state.shards.values()) {
      const one = sim.upstream.get(shard.key)
      const target = targetOf(machine.state, shard.key)
      const sooner = sim.archive.wanted(one, wallMs, -EXPIRY_SLACK_MS)
      if (target === sooner || target === sim.archive.wanted(one, wallMs, EXPIRY_SLACK_MS)) continue
      return { detail: `n${machine.index} wants ${target} replicas, not ${sooner}`, shard: one.index }
    }
  }
  return null
}

/** Name and check; a broken one is a violation. */
const AT_END = {
  'served-under-attack': servedUnderAttack,
  'served-without-coordinator': servedWithoutCoordinator,
  'few-read-upstream': fewReadUpstream,
} as const
const AT_REST = {
  'origin-is-spared': originIsSpared,
  'one-leads': oneLeads,
  'no-surplus': noSurplus,
  'no-extra-places': noExtraPlaces,
  'repaired-in-time': repairedInTime,
  'claims-in-turn': claimsInTurn,
  'failures-are-heeded': failuresAreHeeded,
  'forgets-nothing': forgetsNothing,
  'everything-is-proven': everythingIsProven,
  'somebody-is-reachable': somebodyIsReachable,
  'wants-enough': wantsEnough,
} as const

export function checkFigures(sim: Simulation, when: 'end' | 'rest'): void {
  for (const [name, check] of Object.entries(when === 'end' ? AT_END : AT_REST)) {
    const broken = check(sim)
    if (broken !== null) sim.violate(name, broken.detail, -1, broken.shard)
  }
}

/**
 * The catalog without a coordinator (PROTOCOL 1): when this node reads upstream itself, and which runs that others read it acts on.
 * A coordinator's word always wins.
 */
import { dayOf, type Observation, type RunReference } from '../catalog/observation.ts'
import {
  basisOf,
  listedAreLive,
  OBSERVERS,
  observerClass,
  observerDelayMs,
  observerOrder,
  type Witness,
} from '../catalog/observers.ts'
import { runDateMs } from '../dump/dates.ts'
import {
  parseRunId,
  parseShardId,
  parseShardKey,
  type RunId,
  runIdOf,
  type ShardKey,
  seriesOf,
} from '../ids.ts'
import { OBSERVED_RUNS_A_DAY_MAX, OBSERVED_RUNS_MAX } from '../limits.ts'
import { countPlaces } from '../placement/places.ts'
import { waitMs } from '../placement/rank.ts'
import type { Shard } from '../shard/shard.ts'
import { settled } from './claiming.ts'
import type { Effect } from './effect.ts'
import type { Event, Now } from './event.ts'
import { newestRuns } from './newest-runs.ts'
import type { CountedRun } from './observations.ts'
import type { CoreState } from './state.ts'

/** In so many waves of a day the others step in for observers that fail. */
const WAVES_A_DAY = 24
/** A run is not taken on others' word when it is so many times larger than the wiki's newest one that a coordinator named... */
const GROWTH_MAX = 4
/** ... nor a small one above this. */
const SMALL_BYTES = 64 * 1024 ** 2
/** Documents of one run that count beside each other: upstream may change a run. */
const REVISIONS_MAX = 2
/** What upstream did not confirm is left alone for so many days. */
const REFUSED_DAYS = 7

/** No coordinator is known to have read upstream lately, though once one did. */
export function isStale(
  { catalogReadAtMs, parameters }: Pick<CoreState, 'catalogReadAtMs' | 'parameters'>,
  now: Pick<Now, 'wallMs'>,
): boolean {
  if (catalogReadAtMs === 0) return false
  const isFresh =
    now.wallMs - catalogReadAtMs < parameters.observeAfterMs &&
    catalogReadAtMs <= now.wallMs + parameters.clockSkewMs
  return !isFresh
}

/** A coordinator came back a while ago: what it does not name by now it does not want named. */
function isSuperseded(state: CoreState, now: Now): boolean {
  const { observations, parameters } = state
  return !isStale(state, now) && now.wallMs - observations.freshSinceMs >= parameters.observeAfterMs
}

/** Shards that this node acts on beside those of the catalogs. A coordinator reads these runs itself first. */
export function observedShards(state: CoreState): Shard[] {
  if (state.settings.role === 'collector') return []
  return countedShards(state)
    .filter(({ refusedUntilMs }) => refusedUntilMs === 0)
    .flatMap((one) => one.shards)
}

/** Runs that count and whose document is here. */
export function countedShards({ observations }: CoreState): (CountedRun & { shards: readonly Shard[] })[] {
  return [...observations.counted.values()].filter(
    (one): one is CountedRun & { shards: readonly Shard[] } => one.shards !== null,
  )
}

/** Only strangers vouch for it, if anybody does: who fetches it, from whomever, reads the run's status at upstream first. */
export function mustReadFirst(state: CoreState, shard: ShardKey): boolean {
  if (state.named.has(shard) || state.catalogReadAtMs === 0) return false
  const basis = countedRunOf(state, shard)?.basis
  return basis !== 'own' && basis !== 'listed'
}

function countedRunOf(state: CoreState, key: ShardKey): CountedRun | undefined {
  const run = runIdOf(parseShardId(parseShardKey(key).id))
  return state.observations.revisions(run).find((one) => one.shards?.some((shard) => shard.key === key))
}

// ------------------------------------------------------------- what is heard

export function takeObservation(
  state: CoreState,
  { observation, replaces }: Extract<Event, { kind: 'observation' }>,
  now: Now,
): void {
  const { observations } = state
  if (replaces !== null) observations.remove(replaces)
  observations.add(observation, now.monotonicMs)
  weigh(state, observation, now)
  // Somebody did today's work, or this node did.
  observations.lookAtMs = Math.min(observations.lookAtMs, now.monotonicMs)
}

/** The document of a run that counts: its digests were checked by whoever brought it. */
export function takeRun(
  state: CoreState,
  { sha256, shards }: Extract<Event, { kind: 'run' }>,
  now: Now,
): void {
  const run = state.observations.counted.get(sha256)
  const [first] = shards
  if (run === undefined || run.shards !== null || first === undefined) return
  const sizeBytes = shards.reduce((sum, shard) => sum + shard.sizeBytes, 0)
  const last = newestRuns(state).get(seriesOf(first))?.sizeBytes ?? 0
  run.shards = shards
  if (run.basis !== 'own' && sizeBytes > Math.max(GROWTH_MAX * last, SMALL_BYTES)) refuse(state, run, now)
  state.observations.changed = true
}

/** Upstream itself gives another shard, or none. */
export function refuseObserved(state: CoreState, shard: ShardKey, now: Now): void {
  const run = state.named.has(shard) ? undefined : countedRunOf(state, shard)
  if (run !== undefined) refuse(state, run, now)
}

function refuse(state: CoreState, run: CountedRun, now: Now): void {
  run.refusedUntilMs = now.wallMs + REFUSED_DAYS * state.parameters.observeEveryMs
  state.observations.changed = true
}

/** Coordinators named other shards: their word stands, and wikis may be known that were not. */
export function reweighAll(state: CoreState, now: Now): void {
  const { observations } = state
  observations.newest = null
  const named = new Set<RunId>()
  for (const shard of state.named.values()) named.add(runIdOf(shard))
  for (const run of [...observations.counted.values()]) if (named.has(run.reference.run)) uncount(state, run)
  for (const [observation] of observations.heard()) weigh(state, observation, now)
}

function weigh(state: CoreState, observation: Observation, now: Now): void {
  const { observations, parameters } = state
  const day = dayOf(observation.atMs, parameters.observeEveryMs)
  const strangersCount = doStrangersCount(state, now)
  for (const reference of observation.runs) {
    const known = observations.counted.get(reference.sha256)
    if (known === undefined && !isAdmissible(state, reference, day, now)) continue
    const witnesses = observations.witnesses(reference.sha256).map((one) => witnessOf(state, one))
    const basis = basisOf(witnesses, strangersCount)
    if (basis === null) continue
    if (known === undefined) {
      if (!mayCount(state, now)) continue
      observations.count({ reference, basis, day, shards: null, refusedUntilMs: 0 })
      state.unpersisted = true
    } else if (known.basis === 'open' && basis !== 'open') {
      known.basis = basis
      known.refusedUntilMs = 0
      observations.changed = true
      state.unpersisted = true
    }
  }
}

/** Else two who lie together could send every node to upstream for each run that they make up. */
function doStrangersCount({ ledger, listed, names }: CoreState, now: Now): boolean {
  const numbers = [...listed.keys()].map((node) => names.nodes.find(node))
  return !listedAreLive(ledger, numbers, now.wallMs)
}

/** They are of use while no coordinator speaks; to one that came back for as long as its own next catalogs take. */
function mayCount(state: CoreState, now: Now): boolean {
  return isStale(state, now) || (state.settings.role === 'collector' && !isSuperseded(state, now))
}

/** A newer run of a wiki that a coordinator named, not from the future, and not too many of them. */
function isAdmissible(state: CoreState, { run }: RunReference, day: number, now: Now): boolean {
  const { observations, parameters } = state
  const { dataset, wiki, date } = parseRunId(run)
  const newest = newestRuns(state).get(seriesOf({ dataset, wiki }))
  if (newest === undefined || date <= newest.date) return false
  if (runDateMs(date) > now.wallMs + parameters.clockSkewMs) return false
  return (
    observations.counted.size < OBSERVED_RUNS_MAX &&
    observations.countedOn(day) < OBSERVED_RUNS_A_DAY_MAX &&
    observations.revisions(run).length < REVISIONS_MAX
  )
}

function witnessOf(state: CoreState, { node, operator }: Observation): Witness {
  const { ledger, names } = state
  const number = names.nodes.find(node)
  return {
    isSelf: node === state.self,
    operator: names.operators.number(operator === '' ? node : operator),
    listedOperator: number < 0 ? -1 : ledger.listedOperator(number),
    network: number < 0 ? -1 : ledger.networkNumber(number),
  }
}

function uncount(state: CoreState, run: CountedRun): void {
  state.observations.uncount(run)
  state.unpersisted = true
}

// ------------------------------------------------------------- what is due

/** Every few hours: what is old and of no use goes, and what was left alone long enough is looked at again. */
export function sweepObservations(state: CoreState, now: Now, out: Effect[]): void {
  const { observations, parameters } = state
  observations.lookAtMs = now.monotonicMs
  if (isSuperseded(state, now)) for (const run of [...observations.counted.values()]) uncount(state, run)
  for (const run of observations.counted.values()) {
    if (run.refusedUntilMs === 0 || now.wallMs < run.refusedUntilMs) continue
    run.refusedUntilMs = 0
    observations.changed = true
  }
  for (const [observation, atMs] of [...observations.heard()]) {
    if (observation.atMs >= now.wallMs - parameters.goneMs) continue
    if (now.monotonicMs - atMs < parameters.observeEveryMs) continue
    if (observation.runs.some(({ sha256 }) => observations.counted.has(sha256))) continue
    observations.remove(observation)
    out.push({ kind: 'forget-observation', observation })
  }
}

export function planObservations(state: CoreState, now: Now, out: Effect[]): void {
  const { observations } = state
  if (now.monotonicMs >= observations.lookAtMs) observations.lookAtMs = lookAgainAtMs(state, now, out)
  if (!observations.wanting) return
  observations.wanting = false
  const counted = [...observations.counted.values()]
  const missing = counted.filter((one) => one.shards === null).map((one) => one.reference)
  out.push({ kind: 'pull-runs', missing, kept: [...observations.counted.keys()] })
}

/** Reads upstream when it is this node's turn; monotonic ms when that is asked again. */
function lookAgainAtMs(state: CoreState, now: Now, out: Effect[]): number {
  const { observations, parameters, ledger, selfNumber } = state
  const { observeAfterMs, observeEveryMs, settleMs } = parameters
  const inMs = (wallMs: number) => now.monotonicMs + Math.max(1, wallMs - now.wallMs)
  if (state.catalogReadAtMs === 0) return Number.POSITIVE_INFINITY
  const staleAtMs = state.catalogReadAtMs + observeAfterMs
  const stale = isStale(state, now)
  if (stale && !observations.wasStale) reweighAll(state, now)
  observations.wasStale = stale
  if (!stale) return inMs(staleAtMs)
  if (state.settings.role === 'collector' || state.leaving || state.joinedAtMs === null)
    return Number.POSITIVE_INFINITY
  if (!settled(state, now)) return state.joinedAtMs + settleMs
  const day = dayOf(now.wallMs, observeEveryMs)
  const nextDayAtMs = inMs((day + 1) * observeEveryMs)
  const hasRead = dayOf(observations.observedAtMs, observeEveryMs) >= day
  if (hasRead) return nextDayAtMs
  const waveMs = Math.ceil(observeEveryMs / WAVES_A_DAY)
  const place = observerOrder(ledger, day, now.wallMs, (node) => !state.frozen.has(node)).indexOf(selfNumber)
  // It does not know itself before it has published.
  if (place < 0) return Math.min(nextDayAtMs, now.monotonicMs + waveMs)
  // The first ones read whatever others say, so that nobody keeps upstream from being looked at by saying that he did.
  if (place >= OBSERVERS && placesOn(state, day) >= OBSERVERS) return nextDayAtMs
  const delayMs = waitMs(place, OBSERVERS, waveMs) + observerDelayMs(day, state.self, waveMs)
  const dueAtMs = Math.max(day * observeEveryMs, staleAtMs) + delayMs
  if (now.wallMs < dueAtMs) return Math.min(nextDayAtMs, inMs(dueAtMs))
  // Stored before it is done: once a day, whatever comes of it.
  observations.observedAtMs = now.wallMs
  state.unpersisted = true
  const after = new Map([...newestRuns(state)].map(([series, { date }]) => [series, date]))
  out.push({ kind: 'observe', after, known: [...state.shards.values()] })
  return nextDayAtMs
}

/** Independent places of those who observed on this day and come before this node, or beside it. */
function placesOn(state: CoreState, day: number): number {
  const { ledger, names, observations, parameters } = state
  const own = observerClass(ledger, state.selfNumber)
  const nodes = observations
    .nodesOn(day, parameters.observeEveryMs)
    .map((node) => names.nodes.find(node))
    .filter((node) => observerClass(ledger, node) <= own)
  return countPlaces(
    nodes.map((node) => ledger.operatorNumber(node)),
    nodes.map((node) => ledger.networkNumber(node)),
  )
}

/** Monotonic ms. */
export function observeWakeMs({ observations }: CoreState): number {
  return observations.changed || observations.wanting ? 0 : observations.lookAtMs
}

/** Which shards are short of their target, and when this node's turn to claim them comes (PROTOCOL 5). */
import { NODE_MANIFEST_ENTRIES_MAX } from '../limits.ts'
import { countPlaces } from '../placement/places.ts'
import { waitMs } from '../placement/rank.ts'
import type { Shard } from '../shard/shard.ts'
import type { Now } from './event.ts'
import { type CoreState, reservedBytes } from './state.ts'

/** Claims that a node allows itself while it is on probation. */
const PROBATION_CLAIMS_MAX = 4
/** A node without a proven replica that claims more than this is hogging: its claims do not count. */
const HOG_CLAIMS_MIN = 32

/** Who is on a shard. Reused from call to call: read it at once. */
export interface Taken {
  /** Independent places that they are in (PROTOCOL 5): what counts towards the target. */
  places: number
  /** Operator and network of each node on it. */
  readonly operators: number[]
  readonly networks: number[]
  hasReachable: boolean
  /** Reachable nodes on it. */
  reachable: number
}
const scratch: Taken = { places: 0, operators: [], networks: [], hasReachable: false, reachable: 0 }

/**
 * Live and resting nodes that hold or claim it; this node's own entry is left out. While no live replica is proven,
 * resting replicas count half as long (PROTOCOL 4): the last ones must not be waited for.
 */
export function takenBy(state: CoreState, shard: number, now: Now): Taken {
  const { ledger, parameters } = state
  const { slots } = ledger
  scratch.operators.length = 0
  scratch.networks.length = 0
  scratch.hasReachable = false
  scratch.reachable = 0
  // Nobody would fetch them again before that from elsewhere (PROTOCOL 6).
  const restMs = hasLiveProof(state, shard, now) ? parameters.restMs : parameters.restMs >> 1
  for (let slot = slots.first(shard); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    if (node === state.selfNumber || !ledger.offersRoom(node) || state.frozen.has(node)) continue
    if (now.wallMs > countsUntilMs(state, slot, restMs)) continue
    if (!slots.isHeld(slot) && !mayClaim(state, node)) continue
    scratch.operators.push(ledger.operatorNumber(node))
    scratch.networks.push(ledger.networkNumber(node))
    if (ledger.isReachable(node)) scratch.reachable++
  }
  scratch.hasReachable = scratch.reachable > 0
  scratch.places = countPlaces(scratch.operators, scratch.networks)
  return scratch
}

/** Would a node of this operator in this network be no new place beside those on it? */
export function isKin(taken: Taken, operator: number, network: number): boolean {
  return taken.operators.includes(operator) || (network >= 0 && taken.networks.includes(network))
}

/**
 * Unix ms until when a claim or replica counts if nothing more is heard: its node rests too long, the claim does not grow, or
 * somebody whose word counts found the replica wrong and its node had the time of a claim to repair it (PROTOCOL 7).
 */
function countsUntilMs({ ledger, parameters }: CoreState, slot: number, replicaRestMs: number): number {
  const { slots } = ledger
  const silentAfterMs = ledger.silentAfterMs(slots.node(slot))
  if (!slots.isHeld(slot)) {
    return Math.min(silentAfterMs + parameters.restMs, slots.changedAtMs(slot) + parameters.claimStallMs)
  }
  const proof = ledger.proofOf(slot)
  const restsUntilMs = silentAfterMs + replicaRestMs
  return proof < 0 ? Math.min(restsUntilMs, parameters.claimStallMs - proof) : restsUntilMs
}

/**
 * Touches the shards of which something stopped counting since the last look by the passing of time alone: nobody speaks of that.
 * Who rests longer than `restMs` is found by the ledger's own sweep.
 */
export function touchExpired(state: CoreState, now: Now): void {
  const { ledger, parameters } = state
  const { slots } = ledger
  for (const shard of state.catalog.keys()) {
    for (let slot = slots.first(shard); slot >= 0; slot = slots.next(slot)) {
      const untilMs = countsUntilMs(state, slot, parameters.restMs >> 1)
      if (untilMs >= state.expiredUntilMs && untilMs < now.wallMs) ledger.touch(shard)
    }
  }
  state.expiredUntilMs = now.wallMs
}

function hasLiveProof(state: CoreState, shard: number, now: Now): boolean {
  const { ledger } = state
  for (let slot = ledger.slots.first(shard); slot >= 0; slot = ledger.slots.next(slot)) {
    if (ledger.provenAtMs(slot, now.wallMs) !== null && ledger.isLive(ledger.slots.node(slot), now.wallMs))
      return true
  }
  return false
}

/** Claims of nodes that equivocated do not count, nor those of a newcomer that claims far more than it may. */
function mayClaim(state: CoreState, node: number): boolean {
  if (state.frozen.has(node)) return false
  return state.ledger.isProven(node) || state.ledger.claims(node) < HOG_CLAIMS_MIN || !probationHolds(state)
}

/** PROTOCOL 5: probation only while at least R nodes off probation are known. */
export function probationHolds(state: CoreState): boolean {
  return state.ledger.provenNodes >= state.parameters.replicas
}

export function targetOf(state: CoreState, shard: number): number {
  return state.catalog[shard]?.target ?? 0
}

export function review(state: CoreState, number: number, now: Now): void {
  const known = state.catalog[number]
  if (known === undefined) return
  const own = state.own.get(known.shard.key)
  if (own !== undefined) {
    state.own.checkAudits(own, 0)
    satisfied(state, number)
    return
  }
  if (state.settings.role === 'collector') return
  const taken = takenBy(state, number, now)
  const missing = known.target - taken.places
  // PROTOCOL 5: one of the replicas must be reachable, however few are wanted.
  const need = Math.max(missing, taken.hasReachable || !state.reachable ? 0 : 1)
  if (need <= 0 || isKin(taken, state.operatorNumber, state.networkNumber)) {
    satisfied(state, number)
    return
  }
  const before = state.short.get(number)
  const turn = turnOf(state, known.shard, taken, need, now)
  // Whoever comes before this node now has had no time yet: the wait begins anew with each other turn.
  const sinceMs = before?.turn === turn ? before.sinceMs : now.monotonicMs
  const retryAtMs = state.failures.get(known.shard.key)?.retryAtMs ?? 0
  const { leadStallMs, claimStallMs } = state.parameters
  const isLast = !taken.hasReachable && !state.reachable && turn >= need - 1
  // Whoever was reachable may only have restarted.
  const restMs = isLast ? claimStallMs : missing > 0 ? 0 : leadStallMs
  // Of a place that is kept for others it is asked again after a while whether they still could take it.
  const dueAtMs =
    turn === KEPT
      ? now.monotonicMs + claimStallMs
      : Math.max(retryAtMs, sinceMs + restMs + waitMs(turn, need, state.parameters.waveMs))
  state.short.put(number, { sinceMs, turn, dueAtMs, taken: taken.places })
  // Until its turn comes, what happens to it changes nothing; then it is looked at again.
  if (turn === KEPT) state.ledger.watch(number)
  else state.ledger.unwatch(number)
}

/** This node has no need to take it; whatever happens to it is looked at. */
export function satisfied(state: CoreState, number: number): void {
  state.short.delete(number)
  state.ledger.watch(number)
}

/**
 * A node claims only when the others have known for a while that it has room: by then everybody agrees on who comes first, and
 * two that became free at once do not take the same shard.
 */
export function isOffered(state: CoreState, now: Now): boolean {
  return now.monotonicMs >= offeredFromMs(state)
}

/** Monotonic ms when the offer of room has gone round; never, while it was not made. */
export function offeredFromMs(state: CoreState): number {
  return state.offeredAtMs === null ? NEVER : state.offeredAtMs + state.parameters.publishMinMs
}

/** Claims that may be added now: the volunteer's own bound, and few while nobody has proven a replica of ours. */
export function claimsLeft(state: CoreState): number {
  const outstanding = state.own.claims.length
  const max = claimsAllowed(state, state.selfNumber, state.settings.claimsMax)
  // A node cannot say more than this; a claim that it could not tell would silence it.
  return Math.min(max - outstanding, NODE_MANIFEST_ENTRIES_MAX - state.own.size)
}

function claimsAllowed(state: CoreState, node: number, claimsMax: number): number {
  const onProbation = !state.ledger.isProven(node) && probationHolds(state)
  return onProbation ? Math.min(PROBATION_CLAIMS_MAX, claimsMax) : claimsMax
}

/** Could that node claim the shard now, as far as its words tell: it is live and has room for it? */
export function hasRoom(state: CoreState, node: number, shard: Shard, now: Now): boolean {
  const { ledger } = state
  return (
    ledger.isLive(node, now.wallMs) &&
    ledger.freeBytes(node) >= reservedBytes(shard) &&
    ledger.claims(node) < claimsAllowed(state, node, ledger.claimsMax(node))
  )
}

const NEVER = Number.POSITIVE_INFINITY
/** Turn of a node that cannot be reached, while the place is kept for those that can. */
const KEPT = 2 ** 31 - 1
/** Ranks that are looked at one by one; of those beyond, everybody counts as able to take it. */
export const RANKS_COUNTED_MAX = 64

/**
 * How many come before this node of those who may take the shard: live, with room, of another operator and network than those
 * that have it. One of the replicas must be reachable, so while none is, the last place is kept for a reachable node, the best
 * ranked first; when no reachable one could take it for long, a copy that others cannot fetch beats none. Of one operator or network only the best ranked comes at once.
 */
function turnOf(state: CoreState, shard: Shard, taken: Taken, need: number, now: Now): number {
  const { ledger, selfNumber, operatorNumber, networkNumber } = state
  let hasKin = false
  let better = 0
  let betterReachable = 0
  const order = state.ranks.order(shard.digest)
  const place = state.ranks.place(shard.digest, selfNumber)
  for (let rank = 0; rank < place && rank < RANKS_COUNTED_MAX; rank++) {
    const node = order[rank] as number
    const [operator, network] = [ledger.operatorNumber(node), ledger.networkNumber(node)]
    if (isKin(taken, operator, network) || !hasRoom(state, node, shard, now)) continue
    better++
    hasKin ||= operator === operatorNumber || (network >= 0 && network === networkNumber)
    if (ledger.isReachable(node)) betterReachable++
  }
  const beyond = Math.max(0, place - RANKS_COUNTED_MAX)
  better += beyond
  betterReachable += beyond
  if (hasKin) better = Math.max(better, need)
  if (taken.hasReachable) return better
  if (state.reachable) return Math.min(better, need - 1 + betterReachable)
  return better >= need - 1 && someReachableCould(state, shard, taken, now) ? KEPT : better
}

function someReachableCould(state: CoreState, shard: Shard, taken: Taken, now: Now): boolean {
  const { ledger } = state
  return state.ranks
    .order(shard.digest)
    .some(
      (node) =>
        ledger.isReachable(node) &&
        !isKin(taken, ledger.operatorNumber(node), ledger.networkNumber(node)) &&
        hasRoom(state, node, shard, now),
    )
}

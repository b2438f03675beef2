/** Which shards are short of their target, and when this node's turn to claim them comes (PROTOCOL 5). */
import { wave } from '../placement/rank.ts'
import type { Shard } from '../shard/shard.ts'
import type { Now } from './event.ts'
import { type CoreState, reservedBytes } from './state.ts'

/** Claims that a node allows itself while it is on probation. */
export const PROBATION_CLAIMS_MAX = 4
/** A node without a proven replica that claims more than this is hogging: its claims do not count. */
const HOG_CLAIMS_MIN = 32

/** Who is on a shard, with one number for each operator. Reused from call to call: read it at once. */
export interface Taken {
  readonly operators: number[]
  hasReachable: boolean
  /** Reachable nodes on it. */
  reachable: number
}
const scratch: Taken = { operators: [], hasReachable: false, reachable: 0 }

/**
 * Operators whose live nodes hold or claim it, or whose resting ones hold it; this node's own entry is left out. Resting
 * replicas count only while some live replica is proven (PROTOCOL 4): the last ones must not be waited for.
 */
export function takenBy(state: CoreState, shard: number, now: Now): Taken {
  const { ledger, parameters } = state
  const { slots } = ledger
  scratch.operators.length = 0
  scratch.hasReachable = false
  scratch.reachable = 0
  const mayRest = hasLiveProof(state, shard, now)
  for (let slot = slots.first(shard); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    if (node === state.selfNumber || ledger.isLeaving(node)) continue
    const live = ledger.isLive(node, now.wallMs)
    const counts = slots.isHeld(slot)
      ? live || (mayRest && ledger.isLiveOrResting(node, now.wallMs))
      : live && now.wallMs - slots.changedAtMs(slot) <= parameters.claimStallMs && mayClaim(state, node)
    if (!counts) continue
    const operator = ledger.operatorNumber(node)
    if (!scratch.operators.includes(operator)) scratch.operators.push(operator)
    if (ledger.isReachable(node)) scratch.reachable++
  }
  scratch.hasReachable = scratch.reachable > 0
  return scratch
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
    own.auditCheckAtMs = 0
    state.short.delete(number)
    return
  }
  if (state.settings.role === 'collector') return
  const { operators, hasReachable } = takenBy(state, number, now)
  const need = known.target - operators.length
  if (need <= 0 || operators.includes(state.operatorNumber)) {
    state.short.delete(number)
    return
  }
  const before = state.short.get(number)
  const sinceMs = before?.sinceMs ?? now.monotonicMs
  const turn = turnOf(state, known.shard, operators, hasReachable, need, now)
  const dueAtMs = turn === NEVER ? NEVER : sinceMs + wave(turn, need) * state.parameters.waveMs
  state.short.set(number, { sinceMs, dueAtMs, taken: operators.length })
}

const NEVER = Number.POSITIVE_INFINITY

/**
 * This node's place among those who may take the shard: live, with room, of another operator than those that have it. One of
 * the replicas must be reachable, so while none is, the last place is kept for a reachable node.
 */
function turnOf(
  state: CoreState,
  shard: Shard,
  operators: readonly number[],
  hasReachable: boolean,
  need: number,
  now: Now,
): number {
  const { ledger, selfNumber } = state
  const wanted = reservedBytes(shard)
  let better = 0
  for (const node of state.ranks.order(shard.digest)) {
    if (node === selfNumber) break
    if (!ledger.isLive(node, now.wallMs) || ledger.freeBytes(node) < wanted) continue
    if (operators.includes(ledger.operatorNumber(node))) continue
    better++
  }
  if (hasReachable) return better
  if (state.reachable) return Math.min(better, need - 1)
  return better >= need - 1 ? NEVER : better
}

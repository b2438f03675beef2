/** Which shards to claim, and which claims to let go (PROTOCOL 5). */
import { DATASETS } from '../ids.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { claimsLeft, isKin, isOffered, review, satisfied, takenBy, targetOf } from './shortage.ts'
import {
  bytesUsed,
  type CoreState,
  changed,
  doneSixteenths,
  newOwn,
  noteFailure,
  type Own,
  reservedBytes,
} from './state.ts'

/** A node that just came claims nothing before it has heard the others: its empty view would claim everything. */
export function settled(state: CoreState, now: Now): boolean {
  return state.joinedAtMs !== null && now.monotonicMs - state.joinedAtMs >= state.parameters.settleMs
}

export function claim(state: CoreState, now: Now, out: Effect[]): void {
  if (state.leaving) return
  if (state.settings.role === 'collector') collect(state, now)
  else if (settled(state, now)) claimShort(state, now, out)
}

function claimShort(state: CoreState, now: Now, out: Effect[]): void {
  const ready = state.short.ready(now.monotonicMs)
  if (ready.size === 0 || !isOffered(state, now)) return
  let room = claimsLeft(state)
  let freeBytes = state.bytesTotal - bytesUsed(state)
  for (const number of [...ready].sort((a, b) => before(state, a, b))) {
    if (room <= 0) break
    const shard = state.catalog[number]?.shard
    if (shard === undefined || reservedBytes(shard) > freeBytes) continue
    // It was looked at when its turn began: somebody may have taken it meanwhile, or the turn may have moved.
    review(state, number, now)
    if ((state.short.get(number)?.dueAtMs ?? Number.POSITIVE_INFINITY) > now.monotonicMs) continue
    state.own.set(shard.key, newOwn(state, shard, now))
    satisfied(state, number)
    changed(state)
    room--
    freeBytes -= reservedBytes(shard)
    out.push({ kind: 'notice', code: 'claimed', shard: shard.key, detail: 'claimed' })
  }
  if (room <= 0) state.offeredAtMs = null
}

/** PROTOCOL 5: what the volunteer chose first, then rarest, then small wikis, then by dataset, then least recently archived first. */
function before(state: CoreState, a: number, b: number): number {
  const [one, other] = [state.catalog[a], state.catalog[b]]
  if (one === undefined || other === undefined) return a - b
  const [left, right] = [one.shard, other.shard]
  return (
    other.preference - one.preference ||
    state.short.taken(a) - state.short.taken(b) ||
    left.sizeBytes - right.sizeBytes ||
    DATASETS.indexOf(left.dataset) - DATASETS.indexOf(right.dataset) ||
    one.archivedAtMs - other.archivedAtMs ||
    (left.key < right.key ? -1 : 1)
  )
}

/** A collector takes every shard that somebody holds; what others are told of it is no replica (PROTOCOL 9). */
function collect(state: CoreState, now: Now): void {
  const { slots } = state.ledger
  let freeBytes = state.bytesTotal - bytesUsed(state)
  for (const [number, known] of state.catalog.entries()) {
    if (known === undefined || state.own.has(known.shard.key)) continue
    if ((state.failures.get(known.shard.key)?.retryAtMs ?? 0) > now.monotonicMs) continue
    let held = false
    for (let slot = slots.first(number); slot >= 0; slot = slots.next(slot)) held ||= slots.isHeld(slot)
    if (!held || reservedBytes(known.shard) > freeBytes) continue
    state.own.set(known.shard.key, newOwn(state, known.shard, now))
    freeBytes -= reservedBytes(known.shard)
    state.unpersisted = true
  }
}

/** Lets go of claims that died (PROTOCOL 5: no growth, or too long in all) and of over-claimed ones. */
export function release(state: CoreState, now: Now, out: Effect[]): void {
  if (state.settings.role === 'collector') return
  const { claimStallMs, claimBytesPerSecondMin } = state.parameters
  for (const own of state.own.claims) {
    // A damaged replica is repaired for as long as it takes: it may be the last one.
    if (own.repairing) continue
    const inAllMs = claimStallMs + (own.shard.sizeBytes / claimBytesPerSecondMin) * 1000
    const died = now.monotonicMs - own.grewAtMs > claimStallMs || now.monotonicMs - own.claimedAtMs > inAllMs
    if (state.leaving) letGo(state, own, 'this node is leaving', now, out)
    else if (died) {
      // Others may have more luck.
      const what = { code: 'no-progress', detail: STALLED } as const
      noteFailure(state, own.shard.key, what, now, () => now.monotonicMs + claimStallMs)
      letGo(state, own, STALLED, now, out)
    } else if (overClaimed(state, own, now)) letGo(state, own, OVER_CLAIMED, now, out)
  }
}

const STALLED = 'the claim made no progress'
/** Also what the simulator counts. */
export const OVER_CLAIMED = 'more nodes than needed claimed it'

function letGo(state: CoreState, own: Own, detail: string, now: Now, out: Effect[]): void {
  state.own.delete(own.shard.key)
  changed(state)
  review(state, own.number, now)
  out.push({ kind: 'release', shard: own.shard })
  out.push({ kind: 'notice', code: 'released', shard: own.shard.key, detail })
}

/**
 * PROTOCOL 5: over-claimed, the worst ranked with done < 4 releases. Ranks are computed alike by everybody. The only reachable
 * node on a shard does not let go: the others could not fetch from each other.
 */
function overClaimed(state: CoreState, own: Own, now: Now): boolean {
  const { ledger, selfNumber } = state
  const { slots } = ledger
  if (doneSixteenths(own) >= 4) return false
  const taken = takenBy(state, own.number, now)
  const enough = taken.places >= targetOf(state, own.number)
  // Beside somebody of the same operator or network this node is no new place: one of the two lets go.
  if (!enough && !isKin(taken, state.operatorNumber, state.networkNumber)) return false
  if (state.reachable && !taken.hasReachable) return false
  const place = state.ranks.place(own.shard.digest, selfNumber)
  const reachable = Number(state.reachable) + taken.reachable
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    if (
      node === selfNumber ||
      slots.isHeld(slot) ||
      slots.done(slot) >= 4 ||
      !ledger.isLive(node, now.wallMs)
    )
      continue
    const [operator, network] = [ledger.operatorNumber(node), ledger.networkNumber(node)]
    if (!enough && operator !== state.operatorNumber && (network < 0 || network !== state.networkNumber))
      continue
    if (reachable === 1 && ledger.isReachable(node)) continue
    // Somebody who has not begun ranks behind this node, and will let go.
    if (state.ranks.place(own.shard.digest, node) > place) return false
  }
  return true
}

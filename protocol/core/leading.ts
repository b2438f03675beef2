/** Who touches origin for a shard, and for how long the others wait (PROTOCOL 6). */
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { hasRoom, RANKS_COUNTED_MAX } from './shortage.ts'
import type { CoreState, Own, WatchedLead } from './state.ts'

/** PROTOCOL 6: how long so many bytes may take: 10 min + bytes / (256 KiB/s). */
export function patienceMs(state: CoreState, bytes: number): number {
  const { leadStallMs, leadBytesPerSecondMin } = state.parameters
  return leadStallMs + Math.floor((bytes / leadBytesPerSecondMin) * 1000)
}

/**
 * Is this node the lead (PROTOCOL 6)? That is who has begun, else the best ranked reachable claimant. One that stalls is passed
 * over and the next leads. Unreachable nodes do not lead, unless nobody reachable claimed it for long: a copy that others
 * cannot fetch yet beats none.
 */
export function leads(state: CoreState, now: Now, own: Own, out: Effect[]): boolean {
  if (state.settings.role === 'collector') return false
  if (!state.reachable && now.monotonicMs - own.claimedAtMs < state.parameters.leadStallMs) return false
  if (isElsewhere(state, now, own)) return false
  for (;;) {
    const node = firstRival(state, now, own)
    if (node === null) return true
    own.leads ??= new Map()
    const lead = own.leads.get(node) ?? { sinceMs: now.monotonicMs, passedAtMs: 0 }
    own.leads.set(node, lead)
    if (!state.settings.originFallback || !stalls(state, now, own, node, lead)) return false
    lead.passedAtMs = now.wallMs
    const detail = `${state.names.nodes.key(node)} made no progress`
    out.push({ kind: 'notice', code: 'lead-passed', shard: own.shard.key, detail })
  }
}

/**
 * Should the bytes come from somebody who has them already, though not now? A holder that fell silent comes back most days, and
 * where only unreachable nodes hold the shard, a reachable one can have it from them and hand it on. Upstream is asked again only
 * when that takes too long.
 */
function isElsewhere(state: CoreState, now: Now, own: Own): boolean {
  const { ledger, parameters } = state
  const { slots } = ledger
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    if (node === state.selfNumber || !slots.isHeld(slot) || (own.dry?.get(node) ?? 0) > now.monotonicMs)
      continue
    const isLive = ledger.isLive(node, now.wallMs)
    // A live holder that could be used would have been: neither of the two can be reached.
    const sinceMs = isLive ? slots.changedAtMs(slot) : ledger.silentAfterMs(node)
    const waitMs = isLive ? patienceMs(state, own.shard.sizeBytes) : parameters.restMs >> 1
    if (now.wallMs - sinceMs < waitMs) return true
  }
  return false
}

/**
 * Who comes before this node: who has more of it already, else one of better rank. For the first wave after our claim, live nodes with
 * room count as claimants: their claim may be on its way, and two leads would fetch the bytes twice.
 */
function firstRival(state: CoreState, now: Now, own: Own): number | null {
  const { ledger, ranks, selfNumber } = state
  const { slots } = ledger
  const mine = ranks.place(own.shard.digest, selfNumber)
  const told = slots.find(own.number, selfNumber)
  // As others know it: two who have begun must see the same one ahead.
  const mineDone = told < 0 ? 0 : slots.done(told)
  let first: { node: number; done: number; place: number } | null = null
  let someReachable = state.reachable
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    if (node === selfNumber || slots.isHeld(slot) || !mayLead(state, now, own, node)) continue
    const isReachable = ledger.isReachable(node)
    const done = slots.done(slot)
    if (someReachable && !isReachable && done === 0) continue
    if (isReachable && !someReachable && first?.done === 0) first = null
    someReachable ||= isReachable
    const place = ranks.place(own.shard.digest, node)
    const isBetter = first === null || (done === first.done ? place < first.place : done > first.done)
    if (isBetter) first = { node, done, place }
  }
  if (first !== null) {
    // Who has most leads; of those who have not begun an unreachable node leaves it to any reachable one.
    const isAhead = first.done === mineDone ? first.place < mine : first.done > mineDone
    if (isAhead || (mineDone === 0 && someReachable && !state.reachable)) return first.node
  }
  if (now.monotonicMs - own.claimedAtMs >= state.parameters.waveMs) return null
  const order = ranks.order(own.shard.digest)
  for (let place = 0; place < mine && place < RANKS_COUNTED_MAX; place++) {
    const node = order[place] as number
    if (slots.find(own.number, node) >= 0 || !ledger.isReachable(node)) continue
    if (mayLead(state, now, own, node) && hasRoom(state, node, own.shard, now)) return node
  }
  return null
}

function mayLead(state: CoreState, now: Now, own: Own, node: number): boolean {
  return (
    state.ledger.isLive(node, now.wallMs) && !state.frozen.has(node) && !isPassedOver(state, now, own, node)
  )
}

/** Passed over, and it has not grown since: one that came back from a night is a lead again, within its time in all. */
function isPassedOver(state: CoreState, now: Now, own: Own, node: number): boolean {
  const lead = own.leads?.get(node)
  if (lead === undefined || lead.passedAtMs === 0) return false
  const { slots } = state.ledger
  const slot = slots.find(own.number, node)
  if (slot < 0 || slots.changedAtMs(slot) <= lead.passedAtMs) return true
  return now.monotonicMs - lead.sinceMs > patienceMs(state, own.shard.sizeBytes)
}

/** What a lead that has begun gets in addition, as if it had so much more: home lines share their speed. */
const BEGUN_SIXTEENTHS = 3
const WAITED_SIXTEENTHS_MAX = 8

/**
 * What others hear of a lead is its sixteenths: one of a big shard takes a while at any speed. One that has much already is waited
 * for about as long as it takes to fetch that again, at most half of all, so that a night or an upstream that is away does not
 * cost the bytes twice.
 */
function stalls(state: CoreState, now: Now, own: Own, node: number, lead: WatchedLead): boolean {
  const { sizeBytes } = own.shard
  const { slots } = state.ledger
  const slot = slots.find(own.number, node)
  const watchedMs = now.monotonicMs - lead.sinceMs
  const quietMs = Math.min(watchedMs, now.wallMs - (slot < 0 ? 0 : slots.changedAtMs(slot)))
  const done = slot < 0 ? 0 : slots.done(slot)
  const sixteenths = done === 0 ? 1 : Math.min(WAITED_SIXTEENTHS_MAX, done + BEGUN_SIXTEENTHS)
  return (
    quietMs > patienceMs(state, (sizeBytes * sixteenths) / 16) || watchedMs > patienceMs(state, sizeBytes)
  )
}

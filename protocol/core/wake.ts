/** When the core must be ticked next, so that an idle node costs nothing. */
import { AUDITS_AT_ONCE_MAX } from './auditing.ts'
import type { Now } from './event.ts'
import { observeWakeMs } from './observing.ts'
import { publishAtMs } from './publishing.ts'
import { offeredFromMs } from './shortage.ts'
import type { CoreState } from './state.ts'

/** How late a rule may notice that a node fell silent: a share of its life. */
const SWEEPS_A_LIFE = 6

export function sweepEveryMs(state: CoreState): number {
  return Math.ceil(state.parameters.ttlMs / SWEEPS_A_LIFE)
}

/** Monotonic ms, never before now. Any event may make it earlier: ask again after each step. */
export function nextWakeMs(state: CoreState, now: Now): number {
  if (state.ledger.hasTouched) return now.monotonicMs
  let next = Math.min(state.sweptAtMs + sweepEveryMs(state), observeWakeMs(state))
  next = Math.min(next, now.monotonicMs + state.parametersUntilMs - now.wallMs)
  if (state.joinedAtMs !== null) {
    next = Math.min(next, publishAtMs(state))
    // Turns are of interest once this node may claim. Those that a tick has seen and could not use, for want of room, are looked
    // at again with the next sweep.
    const mayClaimAtMs = Math.max(state.joinedAtMs + state.parameters.settleMs, offeredFromMs(state))
    const firstAtMs = state.short.readyCount > 0 ? mayClaimAtMs : Number.POSITIVE_INFINITY
    const nextAtMs = Math.max(mayClaimAtMs, state.short.nextDueAtMs)
    for (const atMs of [firstAtMs, nextAtMs]) if (atMs > state.tickedAtMs) next = Math.min(next, atMs)
  }
  // While as many audits as may be are under way, the next waits for one to come back.
  if (state.auditing.size < AUDITS_AT_ONCE_MAX) next = Math.min(next, state.own.auditCheckAtMs)
  if (state.own.claims.length > 0) next = Math.min(next, state.tickedAtMs + watchEveryMs(state))
  return Math.max(next, now.monotonicMs)
}

/**
 * Leads are watched, and swarms that stand still; whatever others say of a claimed shard is seen at once. The first waves of a claim
 * are counted in seconds, after that what is waited for takes minutes. Infinite while nothing is claimed.
 */
export function watchEveryMs(state: CoreState): number {
  const { waveMs, leadStallMs } = state.parameters
  let everyMs = Number.POSITIVE_INFINITY
  for (const own of state.own.claims) {
    if (state.tickedAtMs - own.claimedAtMs < 2 * waveMs) return Math.ceil(Math.min(waveMs, leadStallMs) / 4)
    everyMs = Math.min(everyMs, own.fetch === null ? waveMs : leadStallMs / 4)
  }
  return Math.ceil(everyMs)
}

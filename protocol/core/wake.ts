/** When the core must be ticked next, so that an idle node costs nothing. */
import type { Now } from './event.ts'
import { publishAtMs } from './publishing.ts'
import type { CoreState } from './state.ts'

/** How late a rule may notice that a node fell silent: a share of its life. */
const SWEEPS_A_LIFE = 6

export function sweepEveryMs(state: CoreState): number {
  return Math.ceil(Math.min(state.parameters.ttlMs, state.parameters.claimTtlMs) / SWEEPS_A_LIFE)
}

/** Monotonic ms, never before now. Any event may make it earlier: ask again after each step. */
export function nextWakeMs(state: CoreState, now: Now): number {
  const { waveMs, leadStallMs } = state.parameters
  if (state.ledger.hasTouched) return now.monotonicMs
  let next = state.sweptAtMs + sweepEveryMs(state)
  if (state.joinedAtMs !== null) {
    next = Math.min(next, publishAtMs(state))
    const settledAtMs = state.joinedAtMs + state.parameters.settleMs
    // A turn that has come but cannot be used (no room, a failure that rests) is looked at again with the next sweep.
    for (const { dueAtMs } of state.short.values()) {
      if (dueAtMs > now.monotonicMs || settledAtMs > now.monotonicMs)
        next = Math.min(next, Math.max(dueAtMs, settledAtMs))
    }
  }
  for (const own of state.own.values()) {
    if (own.state === 'held') next = Math.min(next, own.auditCheckAtMs)
    // Leads are watched, and swarms that stand still.
    else next = Math.min(next, now.monotonicMs + Math.ceil(Math.min(waveMs, leadStallMs) / 4))
  }
  return Math.max(next, now.monotonicMs)
}

/** Federation parameters that change while a node runs (PROTOCOL, federation parameters): by wall time, as the root says. */
import { parametersAt } from '../parameters.ts'
import type { Now } from './event.ts'
import { type CoreState, changed } from './state.ts'
import { retarget } from './targets.ts'

/** Before anything else of a step: every rule of it goes by the set that holds now. */
export function changeOver(state: CoreState, now: Now): void {
  if (now.wallMs >= state.parametersFromMs && now.wallMs < state.parametersUntilMs) return
  const active = parametersAt(state.schedule, now.wallMs)
  state.parameters = active.values
  state.parametersFingerprint = active.fingerprint
  state.parametersFromMs = active.fromMs
  state.parametersUntilMs = active.untilMs
  state.ledger.setParameters(active.values, now.wallMs)
  retarget(state, now)
  // Every wait was reckoned by the other set.
  for (const [number, known] of state.catalog.entries()) {
    if (known === undefined) continue
    state.ledger.watch(number)
    state.ledger.touch(number)
  }
  for (const own of state.own.values()) state.own.checkAudits(own, now.monotonicMs)
  // Its fingerprint stands in the head.
  changed(state)
}

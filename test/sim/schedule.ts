/** The parameters of the federation over the time of a run: another set comes in the middle of it when that fault is on. */
import type { ParameterChange, Parameters } from '../../protocol/parameters.ts'
import { DAY_MS, HOUR_MS, START_WALL_MS } from './clock.ts'
import type { SimOptions } from './options.ts'

/** A while after a round of checks, so that clocks that are minutes off have all changed over at the next one. */
const AFTER_HALF_MS = HOUR_MS

export function scheduleOf({ parameters, faults, days }: SimOptions): readonly ParameterChange[] {
  const first = { activatesAtMs: 0, values: parameters }
  if (!faults.has('parameters')) return [first]
  const activatesAtMs = START_WALL_MS + Math.floor((days * DAY_MS) / 2) + AFTER_HALF_MS
  return [first, { activatesAtMs, values: later(parameters) }]
}

/** One replica more, heard of twice as often, audited more often. */
function later(before: Parameters): Parameters {
  return {
    ...before,
    replicas: Math.min(5, before.replicas + 1),
    ttlMs: before.ttlMs >> 1,
    renewMs: before.renewMs >> 1,
    auditEveryMs: before.auditEveryMs >> 1,
  }
}

/** What holds at a virtual time, by a clock that is right. */
export function parametersAtMs(schedule: readonly ParameterChange[], timeMs: number): Parameters {
  const wallMs = START_WALL_MS + timeMs
  const active = schedule.findLast((one) => one.activatesAtMs <= wallMs)
  if (active === undefined) throw new RangeError('nothing holds at this time')
  return active.values
}

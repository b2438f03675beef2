/** One whole run: days with faults, then rest. */
import { DAY_MS, showTime } from './clock.ts'
import { checkFigures } from './figures.ts'
import { showLine } from './journal.ts'
import { type Converged, settle } from './liveness.ts'
import type { SimOptions } from './options.ts'
import { Simulation } from './simulation.ts'
import { type Summary, summarize } from './summary.ts'

/** Progress is told this often. */
const PARTS = 50

export interface Ran {
  readonly summary: Summary
  /** How it came to each violation, for people: what happened last to the shard concerned. */
  readonly story: string
}

export function runSeed(
  options: SimOptions,
  onProgress: (timeMs: number, sim: Simulation) => void = () => {},
): Ran {
  const sim = new Simulation(options)
  const endMs = options.days * DAY_MS
  for (let part = 1; part <= PARTS && sim.violations.length === 0; part++) {
    sim.run(Math.floor((endMs * part) / PARTS))
    onProgress(sim.timeMs, sim)
  }
  let converged: Converged | null = null
  if (sim.violations.length === 0) checkFigures(sim, 'end')
  if (sim.violations.length === 0) converged = settle(sim)
  if (sim.violations.length === 0) checkFigures(sim, 'rest')
  return { summary: summarize(sim, converged), story: storyOf(sim) }
}

const LINES_SHOWN = 40

function storyOf(sim: Simulation): string {
  const name = (index: number) => sim.upstream.shards[index]?.shard.id ?? '?'
  const lines: string[] = []
  for (const violation of sim.violations) {
    const shard = violation.shard < 0 ? '' : ` ${name(violation.shard)}`
    const machine = violation.machine < 0 ? '' : ` n${violation.machine}`
    lines.push(
      `${showTime(violation.timeMs)} BROKEN ${violation.name}:${machine}${shard} ${violation.detail}`,
    )
    for (const line of sim.journal.last(LINES_SHOWN, violation.shard)) lines.push(`  ${showLine(line, name)}`)
  }
  return lines.join('\n')
}

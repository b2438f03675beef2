/**
 * Many seeds with every fault, each a process of its own: safety after every event, then rest within a bound. What it takes in all
 * is kept to about three minutes on two cores; `npm run sim -- --seeds` runs more.
 */
import { describe, expect, it } from 'vitest'
import { makeOptions, parseFaults, type SimOptions } from './options.ts'
import { parseSeeds, runSeeds } from './seeds.ts'
import type { Summary } from './summary.ts'

const JOBS = 2
const SUITE_MAX_MS = 600_000

async function runAll(options: SimOptions, seeds: string): Promise<Summary[]> {
  const summaries: Summary[] = []
  const failed = await runSeeds(options, parseSeeds(seeds), {
    jobs: JOBS,
    root: undefined,
    onRun: (line) => summaries.push(JSON.parse(line) as Summary),
  })
  expect(failed.map(({ story }) => story)).toEqual([])
  return summaries
}

const sum = (summaries: readonly Summary[], of: (one: Summary) => number) =>
  summaries.reduce((total, one) => total + of(one), 0)

describe('a hostile world', () => {
  it(
    'with every fault 20 nodes keep every invariant for 3 days and come to rest, 20 seeds',
    async () => {
      const options = makeOptions({ nodes: 20, days: 3, faults: parseFaults('all') })
      const summaries = await runAll(options, '1-20')
      expect(summaries).toHaveLength(20)
      expect(sum(summaries, (one) => one.converged?.lost ?? 1)).toBe(0)
      // The faults did happen.
      expect(sum(summaries, (one) => one.crashes)).toBeGreaterThan(20)
      expect(sum(summaries, (one) => one.damaged)).toBeGreaterThan(0)
      expect(sum(summaries, (one) => one.refusedMessages)).toBeGreaterThan(0)
    },
    SUITE_MAX_MS,
  )

  it(
    'with every fault 100 nodes do so for 7 days, prove every liar and spare origin, 4 seeds',
    async () => {
      const options = makeOptions({ nodes: 100, days: 7, faults: parseFaults('all') })
      const summaries = await runAll(options, '1-4')
      const liars = sum(summaries, (one) => one.liars)
      expect(liars).toBeGreaterThan(0)
      expect(sum(summaries, (one) => one.liarsProven)).toBe(liars)
      expect(sum(summaries, (one) => one.converged?.lost ?? 1)).toBe(0)
      expect(sum(summaries, (one) => one.originBytes)).toBeLessThanOrEqual(
        1.25 * sum(summaries, (one) => one.uniqueBytes),
      )
    },
    SUITE_MAX_MS,
  )

  it(
    'with every fault 30 nodes do so for 14 days, in which upstream deletes what some of them could not fetch yet, 4 seeds',
    async () => {
      const options = makeOptions({ nodes: 30, days: 14, faults: parseFaults('all') })
      // Seeds in which, at one time or other, nobody but the coordinator could be fetched from.
      const summaries = [
        ...(await runAll(options, '5')),
        ...(await runAll(options, '7')),
        ...(await runAll(options, '11-12')),
      ]
      expect(sum(summaries, (one) => one.converged?.lost ?? 1)).toBe(0)
    },
    SUITE_MAX_MS,
  )

  it(
    '60 nodes have every shard back at R within a day of the grace time after 30 % are gone at once, 2 seeds',
    async () => {
      const options = makeOptions({ nodes: 60, days: 7, faults: parseFaults('mass-loss,loss,late,crash') })
      const { ttlMs, clockSkewMs, restMs } = options.parameters
      const graceHours = (ttlMs + clockSkewMs + restMs) / 3_600_000
      for (const one of await runAll(options, '1-2')) {
        expect(one.hoursToRecovery).not.toBeNull()
        expect(one.hoursToRecovery).toBeLessThanOrEqual(graceHours + 24)
      }
    },
    SUITE_MAX_MS,
  )
})

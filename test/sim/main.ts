/** The command line of the simulator: `npm run sim -- --help`. */
import { parseArgs } from 'node:util'
import { showTime } from './clock.ts'
import { commandOf, FAULTS, makeOptions, parseFaults, type SimOptions } from './options.ts'
import { type Run, showRun, writeReport, writeSeedsReport } from './report.ts'
import { runSeed } from './run-seed.ts'
import { parseSeeds, runSeeds } from './seeds.ts'
import type { Summary } from './summary.ts'

const HELP = `Runs many nodes of the protocol core in virtual time and tries to break it.

  npm run sim -- [--nodes N] [--days D] [--seed S | --seeds FROM-TO] [--faults all|none|name,...] [--json]

  --nodes N      machines, the coordinator's among them (30)
  --days D       virtual days with faults; then faults stop and all must come to rest (2)
  --seed S       decides everything (1)
  --seeds A-B    many runs, one after the other in --jobs processes
  --jobs J       processes for --seeds (2)
  --shards N     about so many shards over all cycles (3 for each node)
  --faults F     all, none, or names with commas (none)
  --json         one object a run on standard output
  --report DIR   writes numbers and charts there; of many seeds one table
  --quiet        no progress on standard error

Faults:
${Object.entries(FAULTS)
  .map(([name, what]) => `  ${name.padEnd(14)} ${what}`)
  .join('\n')}

Examples:
  npm run sim -- --nodes 100 --days 7 --seed 42 --faults all
  npm run sim -- --nodes 30 --days 2 --seeds 1-20 --faults crash,churn --json
  npm run sim -- --nodes 100 --days 7 --faults all --report docs/simulation
  npm run sim -- --nodes 100 --days 7 --seeds 1-20 --faults all --report docs/simulation

Ends with 0 when every invariant held, with 1 when one did not, with 2 for a wrong command.
`

class UsageError extends Error {}

function number(text: string | undefined, name: string, max: number): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text) || Number(text) < 1 || Number(text) > max) {
    throw new UsageError(`--${name} wants a whole number from 1 to ${max}, not "${text}"`)
  }
  return Number(text)
}

function readArguments(argv: readonly string[]) {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      nodes: { type: 'string' },
      days: { type: 'string' },
      seed: { type: 'string' },
      seeds: { type: 'string' },
      jobs: { type: 'string' },
      shards: { type: 'string' },
      faults: { type: 'string' },
      report: { type: 'string' },
      json: { type: 'boolean' },
      quiet: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  const nodes = number(values.nodes, 'nodes', 20_000)
  const days = number(values.days, 'days', 60)
  const seed = number(values.seed, 'seed', 999_999_999)
  const shards = number(values.shards, 'shards', 20_000)
  const options = makeOptions({
    ...(nodes === undefined ? {} : { nodes }),
    ...(days === undefined ? {} : { days }),
    ...(seed === undefined ? {} : { seed }),
    ...(shards === undefined ? {} : { shards }),
    faults: parseFaults(values.faults ?? 'none'),
  })
  const seeds = values.seeds === undefined ? null : parseSeeds(values.seeds)
  return { options, seeds, jobs: number(values.jobs, 'jobs', 64) ?? 2, values }
}

function runOne(
  options: SimOptions,
  flags: { json: boolean; quiet: boolean; report: string | undefined },
): boolean {
  const startedMs = performance.now()
  let told = 0
  const { summary, story } = runSeed(options, (timeMs, sim) => {
    // A log wants few lines, a terminal one that moves.
    if (flags.quiet || (!process.stderr.isTTY && ++told % 10 !== 0)) return
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    process.stderr.write(
      `${process.stderr.isTTY ? '\r' : ''}${showTime(timeMs)}  ${sim.events} events  ${seconds} s ${process.stderr.isTTY ? '' : '\n'}`,
    )
  })
  const seconds = (performance.now() - startedMs) / 1000
  if (!flags.quiet && process.stderr.isTTY) process.stderr.write('\n')
  const peakMiB = Math.round(process.resourceUsage().maxRSS / 1024)
  if (flags.json) process.stdout.write(`${JSON.stringify({ ...summary, seconds, peakMiB })}\n`)
  else process.stdout.write(`${showSummary(summary)}\n${seconds.toFixed(1)} s, ${peakMiB} MiB\n`)
  if (flags.report !== undefined) writeReport(flags.report, summary)
  if (summary.violations.length === 0) return true
  process.stderr.write(`${story}\nRun it again: ${commandOf(options)}\n`)
  return false
}

function showSummary(summary: Summary): string {
  const { samples: _samples, ...rest } = summary
  return Object.entries(rest)
    .map(([name, value]) => `${name.padEnd(24)}${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join('\n')
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) {
    process.stdout.write(HELP)
    return 0
  }
  const { options, seeds, jobs, values } = readArguments(argv)
  const flags = { json: values.json === true, quiet: values.quiet === true, report: values.report }
  if (seeds === null) return runOne(options, flags) ? 0 : 1
  const runs: Run[] = []
  const failed = await runSeeds(options, seeds, {
    jobs,
    root: undefined,
    onRun: (line) => {
      const run = JSON.parse(line) as Run
      runs.push(run)
      process.stdout.write(flags.json ? line : `${showRun(run)}\n`)
    },
  })
  for (const one of failed) process.stderr.write(`${one.story}\n`)
  if (flags.report !== undefined) writeSeedsReport(flags.report, options, runs, failed)
  if (!flags.json) process.stdout.write(`${seeds.length - failed.length} of ${seeds.length} seeds hold\n`)
  return failed.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const wrongCommand =
    error instanceof UsageError ||
    error instanceof RangeError ||
    (error instanceof TypeError && 'code' in error)
  if (!wrongCommand) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}

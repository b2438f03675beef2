/** Numbers and charts of one run, written into a folder of the documentation. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Chart, type Series, svgOf } from './chart.ts'
import { DAY_MS } from './clock.ts'
import type { Sample } from './metrics.ts'
import { commandOf, type FaultName, type SimOptions, showFaults } from './options.ts'
import type { FailedSeed } from './seeds.ts'
import type { Summary } from './summary.ts'

export function writeReport(folder: string, summary: Summary): void {
  mkdirSync(folder, { recursive: true })
  const faults = showFaults(new Set(summary.faults as readonly FaultName[]))
  const name = `${summary.nodes}x${summary.days}-${faults.replaceAll(',', '+')}-seed${summary.seed}`
  const charts = chartsOf(summary)
  for (const [key, chart] of charts) writeFileSync(join(folder, `${name}-${key}.svg`), svgOf(chart))
  writeFileSync(join(folder, `${name}.md`), textOf(summary, name, [...charts.keys()]))
}

export function chartsOf(summary: Summary): Map<string, Chart> {
  const line = (name: string, value: (sample: Sample) => number): Series => ({
    name,
    points: summary.samples.map((sample) => [sample.timeMs / DAY_MS, value(sample)]),
  })
  const chart = (title: string, yLabel: string, series: Series[]): Chart => ({
    title,
    xLabel: 'days',
    yLabel,
    series,
  })
  const atLeast = (count: number) => (sample: Sample) =>
    sample.byReplicas.slice(count).reduce((sum, shards) => sum + shards, 0)
  return new Map([
    [
      'replicas',
      chart('Shards held whole by at least so many operators', 'shards', [
        line('in a catalog', atLeast(0)),
        line('1 operator', atLeast(1)),
        line('2 operators', atLeast(2)),
        line('3 operators', atLeast(3)),
        line('as wanted', (one) => one.enough),
      ]),
    ],
    [
      'claims',
      chart('Claims, and those let go as too many', 'claims', [
        line('claims', (one) => one.claims),
        line('too many', (one) => one.overClaims),
      ]),
    ],
    [
      'origin',
      chart('Bytes from origin', 'bytes', [
        line('from origin', (one) => one.originBytes),
        line('unique', (one) => one.uniqueBytes),
      ]),
    ],
    [
      'gossip',
      chart('Gossip of one node in an hour', 'bytes', [line('gossip', (one) => one.gossipBytesPerNodeHour)]),
    ],
    ['up', chart('Nodes that are up', 'nodes', [line('up', (one) => one.up)])],
  ])
}

function textOf(summary: Summary, name: string, charts: readonly string[]): string {
  const rows: (readonly [string, string])[] = [
    [
      'invariants',
      summary.violations.length === 0
        ? `held, in ${summary.checks} checks`
        : summary.violations.map((one) => `${one.name}: ${one.detail}`).join('; '),
    ],
    [
      'at rest after the faults',
      summary.converged?.hours === null || summary.converged === null ? 'no' : `${summary.converged.hours} h`,
    ],
    ['shards, bytes', `${summary.shards}, ${summary.bytes}`],
    ['shards lost', `${summary.converged?.lost ?? '?'}`],
    ['origin bytes / unique bytes', `${summary.originRatio}`],
    [
      'claims let go as too many',
      `${summary.overClaims} of ${summary.claims} (${(summary.overClaimShare * 100).toFixed(2)} %)`,
    ],
    ['median hours until R operators held a shard', `${summary.medianHoursToR}`],
    ['gossip of a node in a day', `${(summary.gossipBytesPerNodeDay / 1e6).toFixed(1)} MB`],
    ['catch-up of a node in a day', `${(summary.pullBytesPerNodeDay / 1e6).toFixed(1)} MB`],
    ['audits', `${summary.audits}`],
    ['audits by a whole file, receipts asked for', `${summary.fileAudits}, ${summary.receiptsAsked}`],
    [
      'liars proven by a receipt',
      `${summary.liarsProven} of ${summary.liars}, median ${summary.medianHoursToProof} h`,
    ],
    [
      'hours until every shard was back at R after the loss of 30 %',
      `${summary.hoursToRecovery ?? 'not asked'}`,
    ],
    ['copies damaged, repaired', `${summary.damaged}, ${summary.repaired}`],
    ['messages refused', `${summary.refusedMessages}`],
    ['final state hash', `\`${summary.stateHash}\``],
  ]
  return `# ${summary.nodes} nodes, ${summary.days} days, seed ${summary.seed}

Faults: ${summary.faults.length === 0 ? 'none' : summary.faults.join(', ')}. Made by \`${summary.command}\`.

| what | value |
|---|---|
${rows.map(([what, value]) => `| ${what} | ${value} |`).join('\n')}

${charts.map((key) => `![${key}](${name}-${key}.svg)`).join('\n\n')}
`
}

/** A summary as another process printed it. */
export interface Run extends Summary {
  readonly seconds: number
  readonly peakMiB: number
}

interface Column {
  readonly name: string
  readonly of: (run: Run) => string
  /** Of all runs together. */
  readonly all: (runs: readonly Run[]) => string
}

const sum = (runs: readonly Run[], of: (run: Run) => number) =>
  runs.reduce((total, run) => total + of(run), 0)
const percent = (part: number, whole: number) => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`
const hours = (value: number | null | undefined) => (value == null ? '' : `${Math.round(value * 10) / 10} h`)
/** The longest, if all have one. */
const worst = (runs: readonly Run[], of: (run: Run) => number | null | undefined) =>
  runs.some((run) => of(run) == null)
    ? 'not all'
    : `<= ${hours(Math.max(...runs.map((run) => of(run) ?? 0)))}`

const COLUMNS: readonly Column[] = [
  { name: 'seed', of: (run) => `${run.seed}`, all: (runs) => `all ${runs.length}` },
  {
    name: 'at rest after',
    of: (run) => hours(run.converged?.hours),
    all: (runs) => worst(runs, (run) => run.converged?.hours),
  },
  {
    name: 'shards lost',
    of: (run) => `${run.converged?.lost ?? ''}`,
    all: (runs) => `${sum(runs, (run) => run.converged?.lost ?? 0)}`,
  },
  {
    name: 'origin / unique bytes',
    of: (run) => run.originRatio.toFixed(3),
    all: (runs) => (sum(runs, (run) => run.originBytes) / sum(runs, (run) => run.uniqueBytes)).toFixed(3),
  },
  { name: 'claims', of: (run) => `${run.claims}`, all: (runs) => `${sum(runs, (run) => run.claims)}` },
  {
    name: 'one too many',
    of: (run) => percent(run.overClaims, run.claims),
    all: (runs) =>
      percent(
        sum(runs, (run) => run.overClaims),
        sum(runs, (run) => run.claims),
      ),
  },
  {
    name: 'median time to R',
    of: (run) => hours(run.medianHoursToR),
    all: (runs) => worst(runs, (run) => run.medianHoursToR),
  },
  {
    name: 'gossip of a node and day',
    of: (run) => megabytes(run.gossipBytesPerNodeDay),
    all: (runs) => megabytes(sum(runs, (run) => run.gossipBytesPerNodeDay) / runs.length),
  },
  {
    name: 'liars proven',
    of: (run) => (run.liars === 0 ? '' : `${run.liarsProven} of ${run.liars}`),
    all: (runs) => `${sum(runs, (run) => run.liarsProven)} of ${sum(runs, (run) => run.liars)}`,
  },
  {
    name: 'back at R after the loss',
    of: (run) => hours(run.hoursToRecovery),
    all: (runs) =>
      runs.some((run) => run.hoursToRecovery !== null) ? worst(runs, (run) => run.hoursToRecovery) : '',
  },
  {
    name: 'took',
    of: (run) => `${run.seconds.toFixed(1)} s, ${run.peakMiB} MiB`,
    all: (runs) => `<= ${Math.max(...runs.map((run) => run.peakMiB))} MiB`,
  },
]

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/** One run of many, as a line for people. */
export function showRun(run: Run): string {
  return COLUMNS.map(({ name, of }) => [name, of(run)] as const)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

/** One table of many seeds. */
export function writeSeedsReport(
  folder: string,
  options: SimOptions,
  runs: readonly Run[],
  failed: readonly FailedSeed[],
): void {
  mkdirSync(folder, { recursive: true })
  const faults = showFaults(options.faults)
  const ordered = [...runs].sort((a, b) => a.seed - b.seed)
  const seeds = [...ordered.map((run) => run.seed), ...failed.map((one) => one.seed)].sort((a, b) => a - b)
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rows = ordered.map((run) => row(COLUMNS.map(({ of }) => of(run))))
  if (ordered.length > 0) rows.push(row(COLUMNS.map(({ all }) => `**${all(ordered)}**`)))
  const verdict =
    failed.length === 0
      ? `Every invariant held in all ${ordered.length}.`
      : `An invariant broke with seed ${failed.map((one) => one.seed).join(', ')}.`
  const name = `${options.nodes}x${options.days}-${faults.replaceAll(',', '+')}-seeds`
  writeFileSync(
    join(folder, `${name}.md`),
    `# ${options.nodes} nodes, ${options.days} days, ${seeds.length} seeds

Faults: ${faults}. Each seed again: \`${commandOf({ ...options, seed: seeds[0] ?? 1 })}\`. ${verdict}

${row(COLUMNS.map(({ name }) => name))}
${row(COLUMNS.map(() => '---'))}
${rows.join('\n')}
`,
  )
}

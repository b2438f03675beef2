/** Numbers and charts of one run, written into a folder of the documentation. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Chart, type Series, svgOf } from './chart.ts'
import { DAY_MS } from './clock.ts'
import type { Sample } from './metrics.ts'
import type { Summary } from './summary.ts'

export function writeReport(folder: string, summary: Summary): void {
  mkdirSync(folder, { recursive: true })
  const name = `${summary.nodes}x${summary.days}-seed${summary.seed}-${summary.faults.length === 0 ? 'none' : 'faults'}`
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
        line('4 operators', atLeast(4)),
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

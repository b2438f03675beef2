/**
 * `npm run bench -- core`: runs the benches of a group, or of one file of this folder, and prints what they measured.
 * `--json` for programs. Every file here that is not this one or bench.ts exports a `bench`.
 */
import { readdirSync } from 'node:fs'
import { cpus } from 'node:os'
import type { Bench, Measure } from './bench.ts'

const NOT_BENCHES = new Set(['main.ts', 'bench.ts'])

async function benches(): Promise<{ name: string; bench: Bench }[]> {
  const files = readdirSync(import.meta.dirname).filter(
    (file) => file.endsWith('.ts') && !NOT_BENCHES.has(file),
  )
  return Promise.all(
    files.sort().map(async (file) => {
      const module: { bench: Bench } = await import(new URL(file, import.meta.url).href)
      return { name: file.slice(0, -'.ts'.length), bench: module.bench }
    }),
  )
}

const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const all = await benches()
const chosen = all.filter(({ name, bench }) => wanted.includes(name) || wanted.includes(bench.group))
if (chosen.length === 0) {
  const groups = [...new Set(all.map(({ bench }) => bench.group))]
  console.error(
    `usage: npm run bench -- <group or file> [--json]; groups: ${groups.join(', ')}; files: ${all.map(({ name }) => name).join(', ')}`,
  )
  process.exit(2)
}

const results: Record<string, readonly Measure[]> = {}
for (const { name, bench } of chosen) results[name] = await bench.run()

if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ cpu: cpus()[0]?.model ?? '', node: process.version, results }, null, 2))
} else {
  for (const [name, measures] of Object.entries(results)) {
    console.log(`\n${name}`)
    for (const { what, value, unit, goal } of measures) {
      const shown = value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
      const aim = goal === undefined ? '' : `  [goal ${goal}]`
      console.log(`  ${shown.padStart(14)} ${unit.padEnd(10)}  ${what}${aim}`)
    }
  }
}

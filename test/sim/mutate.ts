/**
 * `npm run sim:mutate`: applies each mutation to a copy of the tree and runs seeds until one fails. Ends with 0 when every
 * mutation was caught within the seeds.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MUTATIONS, type Mutation } from './mutations.ts'
import { makeOptions } from './options.ts'
import { runSeeds } from './seeds.ts'

const SEEDS_MAX = 20
const ROOT = join(import.meta.dirname, '..', '..')

const HELP = `Shows that the simulator can fail: applies patches that break one rule each, and runs seeds until one is caught.

  npm run sim:mutate -- [--only TEXT] [--jobs J]

  --only TEXT   mutations whose name holds this
  --jobs J      processes at once (2)
`

/** The text with its one occurrence replaced. Throws when there is none or more. */
export function patch(text: string, mutation: Mutation): string {
  const parts = text.split(mutation.old)
  if (parts.length !== 2) {
    throw new Error(`mutation "${mutation.name}": its text is ${parts.length - 1} times in ${mutation.file}`)
  }
  return parts.join(mutation.new)
}

function copyTree(into: string): void {
  for (const part of [
    'protocol',
    'node',
    'test/sim',
    'test/fixtures/world',
    'test/fixtures/dumpstatus',
    'package.json',
  ]) {
    cpSync(join(ROOT, part), join(into, part), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(into, 'node_modules'), 'dir')
}

/** The seed that caught it and what was seen, or null. */
async function hunt(mutation: Mutation, jobs: number): Promise<{ seed: number; seen: string } | null> {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-mutant-'))
  try {
    copyTree(folder)
    const file = join(folder, mutation.file)
    writeFileSync(file, patch(readFileSync(file, 'utf8'), mutation))
    const options = makeOptions({ ...mutation.run, faults: new Set(mutation.run.faults) })
    const seeds = Array.from({ length: SEEDS_MAX }, (_, index) => index + 1)
    const failed = await runSeeds(options, seeds, { jobs, root: folder, onRun: () => {}, first: true })
    const caught = failed[0]
    // A tree that does not even load was broken by the patch, not caught by the simulator.
    if (caught !== undefined && /ERR_MODULE_NOT_FOUND|SyntaxError/.test(caught.story)) {
      throw new Error(`mutation "${mutation.name}" does not load: ${caught.story}`)
    }
    return caught === undefined ? null : { seed: caught.seed, seen: caught.story.split('\n')[0] ?? '' }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, jobs: { type: 'string' }, help: { type: 'boolean' } },
  })
  if (values.help === true) {
    process.stdout.write(HELP)
    return 0
  }
  let survived = 0
  for (const mutation of MUTATIONS.filter((one) => one.name.includes(values.only ?? ''))) {
    const caught = await hunt(mutation, Number(values.jobs ?? 2))
    if (caught === null) survived++
    const what = caught === null ? 'SURVIVED' : `caught by seed ${caught.seed}: ${caught.seen}`
    process.stdout.write(`${mutation.name} (${mutation.clause}): ${what}\n`)
  }
  process.stdout.write(`${survived} survived\n`)
  return survived === 0 ? 0 : 1
}

if (import.meta.main) process.exitCode = await main()

/** Many seeds in a few processes. Each run is a process of its own, so a crash of one is its own failure. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { commandOf, type SimOptions } from './options.ts'

/** `7`, `1-20`, `1-3,9`. Throws RangeError. */
export function parseSeeds(text: string): number[] {
  const seeds: number[] = []
  for (const part of text.split(',')) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part.trim())
    if (match === null) throw new RangeError(`seeds look like 7, 1-20 or 1-3,9, not "${text}"`)
    const first = Number(match[1])
    const last = Number(match[2] ?? match[1])
    if (first < 1 || last < first || last - first >= SEEDS_MAX)
      throw new RangeError(`no such seeds: "${part}"`)
    for (let seed = first; seed <= last; seed++) seeds.push(seed)
  }
  return seeds
}

const SEEDS_MAX = 100_000
/** A run that takes longer hangs. */
const RUN_MAX_MS = 600_000

export interface FailedSeed {
  readonly seed: number
  readonly story: string
}

export interface SeedsOptions {
  readonly jobs: number
  /** The tree whose simulator is run; undefined: this one. */
  readonly root: string | undefined
  readonly onRun: (line: string) => void
  /** Stop at the first failure. */
  readonly first?: boolean
}

export async function runSeeds(
  options: SimOptions,
  seeds: readonly number[],
  { jobs, root, onRun, first = false }: SeedsOptions,
): Promise<FailedSeed[]> {
  const waiting = [...seeds]
  const failed: FailedSeed[] = []
  const worker = async () => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      if (first && failed.length > 0) return
      const { code, out, errors } = await run(root, { ...options, seed })
      if (code === 0) onRun(out)
      else failed.push({ seed, story: errors.trim() })
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  return failed.sort((a, b) => a.seed - b.seed)
}

function run(
  root: string | undefined,
  options: SimOptions,
): Promise<{ code: number; out: string; errors: string }> {
  const folder = root === undefined ? import.meta.dirname : join(root, 'test', 'sim')
  const words = commandOf(options).split(' -- ')[1]?.split(' ') ?? []
  const child = spawn(process.execPath, [join(folder, 'main.ts'), ...words, '--json', '--quiet'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: RUN_MAX_MS,
  })
  let out = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 3, out, errors }))
  })
}

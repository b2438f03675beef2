/**
 * `npm test`: type check, lint, then every test; the simulator's many seeds and the demo by themselves, because they
 * need the whole machine. Nothing stops at the
 * first failure. The last line counts what passed and what failed; with CI set, a test that did not run is one that failed.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Count {
  readonly passed: number
  readonly failed: number
}

const CI = (process.env.CI ?? '') !== ''
const HOSTILE = 'test/sim/hostile.test.ts'
const SUITES: readonly (readonly string[])[] = [
  ['--exclude', 'test/demo/**', '--exclude', HOSTILE],
  // It takes every core for itself.
  [HOSTILE],
  ['test/demo', '--no-file-parallelism'],
]

function run(command: string, args: readonly string[]): boolean {
  process.stdout.write(`\n$ ${command} ${args.join(' ')}\n`)
  return spawnSync(command, args, { stdio: 'inherit', shell: process.platform === 'win32' }).status === 0
}

function check(command: string, args: readonly string[]): Count {
  return run(command, args) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
}

function suite(args: readonly string[], folder: string, index: number): Count {
  const report = join(folder, `${index}.json`)
  const ok = run('vitest', [
    'run',
    ...args,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ])
  try {
    const found: unknown = JSON.parse(readFileSync(report, 'utf8'))
    const count = (key: string) => Number((found as Record<string, unknown>)[key] ?? 0)
    const passed = count('numPassedTests')
    const skipped = count('numPendingTests') + count('numTodoTests')
    const failed = count('numFailedTests') + (CI ? skipped : 0)
    // A file that does not load, or an error outside of a test, has no test that failed.
    return { passed, failed: failed === 0 && !ok ? 1 : failed }
  } catch {
    return { passed: 0, failed: 1 }
  }
}

const folder = mkdtempSync(join(tmpdir(), 'wikiseed-test-'))
const counts = [
  check('tsc', ['-p', '.']),
  check('tsc', ['-p', 'protocol']),
  check('biome', ['check', '.']),
  ...SUITES.map((args, index) => suite(args, folder, index)),
]
rmSync(folder, { recursive: true, force: true })
const passed = counts.reduce((sum, one) => sum + one.passed, 0)
const failed = counts.reduce((sum, one) => sum + one.failed, 0)
process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1

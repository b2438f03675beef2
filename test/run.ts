/**
 * `npm test`: type check, lint, then every test, and one line with the sum at the end. With CI=true a skipped test counts as a
 * failed one: what was not run was not shown.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Sum {
  passed: number
  failed: number
  skipped: number
}

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const BIN = join(ROOT, 'node_modules', '.bin')
const reports = mkdtempSync(join(tmpdir(), 'wikiseed-test-'))
const sum: Sum = { passed: 0, failed: 0, skipped: 0 }

function run(title: string, command: string, args: readonly string[]): boolean {
  process.stdout.write(`\n# ${title}\n`)
  const env = { ...process.env, PATH: `${BIN}:${process.env.PATH ?? ''}` }
  const { status, signal } = spawnSync(join(BIN, command), args, {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    env,
  })
  if (status !== 0) process.stdout.write(`${title}: ${signal ?? `exit code ${status}`}\n`)
  return status === 0
}

function step(title: string, command: string, args: readonly string[]): void {
  if (run(title, command, args)) sum.passed++
  else sum.failed++
}

function tests(title: string, args: readonly string[]): void {
  const report = join(reports, `${title.replace(/\W+/g, '-')}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const ok = run(title, 'vitest', ['run', ...reporters, ...args])
  const counted = readReport(report)
  sum.passed += counted.passed
  sum.failed += counted.failed
  sum.skipped += counted.skipped
  // A run that broke before or beside its tests must not look green.
  if (!ok && counted.failed === 0) sum.failed++
  if (ok && counted.passed === 0) sum.failed++
}

function readReport(path: string): Sum {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as {
      numPassedTests: number
      numFailedTests: number
      numPendingTests: number
      numTodoTests: number
    }
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests,
      skipped: report.numPendingTests + report.numTodoTests,
    }
  } catch {
    return { passed: 0, failed: 0, skipped: 0 }
  }
}

step('type check', 'tsc', ['-p', '.'])
step('type check of the pure protocol', 'tsc', ['-p', 'protocol'])
step('lint', 'biome', ['check', '.'])
tests('law, unit, conformance, integration and interop tests', ['--exclude', 'test/demo/**'])
// One federation at a time: each is six processes on what may be two cores.
tests('the demo', ['test/demo', '--no-file-parallelism'])
rmSync(reports, { recursive: true })

const strict = process.env.CI === 'true'
const failed = sum.failed + (strict ? sum.skipped : 0)
if (strict && sum.skipped > 0) process.stdout.write(`\n${sum.skipped} skipped tests count as failed in CI\n`)
process.stdout.write(`\n${sum.passed} passed, ${failed} failed${strict ? '' : `, ${sum.skipped} skipped`}\n`)
process.exitCode = failed === 0 ? 0 : 1

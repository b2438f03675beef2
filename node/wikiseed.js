#!/usr/bin/env node
// The `wikiseed` command. Plain JavaScript that any Node reads: on an old one it starts again with the Node of this clone.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import module from 'node:module'
import { constants, homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_WANTED = 24
const CHILD_MARK = 'WIKISEED_STARTED_AGAIN'

if (Number(process.versions.node.split('.')[0]) >= NODE_WANTED) await run()
else startAgain()

async function run() {
  keepCompiled()
  const { main, report } = await import('./cli.ts')
  const argv = process.argv.slice(2)
  delete process.env[CHILD_MARK]
  const crash = (error) => process.exit(report(error, argv))
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  // A reader that went away (wikiseed ... | head) is no mistake.
  process.stdout.on('error', (error) => {
    if (error.code === 'EPIPE') process.exit(0)
    crash(error)
  })
  process.exitCode = await main(argv)
}

// Types are stripped and code is compiled once, not in every process and thread: half a second and 10 to 30 MiB for each.
// In a folder of one's own, since whoever can write there decides what runs. When that cannot be, it works without.
function keepCompiled() {
  const { env } = process
  if (env.NODE_COMPILE_CACHE !== undefined || env.NODE_DISABLE_COMPILE_CACHE !== undefined) return
  const folder = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'wikiseed', 'compiled')
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch {
    return
  }
  const { FAILED } = module.constants.compileCacheStatus
  // Threads and processes that are started later read it from the environment.
  if (module.enableCompileCache(folder).status !== FAILED) env.NODE_COMPILE_CACHE = folder
}

function startAgain() {
  const bin = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url))
  if (!existsSync(bin) || process.env[CHILD_MARK] !== undefined) {
    process.stderr.write(
      `wikiseed: this is Node ${process.versions.node}; WikiSeed needs Node ${NODE_WANTED} or newer (in a clone, npm ci brings it)\n`,
    )
    process.exit(1)
  }
  const child = spawn(bin, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, [CHILD_MARK]: '1' },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to both of us; twice would mean: at once.
      if (signal !== 'SIGINT' || process.stdin.isTTY !== true) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    process.stderr.write(`wikiseed: ${bin} does not run: ${error.message}\n`)
    process.exit(1)
  })
  child.on('close', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

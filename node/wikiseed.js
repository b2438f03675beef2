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

// What runs for months takes these from the environment and from its command line: both are read once, as a process begins.
// glibc's malloc keeps a heap for each thread, and whatever was freed of large values, unless it is told otherwise.
const FRUGAL_ENV = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: String(1024 ** 2),
  MALLOC_TRIM_THRESHOLD_: String(128 * 1024),
}
const FRUGAL_FLAGS = ['--max-semi-space-size=8']

if (Number(process.versions.node.split('.')[0]) < NODE_WANTED) startAgain()
else {
  if (mayBecomeFrugal()) becomeFrugal()
  await run()
}

function mayBecomeFrugal() {
  const { argv, env, platform } = process
  const isLongLived = argv[2] === 'start' || (argv[2] === 'coordinator' && argv[3] === 'start')
  // Whoever set one of these knows better; a channel to a parent would be lost.
  const isLeft =
    Object.keys(FRUGAL_ENV).some((name) => env[name] !== undefined) || env.NODE_CHANNEL_FD !== undefined
  return isLongLived && !isLeft && platform === 'linux' && existsSync(process.execPath)
}

// The same process, with the same id, begins again: that takes 40 ms.
function becomeFrugal() {
  const { execPath, execArgv, argv, env } = process
  process.execve(execPath, [execPath, ...FRUGAL_FLAGS, ...execArgv, ...argv.slice(1)], {
    ...env,
    ...FRUGAL_ENV,
  })
}

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

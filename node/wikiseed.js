#!/usr/bin/env node
// The `wikiseed` command. Plain JavaScript that any Node reads: on an old one it starts again with the Node of this clone.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const NODE_WANTED = 24
const CHILD_MARK = 'WIKISEED_STARTED_AGAIN'

if (Number(process.versions.node.split('.')[0]) >= NODE_WANTED) await run()
else startAgain()

async function run() {
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

/** Runs a node or a coordinator until a signal stops it. */
import type { Terminal } from './command.ts'
import { UserError } from './user-error.ts'

interface Running {
  readonly httpUrl: string
  readonly failed: Promise<never>
  readonly left?: Promise<void>
  stop(): Promise<void>
}

const STOP_MS_MAX = 30_000

/** Exit code 0 after SIGINT or SIGTERM; rejects with the error that stopped it. A second signal ends the process at once. */
export async function runUntilStopped(
  name: string,
  start: () => Promise<Running>,
  terminal: Terminal,
): Promise<number> {
  const signal = Promise.withResolvers<void>()
  const onSignal = () => {
    if (stopping) process.exit(130)
    stopping = true
    signal.resolve()
  }
  let stopping = false
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  try {
    const running = await start()
    terminal.out(`${name} runs; its status page: ${running.httpUrl}`)
    try {
      const left = running.left?.then(() => terminal.out('Everything is handed over; the folder may go.'))
      await Promise.race([signal.promise, running.failed, ...(left === undefined ? [] : [left])])
    } finally {
      await inTime(running.stop(), name)
    }
    terminal.note(`${name} stopped.`)
    return 0
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

async function inTime(stopped: Promise<void>, name: string): Promise<void> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    late.reject(new UserError(`${name} did not stop within ${STOP_MS_MAX / 1_000} seconds; it was ended`))
  }, STOP_MS_MAX)
  await Promise.race([stopped, late.promise]).finally(() => clearTimeout(timer))
}

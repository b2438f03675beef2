/** Starts operating-system processes, starts them again when they die, and stops them by their ids. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, type WriteStream } from 'node:fs'

export interface Spawned {
  readonly name: string
  pid: number | null
  /** How often it was started again. */
  restarts: number
}

interface Entry {
  readonly spawned: Spawned
  child: ChildProcess | null
  readonly log: WriteStream
  /** It is not started again. */
  lost: boolean
}

/** A process that dies again and again at its start is given up. */
const QUICK_DEATHS_MAX = 5
const QUICK_MS = 3_000
const RESTART_MS = 300
const STOP_MS = 15_000

export class Supervisor {
  readonly #children = new Map<string, Entry>()
  readonly #onDeath: (name: string, detail: string) => void
  readonly #onFatal: (error: Error) => void
  #stopping = false

  /** `onDeath` is told of every unexpected end; `onFatal` when a process will not be started any more. */
  constructor(options: { onDeath: (name: string, detail: string) => void; onFatal: (error: Error) => void }) {
    this.#onDeath = options.onDeath
    this.#onFatal = options.onFatal
  }

  list(): readonly Spawned[] {
    return [...this.#children.values()].map(({ spawned }) => spawned)
  }

  /** Starts a process of this Node version; its output goes to `logPath`. */
  start(name: string, args: readonly string[], options: { logPath: string; env?: NodeJS.ProcessEnv }): void {
    const entry: Entry = {
      spawned: { name, pid: null, restarts: 0 },
      child: null,
      log: createWriteStream(options.logPath, { flags: 'a' }),
      lost: false,
    }
    this.#children.set(name, entry)
    let quickDeaths = 0
    const run = () => {
      const startedAtMs = performance.now()
      const child = spawn(process.execPath, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...options.env },
      })
      entry.child = child
      entry.spawned.pid = child.pid ?? null
      let lastLine = ''
      child.stdout.on('data', (data: Buffer) => entry.log.write(data))
      child.stderr.on('data', (data: Buffer) => {
        entry.log.write(data)
        lastLine = data.toString().trim().split('\n').at(-1) ?? lastLine
      })
      child.on('error', (error) => this.#onFatal(error))
      child.on('close', (code, signal) => {
        entry.child = null
        entry.spawned.pid = null
        if (this.#stopping || entry.lost) return
        const how = signal === null ? `exit code ${code}` : `signal ${signal}`
        this.#onDeath(name, how)
        quickDeaths = performance.now() - startedAtMs < QUICK_MS && signal === null ? quickDeaths + 1 : 0
        if (quickDeaths >= QUICK_DEATHS_MAX) {
          this.#onFatal(new Error(`${name} ended ${quickDeaths} times at its start (${how}): ${lastLine}`))
          return
        }
        setTimeout(() => {
          if (this.#stopping || entry.lost) return
          entry.spawned.restarts++
          run()
        }, RESTART_MS)
      })
    }
    run()
  }

  /** From now on an end is expected: Ctrl-C in a terminal reaches the children too. */
  expectEnds(): void {
    this.#stopping = true
  }

  /** SIGTERM to all, SIGKILL to who does not end in time. */
  async stop(): Promise<void> {
    this.expectEnds()
    await Promise.all([...this.#children.values()].map((entry) => endOf(entry)))
  }

  /** SIGKILL to one, for good: as if its machine had burnt. Resolves when it is gone. */
  async lose(name: string): Promise<void> {
    const entry = this.#children.get(name)
    if (entry === undefined) throw new RangeError(`no process ${name}`)
    entry.lost = true
    await endOf(entry, 'SIGKILL')
  }
}

async function endOf({ child, log }: Entry, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
  if (child !== null && child.exitCode === null && child.signalCode === null) {
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await ended
    clearTimeout(timer)
  }
  log.end()
}

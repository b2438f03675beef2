/** A program that a test starts: its folder, its ports, its end. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingProgram } from '../../demo/support.ts'

/** Debian's python3-libtorrent is for Debian's own interpreter. */
export const DEBIAN_PYTHON = '/usr/bin/python3'

/** `python3-libtorrent`, or null when it is there. */
export function missingLibtorrent(): string | null {
  const found = spawnSync(DEBIAN_PYTHON, ['-c', 'import libtorrent'], { stdio: 'ignore' }).status === 0
  if (found) return null
  if (process.env.CI === 'true') throw new Error('python3-libtorrent must be installed in CI')
  return 'python3-libtorrent'
}

export const missing = (program: string): string | null => missingProgram(program)

export interface Program {
  readonly child: ChildProcess
  readonly pid: number
  /** Its own; removed at the end. */
  readonly folder: string
  /** Throws with what it said when it has ended. */
  check(): void
  /** Asks it to end, insists after 5 s, and removes its folder. */
  stop(): Promise<void>
}

const INSIST_MS = 5_000
const SAID_CHARACTERS_MAX = 4_000

/** A folder for a program's settings and state. */
export const makeFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'wikiseed-client-'))

/** Not in the usual environment, so that no settings of this user apply; `env` is added. */
export function startProgram(
  command: string,
  args: readonly string[],
  folder: string,
  stdin: 'pipe' | 'ignore' = 'ignore',
  env: Readonly<Record<string, string>> = {},
): Program {
  const child = spawn(command, args, {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder, ...env },
    stdio: [stdin, 'pipe', 'pipe'],
  })
  let said = ''
  const hear = (data: Buffer) => {
    said = (said + data).slice(-SAID_CHARACTERS_MAX)
  }
  child.stderr?.on('data', hear)
  if (stdin === 'ignore') child.stdout?.on('data', hear)
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  return {
    child,
    pid: child.pid ?? 0,
    folder,
    check() {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
        throw new Error(`${command} has ended: ${said}`)
    },
    async stop() {
      child.kill('SIGTERM')
      const insist = setTimeout(() => child.kill('SIGKILL'), INSIST_MS)
      await ended
      clearTimeout(insist)
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

/** A port that was free a moment ago, for programs that cannot choose one and say so. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

const LOOK_MS = 25
const PATIENCE_MS = 120_000

/** Looks until `look` gives something other than null; a program that ended, or 120 s, end it with an error. */
export async function untilTrue<T>(
  what: string,
  program: Program,
  look: () => Promise<T | null>,
): Promise<T> {
  const endsAtMs = performance.now() + PATIENCE_MS
  for (;;) {
    const found = await look()
    if (found !== null) return found
    program.check()
    if (performance.now() > endsAtMs) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

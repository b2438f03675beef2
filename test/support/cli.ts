/** Runs `wikiseed` as people do: a process, its output and its exit code. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'

export const ROOT = join(import.meta.dirname, '..', '..')
const WIKISEED = join(ROOT, 'node', 'wikiseed.js')

let folder = ''
const children = new Set<ChildProcess>()

/** A new folder for each test, its processes' home; ends the processes that a test leaves behind. */
export function useCli(): void {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'wikiseed-cli-'))
  })
  afterEach(() => {
    for (const child of children) child.kill('SIGKILL')
    children.clear()
    rmSync(folder, { recursive: true, force: true })
  })
}

/** A path in the folder of this test. */
export function at(...names: string[]): string {
  return join(folder, ...names)
}

/** Nothing leaves this machine, whatever the defaults become. */
export const NO_STRANGERS = { WIKISEED_TRACKER: 'none', WIKISEED_DHT: 'no', WIKISEED_LSD: 'no' }

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

export function start(
  args: readonly string[],
  node = process.execPath,
  strangers: Readonly<Record<string, string>> = NO_STRANGERS,
): { child: ChildProcess; ended: Promise<Ended> } {
  const env = { PATH: process.env.PATH ?? '', HOME: folder, ...strangers }
  const child = spawn(node, [WIKISEED, ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  children.add(child)
  const ended = new Promise<Ended>((resolve, reject) => {
    let out = ''
    let error = ''
    child.stdout?.on('data', (data) => {
      out += data
    })
    child.stderr?.on('data', (data) => {
      error += data
    })
    child.on('error', reject)
    child.on('close', (code) => {
      children.delete(child)
      resolve({ code, out, error })
    })
  })
  return { child, ended }
}

export const wikiseed = (...args: string[]): Promise<Ended> => start(args).ended

/** An expected failure: code 1, one line on stderr, no stack. */
export function sentence(ended: Ended): string {
  expect(ended.code).toBe(1)
  expect(ended.error.trim().split('\n')).toHaveLength(1)
  return ended.error.trim()
}

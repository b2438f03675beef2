/** Our own engine in a process of its own, so that its processor time and memory can be seen from outside. */
import { join } from 'node:path'
import type { ClientDriver } from './client.ts'
import { startLineClient } from './line-client.ts'

const SCRIPT = join(import.meta.dirname, 'wikiseed-child.ts')

/** What the `wikiseed` command sets for itself, and its engine's process has from it (wikiseed.js). */
const FRUGAL_ENV = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: String(1024 ** 2),
  MALLOC_TRIM_THRESHOLD_: String(128 * 1024),
}

/** `compiled`: a folder that keeps compiled code from one process to the next, as the `wikiseed` command has one. */
export function wikiseedDriver(compiled?: string): ClientDriver {
  return {
    name: 'wikiseed',
    missing: () => null,
    start: ({ host = '127.0.0.1' } = {}) =>
      startLineClient({
        name: 'wikiseed',
        command: process.execPath,
        args: [...(process.env.WIKISEED_NODE_FLAGS?.split(' ') ?? []), SCRIPT, host],
        host,
        env: { ...FRUGAL_ENV, ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled }) },
      }),
  }
}

export const wikiseed = wikiseedDriver()

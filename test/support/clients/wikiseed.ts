/** Our own engine in a process of its own, so that its processor time and memory can be seen from outside. */
import { join } from 'node:path'
import { ONE_HEAP } from '../../../node/memory.ts'
import type { ClientDriver } from './client.ts'
import { startLineClient } from './line-client.ts'

const SCRIPT = join(import.meta.dirname, 'wikiseed-child.ts')

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
        env: { ...ONE_HEAP, ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled }) },
      }),
  }
}

export const wikiseed = wikiseedDriver()

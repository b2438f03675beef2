/** Our own engine in a process of its own, so that its processor time and memory can be seen from outside. */
import { join } from 'node:path'
import type { ClientDriver } from './client.ts'
import { startLineClient } from './line-client.ts'

const SCRIPT = join(import.meta.dirname, 'wikiseed-child.ts')

export const wikiseed: ClientDriver = {
  name: 'wikiseed',
  missing: () => null,
  start: ({ host = '127.0.0.1' } = {}) =>
    startLineClient({
      name: 'wikiseed',
      command: process.execPath,
      args: [...(process.env.WIKISEED_NODE_FLAGS?.split(' ') ?? []), SCRIPT, host],
      host,
    }),
}

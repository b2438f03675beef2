/** libtorrent (arvidn) by its Python binding: what qBittorrent and Deluge are built on. */
import { join } from 'node:path'
import type { ClientDriver } from './client.ts'
import { startLineClient } from './line-client.ts'
import { DEBIAN_PYTHON, missingLibtorrent } from './program.ts'

const SCRIPT = join(import.meta.dirname, 'libtorrent_client.py')

export const libtorrent: ClientDriver = {
  name: 'libtorrent',
  missing: missingLibtorrent,
  start: ({ host = '127.0.0.1' } = {}) =>
    startLineClient({ name: 'libtorrent', command: DEBIAN_PYTHON, args: [SCRIPT, host], host }),
}

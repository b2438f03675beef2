/** libtorrent (arvidn) by its Python binding: what qBittorrent and Deluge are built on. */
import { join } from 'node:path'
import type { ClientDriver, TorrentClient } from './client.ts'
import { startLineClient } from './line-client.ts'
import { DEBIAN_PYTHON, missingLibtorrent } from './program.ts'

const SCRIPT = join(import.meta.dirname, 'libtorrent_client.py')

/** `settings` of libtorrent's own, above those of the script. */
export function startLibtorrent(
  host = '127.0.0.1',
  settings: Readonly<Record<string, unknown>> = {},
): Promise<TorrentClient> {
  const args = [SCRIPT, host, JSON.stringify(settings)]
  return startLineClient({ name: 'libtorrent', command: DEBIAN_PYTHON, args, host })
}

export const libtorrent: ClientDriver = {
  name: 'libtorrent',
  missing: missingLibtorrent,
  start: ({ host } = {}) => startLibtorrent(host),
}

/** Reads a bundle from one peer, as `wikiseed get` does; all of it within a time. Transmission takes 15 s to begin. */
import type { TorrentReader } from '../../node/ports.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import type { Infohash } from '../../protocol/ids.ts'

export async function withLeecher<T>(
  port: number,
  infohash: Infohash,
  use: (reader: TorrentReader) => Promise<T>,
  timeoutMs = 60_000,
): Promise<T> {
  const engine = new WebTorrentEngine({ port: 0 })
  await engine.start()
  try {
    const reader = await engine.open(infohash, {
      peers: [{ host: '127.0.0.1', port }],
      accept: () => true,
      kind: 'bundle',
      signal: AbortSignal.timeout(timeoutMs),
    })
    return await use(reader)
  } finally {
    await engine.stop()
  }
}

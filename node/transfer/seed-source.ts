/** Where a seed's metadata comes from, read within its bounds. */
import type { Infohash } from '../../protocol/ids.ts'
import { decodeInfo, type Info, totalBytes } from '../../protocol/torrent/info.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { type SeedSource, TorrentError } from '../ports.ts'
import { checkSizes } from './chunk-store.ts'

/** A torrent in memory, whose files' sizes were looked at. Rejects with TorrentError. */
export async function sourceOf(torrent: Uint8Array, root: string): Promise<SeedSource> {
  const { infohash, info } = readTorrent(torrent)
  await checkSizes(root, info)
  return { infohash, sizeBytes: totalBytes(info.files), torrent: () => Promise.resolve(torrent) }
}

/** Of a whole .torrent file. Throws TorrentError when it is none, or another's. */
export function readTorrent(
  bytes: Uint8Array,
  infohash?: Infohash,
): { raw: Uint8Array; info: Info; infohash: Infohash } {
  const metainfo = decodeMetainfo(bytes)
  // What is seeded was verified or made here: it may be a bundle.
  const info = metainfo === null ? null : decodeInfo(metainfo.info, 'bundle')
  if (metainfo === null || info === null || (infohash !== undefined && metainfo.infohash !== infohash)) {
    throw new TorrentError('metadata-mismatch', 'not the .torrent file of a shard or a bundle')
  }
  return { raw: metainfo.info, info, infohash: metainfo.infohash }
}

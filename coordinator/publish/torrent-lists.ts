/**
 * What stands around the info dictionary of a published .torrent, and in its magnet link: trackers and web seeds (PROTOCOL 2; BEP 12,
 * 19). A client asks a web seed for `<address><name of the torrent>/<path>`. Pure.
 */
import type { Infohash } from '../../protocol/ids.ts'
import { originBase, type RunName } from '../../protocol/shard/paths.ts'
import { decodeMetainfo, encodeMetainfo } from '../../protocol/torrent/metainfo.ts'

export interface TorrentLists {
  /** Announce URLs, each a tier of its own: clients ask one of a tier. */
  readonly trackers: readonly string[]
  /** Addresses with `/` at their ends, percent-encoded, the best first. */
  readonly webSeeds: readonly string[]
}

/** Those of an item and a few mirrors: every one is asked by every client, and stands in manifest.json too. */
export const WEB_SEEDS_MAX = 8

/**
 * The item's download address, and its storage node beside it: libtorrent 2.0 forgets redirects, which the first answers with
 * (docs/decisions/0026). None when the item was verified by a build that may have known another layout: `storage` is undefined then.
 */
export function archiveWebSeeds(
  archiveSite: string,
  { item, storage }: { readonly item: string; readonly storage?: string | null },
): string[] {
  if (storage === undefined) return []
  const download = `${archiveSite}download/${encodeURIComponent(item)}/`
  return storage === null ? [download] : [download, `${new URL(archiveSite).protocol}//${storage}/`]
}

export function mirrorWebSeed(mirror: string, run: Pick<RunName, 'dataset'>): string {
  return `${mirror}${originBase(run)}`
}

/** Those that may be web seeds: never upstream's own host, whoever names it (PROTOCOL 2). Addresses with `/` at their ends. */
export function webSeedMirrors(mirrors: readonly string[], originUrl: string): string[] {
  const origin = new URL(originUrl).host
  return [...new Set(mirrors)].filter((mirror) => {
    const { host, hostname } = new URL(mirror)
    return host !== origin && !/(^|\.)wikimedia\.org\.?$/.test(hostname)
  })
}

/**
 * The .torrent with these lists and nothing else around its info dictionary; null when it does not have this infohash. Same input, same
 * bytes.
 */
export function withLists(torrent: Uint8Array, infohash: Infohash, lists: TorrentLists): Uint8Array | null {
  const metainfo = decodeMetainfo(torrent)
  if (metainfo?.infohash !== infohash) return null
  return encodeMetainfo({
    info: metainfo.info,
    trackers: lists.trackers.map((one) => [one]),
    webSeeds: lists.webSeeds,
  })
}

/**
 * `feed.xml`: RSS 2.0 of the newest torrents, by the rules that qBittorrent's parser sets (src/base/rss/rss_parser.cpp): one
 * enclosure an item, a guid that stays with the infohash, at most 50 items, and a lastBuildDate that moves with every change.
 */
import { parseShardId } from '../../protocol/ids.ts'
import { magnetLink } from '../../protocol/torrent/magnet.ts'
import { torrentPath } from './manifest-json.ts'
import { inOrder, type MergedShard } from './merged-shard.ts'

/** qBittorrent keeps 50 articles a feed. */
export const FEED_ITEMS_MAX = 50

export interface FeedOptions {
  readonly name: string
  /** Address of the publication's folder with `/` at its end; null: items carry magnet links instead of enclosures. */
  readonly publicUrl: string | null
  readonly lastBuildAtMs: number
}

/** The items alone: what decides whether the feed changed. */
export function feedItems(shards: readonly MergedShard[], publicUrl: string | null): string {
  const newest = inOrder(shards)
    .sort((a, b) => b.acceptedAtMs - a.acceptedAtMs)
    .slice(0, FEED_ITEMS_MAX)
  return newest.map((shard) => item(shard, publicUrl)).join('')
}

/** The feed around its items. RFC 822 dates have whole seconds. */
export function feedXml(items: string, options: FeedOptions): Uint8Array {
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<rss version="2.0"><channel>',
    `<title>${escapeXml(options.name)}: newest dumps</title>`,
    `<link>${escapeXml(options.publicUrl ?? 'https://dumps.wikimedia.org/')}</link>`,
    '<description>Torrents of Wikimedia dumps, archived and verified by WikiSeed</description>',
    `<lastBuildDate>${rfc822(options.lastBuildAtMs)}</lastBuildDate>`,
    `${items}</channel></rss>`,
    '',
  ]
  return Buffer.from(lines.join('\n'))
}

/** Title in fixed order, since download rules match titles: dbname, date, dataset, part. */
export function feedTitle(shard: Pick<MergedShard, 'id'>): string {
  const { dataset, wiki, date, part } = parseShardId(shard.id)
  return `${wiki} ${date} ${dataset}${part > 0 ? ` part ${part}` : ''}`
}

function item(shard: MergedShard, publicUrl: string | null): string {
  const magnet = magnetLink({ ...shard, peers: [] })
  // A link that starts with `magnet:` becomes the torrent; beside an enclosure the link is a page.
  const where =
    publicUrl === null
      ? `<link>${escapeXml(magnet)}</link>`
      : `<link>${escapeXml(publicUrl)}</link><enclosure url="${escapeXml(`${publicUrl}${encodeURI(torrentPath(shard))}`)}" ` +
        `length="${shard.torrent.length}" type="application/x-bittorrent"/>`
  return (
    `<item><title>${escapeXml(feedTitle(shard))}</title><guid isPermaLink="false">urn:btih:${shard.infohash}</guid>` +
    `<pubDate>${rfc822(shard.acceptedAtMs)}</pubDate>${where}</item>\n`
  )
}

function rfc822(ms: number): string {
  return new Date(ms).toUTCString()
}

function escapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&apos;',
  }
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character)
}

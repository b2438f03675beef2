/**
 * Metalink 4 (RFC 5854) of one run: every file with its digests, the torrent, and where else it may lie. For download managers; what
 * it says of bytes is what manifest.json says. Same input, same bytes: it has no date.
 */
import { parseShardId } from '../../protocol/ids.ts'
import type { MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'
import { downloadPath } from '../../protocol/shard/archive-item.ts'
import { xmlEscape } from '../reading/xml-text.ts'
import { isMetadata, mirrorPath } from './paths.ts'

export interface MetalinkPlaces {
  /** Where the publication lies on the web, with `/` at its end; null: torrents have no address. */
  readonly publicUrl: string | null
  /** `https://archive.org/` */
  readonly archiveSite: string
  /** Bases laid out like dumps.wikimedia.org, with `/` at their ends, the best first. */
  readonly mirrors: readonly string[]
}

/** RFC 5854 4.2.18: 1 is asked first. */
const PRIORITY_MAX = 999_999

/** `fatwiki-20240920.meta4`, of the exports `content_current-fatwiki-20260101.meta4`. */
export function metalinkName(shard: Pick<MergedManifestShard, 'id'>): string {
  const { dataset, wiki, date } = parseShardId(shard.id)
  return `${dataset === 'dumps' ? '' : `${dataset}-`}${wiki}-${date}.meta4`
}

/** The shards of one run, in order of part. */
export function metalinkOf(shards: readonly MergedManifestShard[], places: MetalinkPlaces): string {
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<metalink xmlns="urn:ietf:params:xml:ns:metalink">',
  ]
  lines.push('  <generator>WikiSeed</generator>')
  for (const shard of shards) for (const file of shard.files) lines.push(...fileOf(shard, file, places))
  return `${lines.join('\n')}\n</metalink>\n`
}

function fileOf(
  shard: MergedManifestShard,
  file: MergedManifestShard['files'][number],
  places: MetalinkPlaces,
): string[] {
  const name = xmlEscape(`${shard.name}/${file.path}`)
  const { publicUrl, archiveSite, mirrors } = places
  const urls: string[] = []
  if (shard.archive !== null) {
    const path = downloadPath(shard.archive.item, shard, file.path)
    urls.push(archiveSite + path.split('/').map(encodeURIComponent).join('/'))
  }
  // Our own three files lie in the torrent and at the Archive only.
  if (!isMetadata(file)) for (const base of mirrors) urls.push(`${base}${mirrorPath(shard, file)}`)
  const hashes = [
    ['md5', file.md5],
    ['sha-1', file.sha1],
    ['sha-256', file.sha256],
  ] as const
  return [
    `  <file name="${name}">`,
    `    <size>${file.size}</size>`,
    ...hashes.flatMap(([type, hex]) => (hex === undefined ? [] : [`    <hash type="${type}">${hex}</hash>`])),
    ...(publicUrl === null
      ? []
      : [
          // The name says which file of the torrent is meant (RFC 5854 4.2.8.2).
          `    <metaurl priority="1" mediatype="torrent" name="${name}">${xmlEscape(`${publicUrl}${encodeURI(shard.torrent)}`)}</metaurl>`,
        ]),
    ...urls.map(
      (url, index) => `    <url priority="${Math.min(index + 2, PRIORITY_MAX)}">${xmlEscape(url)}</url>`,
    ),
    '  </file>',
  ]
}

/** Where one file of a shard may be had over HTTP, in the order in which it is asked for (PROTOCOL 6). Pure. */
import { downloadPath, itemNames } from '../../protocol/shard/archive-item.ts'
import { originPath } from '../../protocol/shard/paths.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import type { DownloadPlace } from '../ports.ts'

export interface Place {
  /** Null: the origin itself. */
  readonly from: DownloadPlace | null
  /** Names it in logs and status. */
  readonly label: string
  /** Below its base. */
  readonly path: string
}

export interface KnownSources {
  /** Of the same layout as the origin, with `/` at the end. */
  readonly mirrors: readonly string[]
  /** The Internet Archive's site, with `/` at the end; null: it is not asked. */
  readonly archiveUrl: string | null
  readonly originLabel: string
}

/**
 * The Internet Archive when a coordinator verified the copy there, then mirrors, then the origin: bulk goes where it costs Wikimedia
 * nothing. `path` is the file's inside the torrent.
 */
export function placesOf(sources: KnownSources, shard: Shard, path: string, isArchived: boolean): Place[] {
  const place = (baseUrl: string, below: string): Place => {
    const label = new URL(baseUrl).host
    return { from: { baseUrl, label }, label, path: below }
  }
  const { archiveUrl } = sources
  const archive =
    archiveUrl === null || !isArchived
      ? []
      : itemNames(shard).map((item): Place => {
          const label = `${new URL(archiveUrl).host}/${item}`
          return { from: { baseUrl: archiveUrl, label }, label, path: downloadPath(item, shard, path) }
        })
  const below = originPath(shard, path)
  const mirrors = sources.mirrors.map((mirror) => place(mirror, below))
  return [...archive, ...mirrors, { from: null, label: sources.originLabel, path: below }]
}

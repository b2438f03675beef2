/** What a shard is called at the Internet Archive (PROTOCOL 9): whoever knows the shard finds it there without asking. */
import { parseShardId, type ShardDigest, type ShardId } from '../ids.ts'

/**
 * The names to try, in order: `wikiseed-tenwiki-20260101`, for parts `-part2`; and, when that item holds another revision of
 * the run or is somebody else's, the same with the digest's first 8 digits.
 */
export function itemNames(shard: { readonly id: ShardId; readonly digest: ShardDigest }): [string, string] {
  const { dataset, wiki, date, part } = parseShardId(shard.id)
  const set = dataset === 'dumps' ? '' : `${dataset}-`
  const base = `wikiseed-${set}${wiki}-${date}${part > 0 ? `-part${part}` : ''}`
  return [base, `${base}-${shard.digest.slice(0, 8)}`]
}

/**
 * Where a file of the torrent lies in the item: below the torrent's name, as a client asks a web seed for it (BEP 19), and as
 * upstream lays it out. `path` is the one inside the torrent.
 */
export function itemPath(shard: { readonly name: string }, path: string): string {
  return `${shard.name}/${path}`
}

/** The same below the Archive's site: https://archive.org/ */
export function downloadPath(item: string, shard: { readonly name: string }, path: string): string {
  return `download/${item}/${itemPath(shard, path)}`
}

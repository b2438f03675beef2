/** Which runs of upstream's index are read next: those that nobody knows yet (PROTOCOL 1, 9). Pure. */
import { type Dataset, type Series, type ShardId, seriesOf } from '../ids.ts'
import type { Shard } from '../shard/shard.ts'

/** A run as upstream's index of all wikis shows it: digests may be missing there that its own lists have. */
export interface Glimpse {
  readonly dataset: Dataset
  readonly wiki: string
  readonly date: string
  /** Unix ms of the newest `updated`. */
  readonly updatedMs: number
  /** None: it is not settled, or holds nothing. */
  readonly shards: readonly Shard[]
}

export interface ReadingBounds {
  /** Date of the newest run: only newer ones of these series that are settled. Absent: all runs. */
  readonly after?: ReadonlyMap<Series, string>
  readonly runsMax?: number
}

/** Longest settled first, so that two who look at the same index on one day read the same runs. */
export function runsToRead(
  glimpses: readonly Glimpse[],
  known: (shard: Shard) => boolean,
  { after, runsMax = Number.POSITIVE_INFINITY }: ReadingBounds = {},
): Glimpse[] {
  return glimpses
    .filter((one) => isWanted(one, after) && !(one.shards.length > 0 && one.shards.every(known)))
    .sort((a, b) => a.updatedMs - b.updatedMs || (a.wiki < b.wiki ? -1 : 1))
    .slice(0, runsMax)
}

function isWanted(glimpse: Glimpse, after: ReadingBounds['after']): boolean {
  if (after === undefined) return true
  const { date, shards } = glimpse
  const newest = after.get(seriesOf(glimpse))
  return newest !== undefined && date > newest && shards.length > 0
}

/** Is it one of these, or one of these of which fewer digests are known? */
export function knownAmong(shards: Iterable<Shard>): (shard: Shard) => boolean {
  const byId = new Map<ShardId, Shard[]>()
  for (const shard of shards) byId.set(shard.id, [...(byId.get(shard.id) ?? []), shard])
  return (shard) => (byId.get(shard.id) ?? []).some((one) => one.key === shard.key || covers(one, shard))
}

function covers(whole: Shard, part: Shard): boolean {
  const { files, statusJson, bundleVersion } = whole
  if (
    statusJson !== part.statusJson ||
    bundleVersion !== part.bundleVersion ||
    files.length !== part.files.length
  )
    return false
  return part.files.every(({ path, sizeBytes, digests }, at) => {
    const file = files[at]
    if (file?.path !== path || file.sizeBytes !== sizeBytes) return false
    return Object.entries(digests).every(([name, hex]) => file.digests[name as keyof typeof digests] === hex)
  })
}

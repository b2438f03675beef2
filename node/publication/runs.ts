/** The runs of one wiki that a merged manifest names. */
import { type Dataset, parseShardId } from '../../protocol/ids.ts'
import type { MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'

export interface PublishedRun {
  readonly dataset: Dataset
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
  /** In order of part. */
  readonly shards: readonly MergedManifestShard[]
}

/** The newest first. Of two revisions of one shard the one that the Internet Archive has counts, then the one with more replicas. */
export function runsOf(
  all: readonly MergedManifestShard[],
  wiki: string,
  dataset: Dataset = 'dumps',
): PublishedRun[] {
  const runs = new Map<string, Map<number, MergedManifestShard>>()
  for (const shard of all) {
    const { dataset: of, wiki: name, date, part } = parseShardId(shard.id)
    if (of !== dataset || name !== wiki) continue
    const run = runs.get(date) ?? new Map<number, MergedManifestShard>()
    const known = run.get(part)
    if (known === undefined || isBetter(shard, known)) run.set(part, shard)
    runs.set(date, run)
  }
  return [...runs]
    .sort(([a], [b]) => (a < b ? 1 : -1))
    .map(([date, parts]) => {
      const whole = parts.get(0)
      const inOrder = [...parts].sort(([a], [b]) => a - b).map(([, shard]) => shard)
      // A run is whole or cut, never both: upstream changed it in between, and the parts are newer or older as a set.
      const shards = whole !== undefined && parts.size > 1 ? pick(whole, inOrder.slice(1)) : inOrder
      return { dataset, wiki, date, shards }
    })
}

function pick(whole: MergedManifestShard, parts: readonly MergedManifestShard[]) {
  const sizeBytes = parts.reduce((sum, shard) => sum + shard.sizeBytes, 0)
  return whole.sizeBytes >= sizeBytes ? [whole] : parts
}

function isBetter(a: MergedManifestShard, b: MergedManifestShard): boolean {
  const verified = (shard: MergedManifestShard) =>
    shard.archive === null ? 0 : Date.parse(shard.archive.verifiedAt)
  return verified(a) !== verified(b) ? verified(a) > verified(b) : a.replicas > b.replicas
}

/** All runs of all wikis, in the order of the shards. */
export function allRuns(all: readonly MergedManifestShard[]): PublishedRun[] {
  const wikis = new Map<string, { dataset: Dataset; wiki: string; shards: MergedManifestShard[] }>()
  for (const shard of all) {
    const { dataset, wiki } = parseShardId(shard.id)
    const key = `${dataset}/${wiki}`
    const known = wikis.get(key) ?? { dataset, wiki, shards: [] }
    known.shards.push(shard)
    wikis.set(key, known)
  }
  return [...wikis.values()].flatMap(({ dataset, wiki, shards }) => runsOf(shards, wiki, dataset))
}

/** Names of wikis that are written nearly like this one. */
export function wikisLike(all: readonly MergedManifestShard[], wiki: string): string[] {
  const names = new Set(all.map((shard) => parseShardId(shard.id).wiki))
  const start = wiki.slice(0, 2)
  return [...names].filter((name) => name.startsWith(start) || name.includes(wiki)).slice(0, 10)
}

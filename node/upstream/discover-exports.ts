/**
 * Content File Exports have no index: wikis and dates come from folder listings (PROTOCOL 1). A round looks at a bounded number of
 * wikis, first those whose folder changed or that were never looked at, then those that were looked at longest ago; so a re-made export
 * is noticed too, in time.
 */
import type { ReadingBounds } from '../../protocol/catalog/runs-to-read.ts'
import { EXPORT_DATASETS, type ExportDataset } from '../../protocol/dump/content-export.ts'
import { runDateFromHyphens } from '../../protocol/dump/dates.ts'
import { type Dataset, isWiki, type Series, seriesOf } from '../../protocol/ids.ts'
import type { RunName } from '../../protocol/shard/paths.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { OriginError } from '../ports.ts'
import type { DiscoverParts, Discovery } from './discover.ts'
import type { SizesBySha256 } from './read-export.ts'
import { readUpstreamRun } from './read-run.ts'
import { flawsOf, type RunProblem, unread, WHY } from './run-problem.ts'

/** Four requests for a wiki of which nothing is new. */
export const WIKIS_A_ROUND_MAX = 256
/** The newest date may be in progress; then the one before it is what there is. */
const DATES_MAX = 3

interface Seen {
  readonly dataset: Dataset
  /** As the listing said it. */
  readonly changedMs: number | null
  readonly lookedAtMs: number
  readonly problems: readonly RunProblem[]
}

interface Candidate {
  readonly dataset: ExportDataset
  readonly wiki: string
  readonly changedMs: number | null
}

export class ExportDiscovery {
  readonly #seen = new Map<Series, Seen>()

  /**
   * One round. Of runs that are `known` no sizes are asked for again. What is wrong with wikis that were not looked at this time is
   * what was wrong the last time. Problems are data; rejects only when the signal says so.
   */
  async round(
    parts: DiscoverParts,
    known: Iterable<Shard>,
    isKnown: (shard: Shard) => boolean,
    signal: AbortSignal,
    bounds: ReadingBounds = {},
  ): Promise<Discovery> {
    const runs: (readonly Shard[])[] = []
    const problems: RunProblem[] = []
    const candidates: Candidate[] = []
    const listed = new Set<Dataset>()
    for (const dataset of EXPORT_DATASETS) {
      const found = await this.#wikis(parts, dataset, signal)
      if (!Array.isArray(found)) {
        problems.push(found as RunProblem)
        continue
      }
      candidates.push(...found)
      listed.add(dataset)
    }
    const sizes = sizesOf(known)
    for (const one of this.#chosen(candidates, bounds)) {
      const series = seriesOf(one)
      const own: RunProblem[] = []
      const after = bounds.after?.get(series)
      const shards = await this.#newest(parts, one, after, sizes, own, signal)
      if (shards.length > 0 && !shards.every(isKnown)) runs.push(shards)
      await parts.breathe?.(signal)
      this.#seen.set(series, {
        dataset: one.dataset,
        changedMs: one.changedMs,
        lookedAtMs: parts.clock.monotonicMs(),
        problems: own,
      })
      if (runs.length >= (bounds.runsMax ?? Number.POSITIVE_INFINITY)) break
    }
    const there = new Set(candidates.map(seriesOf))
    for (const [series, seen] of this.#seen) {
      // A wiki that is gone is forgotten; one that could not be listed this time is as it was.
      if (listed.has(seen.dataset) && !there.has(series)) this.#seen.delete(series)
      else problems.push(...seen.problems)
    }
    return { runs, problems }
  }

  async #wikis(
    { origin, clock }: DiscoverParts,
    dataset: ExportDataset,
    signal: AbortSignal,
  ): Promise<Candidate[] | RunProblem> {
    const all = { dataset, wiki: '', date: '', atMs: clock.wallMs() }
    try {
      const entries = await origin.list(exportsFolder(dataset), signal)
      if (entries === null) {
        return { ...all, code: 'not-listed', detail: `${exportsFolder(dataset)} is not there, or not listed` }
      }
      return entries
        .filter((entry) => entry.isFolder && isWiki(entry.name))
        .map(({ name, changedMs }) => ({ dataset, wiki: name, changedMs }))
    } catch (error) {
      return { ...all, ...unread(error) }
    }
  }

  #chosen(candidates: readonly Candidate[], { after }: ReadingBounds): Candidate[] {
    const seen = (one: Candidate) => this.#seen.get(seriesOf(one))
    // Who reads for others takes only what is known, the newest folders first, so that two on one day read the same.
    if (after !== undefined) {
      return candidates
        .filter((one) => after.has(seriesOf(one)))
        .sort((a, b) => (b.changedMs ?? 0) - (a.changedMs ?? 0) || compare(seriesOf(a), seriesOf(b)))
        .slice(0, WIKIS_A_ROUND_MAX)
    }
    const isNews = (one: Candidate) => seen(one)?.changedMs !== one.changedMs || seen(one) === undefined
    return [...candidates]
      .sort(
        (a, b) =>
          Number(isNews(b)) - Number(isNews(a)) ||
          (seen(a)?.lookedAtMs ?? 0) - (seen(b)?.lookedAtMs ?? 0) ||
          compare(seriesOf(a), seriesOf(b)),
      )
      .slice(0, WIKIS_A_ROUND_MAX)
  }

  /** Shards of the newest export of a wiki that is complete; none when there is none, or none after that date. */
  async #newest(
    parts: DiscoverParts,
    { dataset, wiki }: Candidate,
    after: string | undefined,
    sizes: SizesBySha256,
    problems: RunProblem[],
    signal: AbortSignal,
  ): Promise<readonly Shard[]> {
    const { origin, clock, settledAfterMs } = parts
    let name: RunName = { dataset, wiki, date: '' }
    try {
      const folders = (await origin.list(`${exportsFolder(dataset)}/${wiki}`, signal)) ?? []
      const dates = folders.flatMap(({ name, isFolder }) =>
        isFolder ? (runDateFromHyphens(name) ?? []) : [],
      )
      for (const date of dates.sort().reverse().slice(0, DATES_MAX)) {
        if (after !== undefined && date <= after) return []
        name = { dataset, wiki, date }
        const nowMs = clock.wallMs()
        const reading = readUpstreamRun(origin, name, { nowMs, settledAfterMs, sizes, signal })
        const upstream = await reading.catch(nullIfNotFound)
        if (upstream === null) {
          // The folder of the date stands, and nothing in it yet.
          problems.push({ ...name, code: 'in-progress', detail: WHY['in-progress'], atMs: nowMs })
          continue
        }
        // Before it has settled its files were not asked for.
        if (upstream.ready || upstream.reason === 'no-files') problems.push(...flawsOf(upstream.run, nowMs))
        if (upstream.ready) return upstream.shards
        problems.push({ ...name, code: upstream.reason, detail: WHY[upstream.reason], atMs: nowMs })
      }
    } catch (error) {
      problems.push({ ...name, ...unread(error), atMs: clock.wallMs() })
    }
    return []
  }
}

function nullIfNotFound(error: unknown): null {
  if (error instanceof OriginError && error.code === 'not-found') return null
  throw error
}

const exportsFolder = (dataset: ExportDataset): string => `other/mediawiki_${dataset}`

function sizesOf(shards: Iterable<Shard>): SizesBySha256 {
  const sizes: SizesBySha256 = new Map()
  for (const { files } of shards) {
    for (const { sizeBytes, digests } of files)
      if (digests.sha256 !== undefined) sizes.set(digests.sha256, sizeBytes)
  }
  return sizes
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

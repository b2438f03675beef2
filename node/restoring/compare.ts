/** What was counted, beside what the wiki said of itself in `site_stats`. */

import type { RunSource } from '../reading/byte-source.ts'
import { hasTable, readTable } from '../reading/tables.ts'
import type { ContentKind } from './plan.ts'

/** MediaWiki's own counters, which drift a little and were read at another moment than the pages. */
export interface SiteStats {
  readonly totalPages: number
  readonly totalEdits: number
  readonly goodArticles: number
}

/** Null when the run has no site_stats table, or no row in it. Rejects with SourceError or DumpFormatError. */
export async function readSiteStats(run: RunSource, signal?: AbortSignal): Promise<SiteStats | null> {
  if (!hasTable(run, 'site_stats')) return null
  const stats: SiteStats[] = []
  const wanted = ['ss_total_pages', 'ss_total_edits', 'ss_good_articles']
  await readTable(run, 'site_stats', wanted, signal, ([pages, edits, articles]) => {
    if (stats.length > 0) return
    stats.push({ totalPages: Number(pages), totalEdits: Number(edits), goodArticles: Number(articles) })
  })
  const [first] = stats
  return first !== undefined && Object.values(first).every(Number.isSafeInteger) ? first : null
}

export interface Comparison {
  readonly what: string
  readonly counted: number
  readonly said: number
  /** `at least`: the dump holds other pages too. */
  readonly rule: 'equal' | 'at least'
  readonly fits: boolean
}

/** A share by which they may differ, and a number for small wikis. */
const DRIFT = 0.02
const DRIFT_COUNT = 20

/** Only what can be compared: a dump of articles does not hold every page, one of newest revisions not every edit. */
export function compareCounts(
  kind: ContentKind,
  counts: { readonly pages: number; readonly revisions: number },
  stats: SiteStats,
): Comparison[] {
  if (kind === 'pages-articles') return [atLeast('content pages', counts.pages, stats.goodArticles)]
  const pages = equal('pages', counts.pages, stats.totalPages)
  if (kind === 'pages-meta-current') return [pages]
  // Edits of pages that were deleted since are counted in ss_total_edits and are not in the dump.
  const revisions = equal('revisions', counts.revisions, stats.totalEdits)
  const fewer = counts.revisions < stats.totalEdits && counts.revisions >= counts.pages
  return [pages, { ...revisions, fits: revisions.fits || fewer }]
}

function equal(what: string, counted: number, said: number): Comparison {
  const fits = Math.abs(counted - said) <= Math.max(DRIFT_COUNT, said * DRIFT)
  return { what, counted, said, rule: 'equal', fits }
}

function atLeast(what: string, counted: number, said: number): Comparison {
  return {
    what,
    counted,
    said,
    rule: 'at least',
    fits: counted >= said - Math.max(DRIFT_COUNT, said * DRIFT),
  }
}

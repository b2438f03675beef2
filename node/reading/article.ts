/** One article out of a run. Of a multistream dump: index, siteinfo, then only the stream that holds it. */
import type { RunSource } from './byte-source.ts'
import { readExportArticle } from './export-article.ts'
import type { ScanOptions } from './export-scan.ts'
import { DumpFormatError, multistreamsOf, readHeader, readStream, withPair } from './multistream.ts'
import { NearTitles } from './near-titles.ts'
import { type Page, pagesOf } from './pages.ts'
import { type SiteInfo, titleForms } from './titles.ts'

export type ArticleResult =
  | { readonly found: true; readonly page: Page; readonly site: SiteInfo }
  /** Titles that may have been meant, the nearest first. */
  | { readonly found: false; readonly near: readonly string[] }

/**
 * Rejects with SourceError, or DumpFormatError when the run has no multistream dump or that is not what it should be. An export is
 * scanned for it; `onBytes` tells how far.
 */
export async function readArticle(
  run: RunSource,
  title: string,
  options: Pick<ScanOptions, 'onBytes' | 'signal'> = {},
): Promise<ArticleResult> {
  if (run.dataset !== 'dumps') return readExportArticle(run, title, options)
  const { signal } = options
  const pairs = multistreamsOf(run.files)
  if (pairs.length === 0)
    throw new DumpFormatError(
      `${run.wiki} of ${run.date} has no multistream dump with an index, so no single article can be read from it`,
    )
  let near: NearTitles | null = null
  for (const pair of pairs) {
    const found = await withPair(
      run,
      pair,
      async ({ content, index }): Promise<ArticleResult | null> => {
        const { name, sizeBytes } = pair.content
        const { site } = await readHeader(content, name, index.offsets[0] ?? 0, signal)
        const forms = titleForms(title, site)
        const entry = index.find(forms)
        if (entry === null) {
          near ??= new NearTitles(forms[0] ?? title)
          for (const one of index.entries()) near.look(one.title)
          return null
        }
        const end = index.endOf(entry.offset, sizeBytes)
        const xml = await readStream(content, name, entry.offset, end, signal)
        for (const page of pagesOf(xml)) if (page.id === entry.pageId) return { found: true, page, site }
        throw new DumpFormatError(`${name} does not hold page ${entry.pageId} where its index says`)
      },
      signal,
    )
    if (found !== null) return found
  }
  return { found: false, near: (near as NearTitles | null)?.titles() ?? [] }
}

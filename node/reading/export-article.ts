/** One article out of a Content File Export: everything before it is read, and of its history the newest revision is kept. */
import type { ArticleResult } from './article.ts'
import type { RunSource } from './byte-source.ts'
import { exportFilesOf, isRestOf, type ScanOptions, scanExport } from './export-scan.ts'
import { DumpFormatError } from './multistream.ts'
import { NearTitles } from './near-titles.ts'
import { lastRevision, type PageHead } from './pages.ts'
import { readSiteInfo, type SiteInfo, titleForms } from './titles.ts'

/** Rejects with SourceError or DumpFormatError. */
export async function readExportArticle(
  run: RunSource,
  title: string,
  options: Pick<ScanOptions, 'onBytes' | 'signal'> = {},
): Promise<ArticleResult> {
  const files = exportFilesOf(run.files)
  if (files.length === 0)
    throw new DumpFormatError(`${run.wiki} of ${run.date} has no files of ${run.dataset}`)
  let site: SiteInfo | null = null
  let forms: readonly string[] = []
  let near = new NearTitles(title)
  let found: { head: PageHead; newest: NewestRevision } | null = null
  const wantsFile: ScanOptions['wantsFile'] = (file) => found === null || isRestOf(file, found.head.id)
  for await (const event of scanExport(run, files, { ...options, wantsFile })) {
    if (event.kind === 'header') {
      if (site !== null) continue
      site = readSiteInfo(event.xml)
      if (site === null) throw new DumpFormatError(`${event.file.name} does not begin as an export does`)
      forms = titleForms(title, site)
      near = new NearTitles(forms[0] ?? title)
    } else if (event.kind === 'bytes') found?.newest.push(event.bytes)
    else {
      if (found !== null && event.head.id !== found.head.id) break
      if (found === null && !forms.includes(event.head.title)) {
        near.look(event.head.title)
        continue
      }
      found ??= { head: event.head, newest: new NewestRevision(event.file.name) }
      event.take()
    }
  }
  if (found === null || site === null) return { found: false, near: near.titles() }
  return { found: true, site, page: { ...found.head, xml: found.newest.page() } }
}

/** A text of 2 MiB (`$wgMaxArticleSize`), a few slots of as much, and their XML. */
const REVISION_BYTES_MAX = 64 * 1024 * 1024
const REVISION = Buffer.from('<revision>')
const REVISION_END = Buffer.from('</revision>')

/** Of the bytes of one page, which may come in several elements: its head and its newest revision, as they stand there. */
class NewestRevision {
  readonly #name: string
  #held = Buffer.alloc(0)
  #head: string | null = null
  #newest: { xml: string; order: string } | null = null

  constructor(name: string) {
    this.#name = name
  }

  push(piece: Uint8Array): void {
    let bytes = Buffer.concat([this.#held, piece])
    for (;;) {
      const start = bytes.indexOf(REVISION)
      const end = start < 0 ? -1 : bytes.indexOf(REVISION_END, start)
      if (end < 0) break
      this.#head ??= bytes.toString('utf8', 0, start).replace(/[ \t]+$/, '')
      this.#look(bytes.toString('utf8', start, end + REVISION_END.length))
      bytes = bytes.subarray(end + REVISION_END.length)
    }
    if (bytes.length > REVISION_BYTES_MAX)
      throw new DumpFormatError(`${this.#name} has a revision of more than ${REVISION_BYTES_MAX} bytes`)
    this.#held = bytes
  }

  /** They come in the order of upstream's query, which is not promised to be that of time. */
  #look(xml: string): void {
    const revision = lastRevision({ id: 0, ns: 0, title: '', redirect: null, xml })
    if (revision === null) throw new DumpFormatError(`${this.#name} has a revision without a number`)
    const order = `${revision.timestamp} ${String(revision.id).padStart(15, '0')}`
    if (this.#newest === null || order > this.#newest.order) this.#newest = { xml, order }
  }

  /** A page element with one revision, or none. */
  page(): string {
    const head = this.#head ?? this.#held.toString('utf8').replace(/[ \t]*<\/page>\s*$/, '')
    return `${head}${this.#newest === null ? '' : `    ${this.#newest.xml}\n`}  </page>\n`
  }
}

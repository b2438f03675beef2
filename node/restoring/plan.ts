/**
 * Which files of a run bring the wiki back. Of a dump the pages with the most history, the log, every table, the names of namespaces; of
 * an export all it has.
 */
import { parseDumpFileName } from '../../protocol/dump/file-name.ts'
import type { Dataset } from '../../protocol/ids.ts'
import { exportFilesOf } from '../reading/export-scan.ts'

/** The most complete first: every revision; the newest of every page; the newest of all but talk and user pages. */
export type ContentKind = 'pages-meta-history' | 'pages-meta-current' | 'pages-articles'

export interface RestorePlan {
  readonly kind: ContentKind
  /** In the order of pages. */
  readonly content: readonly string[]
  /** Of the log events, in order; empty when the run has none. */
  readonly logging: readonly string[]
  /** `<start>-<table>.sql.gz`, sorted. */
  readonly tables: readonly string[]
  readonly siteinfo: readonly string[]
}

/** Forms of the same pages, the preferred first: importDump.php reads both, but 7z needs another program. */
const FORMS: readonly (readonly [ContentKind, string, string])[] = [
  ['pages-meta-history', 'pages-meta-history', 'bz2'],
  ['pages-meta-history', 'pages-meta-history', '7z'],
  ['pages-meta-current', 'pages-meta-current', 'bz2'],
  ['pages-articles', 'pages-articles', 'bz2'],
  ['pages-articles', 'pages-articles-multistream', 'bz2'],
]

/** Null when none of the files holds pages. */
export function planRestore(names: readonly string[], dataset: Dataset = 'dumps'): RestorePlan | null {
  if (dataset !== 'dumps') {
    const content = exportFilesOf(names.map((name) => ({ name, sizeBytes: 0 }))).map(({ name }) => name)
    const kind = dataset === 'content_history' ? 'pages-meta-history' : 'pages-meta-current'
    return content.length === 0 ? null : { kind, content, logging: [], tables: [], siteinfo: [] }
  }
  const rests = names.flatMap((name) => {
    const rest = parseDumpFileName(name)?.rest
    return rest === undefined ? [] : [{ name, rest }]
  })
  const plain = (form: RegExp) =>
    rests
      .filter(({ rest }) => form.test(rest))
      .map(({ name }) => name)
      .sort()
  for (const [kind, start, packed] of FORMS) {
    const content = inOrder(rests, start, packed)
    if (content.length === 0) continue
    return {
      kind,
      content,
      logging: inOrder(rests, 'pages-logging', 'gz'),
      tables: plain(/^[a-z0-9_]+\.sql\.gz$/),
      siteinfo: plain(/^siteinfo2?-namespaces(?:v2)?\.json(?:\.gz)?$/),
    }
  }
  return null
}

/** The one whole file if there is one, else the parts by number and first page. */
function inOrder(rests: readonly { name: string; rest: string }[], start: string, packed: string): string[] {
  const found = rests.flatMap(({ name, rest }) => {
    const match = new RegExp(`^${start}(\\d*)\\.xml(?:-p(\\d+)p\\d+)?\\.${packed}$`).exec(rest)
    if (match === null) return []
    const isPart = match[1] !== '' || match[2] !== undefined
    return [{ name, isPart, part: Number(match[1]), firstPage: Number(match[2] ?? 0) }]
  })
  const whole = found.filter((one) => !one.isPart)
  return (whole.length > 0 ? whole : found)
    .sort((a, b) => a.part - b.part || a.firstPage - b.firstPage)
    .map((one) => one.name)
}

/** All of them, each once. */
export function filesOf(plan: RestorePlan): string[] {
  return [...plan.content, ...plan.logging, ...plan.tables, ...plan.siteinfo]
}

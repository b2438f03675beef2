/**
 * Content File Exports: names `<db>-<YYYY-MM-DD>-p<first>p<last>.xml.bz2`, or `-p<page>r<firstrev>r<lastrev>.xml.bz2` for a page
 * that is too large for one file (analytics-refinery-source, mediawikidumper). `SHA256SUMS` is the completion marker and
 * the only checksum.
 */
import { type Dataset, isWiki } from '../ids.ts'
import { isFileOfRun, type RunName, runFolder } from '../shard/paths.ts'
import type { ShardFile } from '../shard/shard.ts'
import { type ChecksumList, readChecksumText } from './checksums.ts'
import { isRunDate, runDateFromHyphens } from './dates.ts'
import { isSafeFileName } from './file-name.ts'
import type { RefusedFile, Run } from './run.ts'

/** Datasets that are Content File Exports. */
export const EXPORT_DATASETS = ['content_current', 'content_history'] as const
export type ExportDataset = (typeof EXPORT_DATASETS)[number]

export const isExportDataset = (dataset: Dataset): dataset is ExportDataset => dataset !== 'dumps'

/** Files of one export whose sizes are asked for; a full history of enwiki has some thousand. */
export const EXPORT_FILES_MAX = 20_000

const EXPORT_NAME =
  /^([^-]+)-(\d{4}-\d{2}-\d{2})-p(\d{1,15})(?:p(\d{1,15})|r(\d{1,15})r(\d{1,15}))\.xml\.bz2$/

export interface ContentExportName {
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
  readonly firstPage: number
  readonly lastPage: number
  /** Revisions, when the file holds a part of one page; else null. */
  readonly revisions: { readonly first: number; readonly last: number } | null
}

/** The fields of an export's file name, or null when it is not one. */
export function parseContentExportName(name: string): ContentExportName | null {
  const match = isSafeFileName(name) ? EXPORT_NAME.exec(name) : null
  if (match === null) return null
  const [, wiki = '', hyphens = '', page = '', lastPage, firstRevision, lastRevision] = match
  const date = runDateFromHyphens(hyphens)
  if (date === null || !isWiki(wiki)) return null
  const revisions =
    firstRevision === undefined || lastRevision === undefined
      ? null
      : { first: Number(firstRevision), last: Number(lastRevision) }
  return { wiki, date, firstPage: Number(page), lastPage: Number(lastPage ?? page), revisions }
}

/** Reads SHA256SUMS. Throws ShapeError. */
export function readSha256Sums(value: unknown, path: string): ChecksumList {
  return readChecksumText(value, path, 'sha256')
}

/** What upstream shows of one export. */
export interface ExportFacts {
  /** `_SUCCESS` is there. */
  readonly success: boolean
  /** Text of SHA256SUMS; null: there is none. */
  readonly sums: string | null
  /** Names of its folder; null: upstream does not list folders. */
  readonly listed: readonly string[] | null
  /** Unix ms of the newest Last-Modified of the two markers; null: it was not said. */
  readonly updatedMs: number | null
}

/**
 * The list of an export that is complete, or null: both markers are there, every line of SHA256SUMS is a row, the last one ended,
 * and no export file of the folder is missing in it (PROTOCOL 1). A list that was cut between two lines shows by the last rule only.
 * Throws ShapeError when the text is no such list at all.
 */
export function completeSums(name: RunName, facts: ExportFacts): ChecksumList | null {
  if (!facts.success || facts.sums === null || !facts.sums.endsWith('\n')) return null
  const list = readSha256Sums(facts.sums, `${name.wiki}/${name.date} SHA256SUMS`)
  if (list.ignoredLines > 0 || list.digests.size === 0) return null
  const listed = (facts.listed ?? []).filter((file) => isFileOfRun(file, name))
  const known = new Set([...list.digests.keys(), ...list.conflicting])
  return listed.every((file) => known.has(file)) ? list : null
}

/**
 * Makes a run of an export from its list (null: not complete) and the sizes of its files, by name. Upstream has no jobs there: the run
 * has one, called as upstream's folder. Files of the list without a size are missing. Throws TypeError as makeRun does.
 */
export function makeExportRun(
  name: RunName,
  list: ChecksumList | null,
  sizes: ReadonlyMap<string, number>,
  updatedMs: number | null,
): Run {
  if (!isWiki(name.wiki) || !isRunDate(name.date) || !isExportDataset(name.dataset)) {
    throw new TypeError(`not an export: ${JSON.stringify([name.dataset, name.wiki, name.date])}`)
  }
  const { dataset, wiki, date } = name
  const folder = runFolder(name)
  const names = [...(list?.digests.keys() ?? [])].sort()
  const own = names.filter((file) => isFileOfRun(file, name))
  const foreign = names.filter((file) => !isFileOfRun(file, name))
  const files = own.flatMap((file): ShardFile[] => {
    const sizeBytes = sizes.get(file)
    const sha256 = list?.digests.get(file)
    if (sizeBytes === undefined || sha256 === undefined) return []
    return [{ path: `${folder}/${file}`, sizeBytes, digests: { sha256 } }]
  })
  const refused: RefusedFile[] = [
    ...foreign.map((file) => ({ name: file, reason: 'not-a-name-of-this-run' as const })),
    ...(list?.conflicting ?? []).map((file) => ({
      name: file,
      reason: 'two-different-descriptions' as const,
    })),
  ]
  return {
    dataset,
    wiki,
    date,
    state: list === null ? 'in-progress' : 'complete',
    jobs: [
      {
        name: `mediawiki_${dataset}`,
        state: list === null ? 'in-progress' : 'done',
        files: own.filter((file) => sizes.has(file)),
      },
    ],
    files,
    refused,
    missing: own.filter((file) => !sizes.has(file)),
    newestUpdatedMs: updatedMs,
  }
}

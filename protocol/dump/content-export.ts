/**
 * Content File Exports: names `<db>-<YYYY-MM-DD>-p<first>p<last>.xml.bz2`, or `-p<page>r<firstrev>r<lastrev>.xml.bz2` for a page
 * that is too large for one file (analytics-refinery-source, mediawikidumper). `SHA256SUMS` is the completion marker and
 * the only checksum.
 */
import { isWiki } from '../ids.ts'
import { type ChecksumList, readChecksumText } from './checksums.ts'
import { runDateFromHyphens } from './dates.ts'
import { isSafeFileName } from './file-name.ts'

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

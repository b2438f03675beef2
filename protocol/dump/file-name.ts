/**
 * Names of dump files: `<db>-<YYYYMMDD>-<rest>`, for example
 * `enwiki-20260901-pages-articles-multistream1.xml-p1p41242.bz2` (operations-dumps, dumps/fileutils.py DumpFilename).
 * Names come from strangers and become paths on disk, so only a plain set of characters is let in.
 */
import { type Reader, ShapeError } from '../codec/shape.ts'
import { isWiki } from '../ids.ts'
import { isRunDate } from './dates.ts'

/** Longest name that common file systems take. */
export const FILE_NAME_BYTES_MAX = 255

/** ASCII without separators, spaces or control characters; no leading dot or hyphen. */
const SAFE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.+-]*$/
/** Upstream's unfinished outputs, and our own partial files: never part of a run. */
const WORKING_SUFFIX = /(?:\.inprog|\.truncated|\.empty|-tmp|\.tmp|\.part|\.part\.meta\.json)$/i
/** db names hold underscores, never hyphens: the first `-\d{8}-` from the left divides (facts: grammar). */
const DUMP_NAME = /^([^-]+)-(\d{8})-(.+)$/

export interface DumpFileName {
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
  /** `pages-articles.xml.bz2` */
  readonly rest: string
}

/** True when the name can stand alone in a folder of any file system: no separator, no leading dot, bounded ASCII. */
export function isSafeFileName(name: string): boolean {
  return name.length <= FILE_NAME_BYTES_MAX && SAFE_NAME.test(name) && !name.endsWith('.')
}

/** True for `.inprog`, `.truncated`, `.empty`, `-tmp` and our own partial files. */
export function isWorkingName(name: string): boolean {
  return WORKING_SUFFIX.test(name)
}

/** The fields of a finished dump file's name, or null when it is not one. */
export function parseDumpFileName(name: string): DumpFileName | null {
  if (!isSafeFileName(name) || isWorkingName(name)) return null
  const match = DUMP_NAME.exec(name)
  if (match === null) return null
  const [, wiki = '', date = '', rest = ''] = match
  return isWiki(wiki) && isRunDate(date) ? { wiki, date, rest } : null
}

/** A safe name, or ShapeError. The name itself is not repeated: it may hold control characters. */
export const readFileName: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || !isSafeFileName(value)) throw new ShapeError(path, 'a plain file name')
  return value
}

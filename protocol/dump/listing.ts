/**
 * The page that nginx makes of a folder (ngx_http_autoindex_module), as dumps.wikimedia.org and its mirrors show them: the only list
 * of the wikis and dates of Content File Exports. Written by strangers, so only plain names come out of it.
 */
import { type Reader, ShapeError } from '../codec/shape.ts'
import { isSafeFileName } from './file-name.ts'

export interface ListingEntry {
  readonly name: string
  readonly isFolder: boolean
  /** Unix ms, to the minute; null when the page does not say. */
  readonly changedMs: number | null
}

/** 1,072 wikis; a history of enwiki has some thousand files. Each takes some 200 characters. */
export const LISTING_LENGTH_MAX = 8 * 1024 * 1024
export const LISTING_ENTRIES_MAX = 20_000

const TITLE = /<title>\s*Index of /i
/** A link, and behind it what nginx writes: `01-Jan-2026 08:05`. Nothing in it repeats without bound. */
const LINK =
  /<a href="([^"<>]{1,512})">[^<]{0,512}<\/a>[ \t]{0,200}(?:(\d{2})-([A-Z][a-z]{2})-(\d{4}) (\d{2}):(\d{2}))?/g
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Text of the page -> its entries in the page's order; links to elsewhere are left out. Throws ShapeError when it is no such page. */
export const readListing: Reader<readonly ListingEntry[]> = (value, path) => {
  if (typeof value !== 'string' || value.length > LISTING_LENGTH_MAX || !TITLE.test(value.slice(0, 2_000)))
    throw new ShapeError(path, `the listing of a folder, of at most ${LISTING_LENGTH_MAX} characters`)
  // A page that was cut while it was sent would hide entries.
  if (!/<\/html>\s*$/i.test(value.slice(-200))) throw new ShapeError(path, 'a listing that is whole')
  const entries = new Map<string, ListingEntry>()
  for (const [, href = '', day, month = '', year, hour, minute] of value.matchAll(LINK)) {
    const isFolder = href.endsWith('/')
    const name = decode(isFolder ? href.slice(0, -1) : href)
    if (name === null || !isSafeListed(name)) continue
    const at = MONTHS.indexOf(month)
    const changedMs = at < 0 ? null : Date.UTC(Number(year), at, Number(day), Number(hour), Number(minute))
    entries.set(name, { name, isFolder, changedMs })
    if (entries.size > LISTING_ENTRIES_MAX)
      throw new ShapeError(path, `a listing of at most ${LISTING_ENTRIES_MAX} entries`)
  }
  return [...entries.values()]
}

/** `_SUCCESS` is the one name that does not begin with a letter or digit. */
function isSafeListed(name: string): boolean {
  return name === '_SUCCESS' || isSafeFileName(name)
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

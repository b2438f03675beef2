/**
 * An XML dump (https://www.mediawiki.org/xml/export-0.11.xsd) is one element, `<mediawiki>`, that is closed at the end; its
 * siteinfo names the wiki's database. Upstream itself takes the closing tag for the sign of a complete dump.
 */

export type ContentJudgement =
  | { readonly ok: true; readonly wiki: string | null }
  /** `where`: the file begins wrongly, or ends too early. */
  | { readonly ok: false; readonly where: 'start' | 'end'; readonly detail: string }

const ROOT = /^(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<([A-Za-z][A-Za-z0-9_.-]*)[\s/>]/
const DATABASE_NAME = /<dbname>([A-Za-z0-9_-]{1,255})<\/dbname>/
const SITEINFO_END = '</siteinfo>'

/** `wiki`: the database that the name of the file says; null when it says none. Texts are of one byte a character. */
export function judgeXml(head: string, tail: string, wiki: string | null): ContentJudgement {
  const root = ROOT.exec(head)?.[1]
  if (root === undefined) return { ok: false, where: 'start', detail: 'it does not begin as XML' }
  const close = `</${root}>`
  if (!tail.trimEnd().endsWith(close)) {
    return { ok: false, where: 'end', detail: `its content does not end with ${close}` }
  }
  const siteinfoEnd = head.indexOf(SITEINFO_END)
  const siteinfo = siteinfoEnd < 0 ? '' : head.slice(0, siteinfoEnd)
  const named = DATABASE_NAME.exec(siteinfo)?.[1] ?? null
  if (named !== null && wiki !== null && named !== wiki) {
    return { ok: false, where: 'start', detail: `its siteinfo names ${named}, its own name ${wiki}` }
  }
  return { ok: true, wiki: named }
}

/** True for what begins as an XML dump does, whatever its name is. */
export function looksLikeDump(head: string): boolean {
  return ROOT.exec(head)?.[1] === 'mediawiki'
}

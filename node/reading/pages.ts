/**
 * Page elements cut out of a piece of an export. A `<` that is text stands there as `&lt;` (XML 1.0, 2.4), so `<page>` and
 * `</page>` are tags wherever they occur, and no parser is needed to cut between them.
 */
import { xmlAttributes, xmlText } from './xml-text.ts'

export interface PageHead {
  readonly id: number
  readonly ns: number
  readonly title: string
  readonly redirect: string | null
}

export interface Page extends PageHead {
  /** The whole element, with the spaces before it and the line feed behind it. */
  readonly xml: string
}

export interface Revision {
  readonly id: number
  readonly timestamp: string
  readonly model: string
  /** Wikitext; null when it was deleted or suppressed. */
  readonly text: string | null
}

const PAGES_MAX = 1_000_000

/** All whole page elements, in order. What is cut off at either end is left out. */
export function* pagesOf(xml: string): Generator<Page, void> {
  let count = 0
  for (let at = 0; ; ) {
    const open = xml.indexOf('<page>', at)
    const close = open < 0 ? -1 : xml.indexOf('</page>', open)
    if (close < 0 || ++count > PAGES_MAX) return
    at = close + '</page>'.length
    if (xml[at] === '\n') at++
    const lineStart = xml.lastIndexOf('\n', open) + 1
    const start = xml.slice(lineStart, open).trim() === '' ? lineStart : open
    const page = readPage(xml.slice(start, at))
    if (page !== null) yield page
  }
}

function readPage(xml: string): Page | null {
  // Everything of the page itself stands before its first revision.
  const revision = xml.indexOf('<revision>')
  const head = readPageHead(revision < 0 ? xml : xml.slice(0, revision))
  return head === null ? null : { ...head, xml }
}

/** From `<page>` up to its first revision; null when title or id are not there. */
export function readPageHead(xml: string): PageHead | null {
  const title = /<title>([^<]*)<\/title>/.exec(xml)?.[1]
  const id = Number(/<id>(\d{1,15})<\/id>/.exec(xml)?.[1])
  const ns = Number(/<ns>(-?\d{1,6})<\/ns>/.exec(xml)?.[1] ?? '0')
  if (title === undefined || !Number.isSafeInteger(id)) return null
  const redirect = /<redirect ([^>]*)\/>/.exec(xml)?.[1]
  return {
    id,
    ns,
    title: xmlText(title),
    redirect: redirect === undefined ? null : (xmlAttributes(redirect).get('title') ?? null),
  }
}

/** The newest revision of a page, which is its last; null when it has none. */
export function lastRevision(page: Page): Revision | null {
  const xml = page.xml.slice(page.xml.lastIndexOf('<revision>'))
  const id = Number(/<id>(\d{1,15})<\/id>/.exec(xml)?.[1])
  if (!xml.startsWith('<revision>') || !Number.isSafeInteger(id)) return null
  const open = /<text\b[^>]*>/.exec(xml)
  const close = xml.indexOf('</text>')
  return {
    id,
    timestamp: /<timestamp>([^<]*)<\/timestamp>/.exec(xml)?.[1] ?? '',
    model: /<model>([^<]*)<\/model>/.exec(xml)?.[1] ?? 'wikitext',
    text: open === null ? null : textOf(xml, open, close),
  }
}

function textOf(xml: string, open: RegExpExecArray, close: number): string | null {
  const tag = open[0]
  if (xmlAttributes(tag).get('deleted') === 'deleted') return null
  const start = open.index + tag.length
  if (tag.endsWith('/>')) return ''
  return close < start ? null : xmlText(xml.slice(start, close))
}

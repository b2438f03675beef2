/**
 * Titles as people type them and as dumps write them (MediaWiki's title rules, as far as siteinfo tells them): underscores are
 * spaces, names of namespaces in any letter case, the first letter by the namespace's rule.
 */
import { xmlAttributes, xmlText } from './xml-text.ts'

export interface Namespace {
  readonly key: number
  /** Empty for the main one. */
  readonly name: string
  readonly firstLetter: boolean
}

export interface SiteInfo {
  readonly dbname: string
  readonly base: string
  readonly sitename: string
  /** `MediaWiki 1.43.0-wmf.23` */
  readonly generator: string
  /** Code of the content's language; empty when the dump does not say. */
  readonly language: string
  readonly namespaces: readonly Namespace[]
}

/** Names that every wiki understands beside its own (MediaWiki's MessagesEn.php). */
const CANONICAL: readonly (readonly [string, number])[] = [
  ['media', -2],
  ['special', -1],
  ['talk', 1],
  ['user', 2],
  ['user talk', 3],
  ['project', 4],
  ['project talk', 5],
  ['file', 6],
  ['image', 6],
  ['file talk', 7],
  ['mediawiki', 8],
  ['mediawiki talk', 9],
  ['template', 10],
  ['template talk', 11],
  ['help', 12],
  ['help talk', 13],
  ['category', 14],
  ['category talk', 15],
]

const NAMESPACES_MAX = 1_000

/** Reads what stands before the first page of a dump. Null when it is not the beginning of one. */
export function readSiteInfo(header: string): SiteInfo | null {
  const element = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(header)?.[1] ?? null
  const dbname = element('dbname')
  if (!header.startsWith('<mediawiki') || dbname === null) return null
  const usual = element('case') !== 'case-sensitive'
  const namespaces: Namespace[] = []
  for (const [, attributes = '', name = ''] of header.matchAll(
    /<namespace ([^>]*?)(?:\/>|>([^<]*)<\/namespace>)/g,
  )) {
    const fields = xmlAttributes(attributes)
    const key = Number(fields.get('key'))
    if (!Number.isInteger(key) || namespaces.length >= NAMESPACES_MAX) continue
    const rule = fields.get('case')
    const firstLetter = rule === undefined ? usual : rule === 'first-letter'
    namespaces.push({ key, name: xmlText(name), firstLetter })
  }
  const plain = (name: string) => xmlText(element(name) ?? '')
  return {
    dbname: xmlText(dbname),
    base: plain('base'),
    sitename: plain('sitename'),
    generator: plain('generator'),
    language: xmlAttributes(/^<mediawiki\b[^>]*>/.exec(header)?.[0] ?? '').get('xml:lang') ?? '',
    namespaces,
  }
}

/** How the typed title may stand in the dump, the likeliest first; never empty. */
export function titleForms(typed: string, site: SiteInfo): string[] {
  const plain = spaced(typed)
  const colon = plain.indexOf(':')
  const prefix = colon > 0 ? namespaceOf(plain.slice(0, colon), site) : null
  const main = site.namespaces.find((one) => one.key === 0)
  const forms =
    prefix === null
      ? [firstUpper(plain, main?.firstLetter ?? true)]
      : [`${prefix.name}:${firstUpper(plain.slice(colon + 1).trim(), prefix.firstLetter)}`]
  return [...new Set([...forms, plain])]
}

/** Underscores and runs of spaces become one space; a leading colon, as in links, goes. */
export function spaced(typed: string): string {
  return typed
    .normalize('NFC')
    .replace(/[\s_]+/gu, ' ')
    .trim()
    .replace(/^:\s*/, '')
}

/** The namespace of this name, local or canonical; null when there is none. */
export function namespaceOf(name: string, site: SiteInfo): Namespace | null {
  const wanted = spaced(name).toLowerCase()
  const local = site.namespaces.find((one) => one.key !== 0 && one.name.toLowerCase() === wanted)
  if (local !== undefined) return local
  const key = CANONICAL.find(([canonical]) => canonical === wanted)?.[1]
  return site.namespaces.find((one) => one.key === key) ?? null
}

function firstUpper(title: string, isOn: boolean): string {
  const first = [...title][0]
  if (!isOn || first === undefined) return title
  const upper = first.toUpperCase()
  // MediaWiki leaves letters whose capital is two (sharp s) as they are.
  return [...upper].length === 1 ? upper + title.slice(first.length) : title
}

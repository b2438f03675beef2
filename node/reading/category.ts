/**
 * The members of a category, out of the tables of a run. `categorylinks` names the category by its title (`cl_to`) in older runs; in
 * newer ones by a number (`cl_target_id`) that `linktarget` explains.
 */
import type { RunSource } from './byte-source.ts'
import { DumpFormatError } from './multistream.ts'
import { sqlText } from './sql-rows.ts'
import { CATEGORY_NAMESPACE, withSubcategories } from './subcategories.ts'
import { hasTable, readTable } from './tables.ts'
import { type SiteInfo, spaced, titleForms } from './titles.ts'

const MEMBERS_MAX = 50_000_000

export interface CategoryOptions {
  /** How many levels of subcategories are followed. @default 0: none */
  readonly depth?: number
  readonly signal?: AbortSignal
}

/** Page ids of the pages and files in it; the pages of subcategories are not counted. Rejects with SourceError, DumpFormatError. */
export async function membersOf(
  run: RunSource,
  category: string,
  site: SiteInfo,
  { depth = 0, signal }: CategoryOptions = {},
): Promise<Set<number>> {
  const named = new Set(dbForms(category, site))
  const titles = depth === 0 ? named : await withSubcategories(run, named, depth, signal)
  const targets = await targetsOf(run, titles, signal)
  const members = new Set<number>()
  const wanted = ['cl_from', 'cl_type', 'cl_to', 'cl_target_id']
  const { columns } = await readTable(run, 'categorylinks', wanted, signal, ([from, type, to, target]) => {
    const isIn = to !== null && to !== undefined ? titles.has(sqlText(to)) : targets.has(target ?? '')
    if (!isIn || type === 'subcat') return
    members.add(Number(from))
    if (members.size > MEMBERS_MAX)
      throw new DumpFormatError(`${category} has more than ${MEMBERS_MAX} members`)
  })
  if (!columns.includes('cl_to') && targets.size === 0 && !hasTable(run, 'linktarget'))
    throw new DumpFormatError(
      `the run has no linktarget table, without which its categorylinks do not tell the names of categories`,
    )
  return members
}

/** `Kategorie:Towns_of_x` or `towns of x` -> as tables write it: without namespace, underscores for spaces. */
function dbForms(category: string, site: SiteInfo): string[] {
  const plain = spaced(category)
  const name = site.namespaces.find((one) => one.key === CATEGORY_NAMESPACE)?.name ?? 'Category'
  const prefixed = titleForms(plain, site)[0] ?? plain
  const full = prefixed.startsWith(`${name}:`) ? prefixed : (titleForms(`${name}:${plain}`, site)[0] ?? plain)
  return [full.slice(name.length + 1), plain].map((title) => title.replaceAll(' ', '_'))
}

async function targetsOf(run: RunSource, titles: ReadonlySet<string>, signal: AbortSignal | undefined) {
  const targets = new Set<string>()
  if (!hasTable(run, 'linktarget')) return targets
  await readTable(
    run,
    'linktarget',
    ['lt_id', 'lt_namespace', 'lt_title'],
    signal,
    ([id, namespace, title]) => {
      if (Number(namespace) === CATEGORY_NAMESPACE && titles.has(sqlText(title ?? ''))) targets.add(id ?? '')
    },
  )
  return targets
}

/** Titles of pages by id, with the names of their namespaces; none when the run has no page table. */
export async function pageTitles(
  run: RunSource,
  ids: ReadonlySet<number>,
  site: SiteInfo,
  signal?: AbortSignal,
): Promise<Map<number, string>> {
  const titles = new Map<number, string>()
  if (!hasTable(run, 'page') || ids.size === 0) return titles
  const wanted = ['page_id', 'page_namespace', 'page_title']
  await readTable(run, 'page', wanted, signal, ([id, namespace, title]) => {
    if (!ids.has(Number(id))) return
    const name = site.namespaces.find((one) => one.key === Number(namespace))?.name ?? ''
    const plain = sqlText(title ?? '').replaceAll('_', ' ')
    titles.set(Number(id), name === '' ? plain : `${name}:${plain}`)
  })
  return titles
}

/**
 * Categories below some, level by level, out of the tables of a run. A subcategory stands in `categorylinks` by the number of its page;
 * `page` tells the page's title, which is how its own members name it.
 */
import type { RunSource } from './byte-source.ts'
import { DumpFormatError } from './multistream.ts'
import { sqlText } from './sql-rows.ts'
import { hasTable, readTable } from './tables.ts'

export const CATEGORY_NAMESPACE = 14
/** enwiki has some 2.5 million categories, and twice as many links between them. */
const CATEGORIES_MAX = 10_000_000
const LINKS_MAX = 50_000_000

/** Titles of categories as numbers, in the order in which they were come by. */
class Categories {
  readonly titles: string[] = []
  readonly #numbers = new Map<string, number>()

  numberOf(title: string): number {
    const known = this.#numbers.get(title)
    if (known !== undefined) return known
    if (this.titles.length >= CATEGORIES_MAX)
      throw new DumpFormatError(`the run has more than ${CATEGORIES_MAX} categories`)
    this.#numbers.set(title, this.titles.length)
    return this.titles.push(title) - 1
  }
}

/** `named` as tables write titles, and those below them, `depth` levels at most; a circle ends where it began. */
export async function withSubcategories(
  run: RunSource,
  named: ReadonlySet<string>,
  depth: number,
  signal: AbortSignal | undefined,
): Promise<Set<string>> {
  if (!hasTable(run, 'page'))
    throw new DumpFormatError(
      'the run has no page table, without which the names of subcategories are not known',
    )
  const categories = new Categories()
  const inside = new Set([...named].map((title) => categories.numberOf(title)))
  const byPage = new Map<number, number>()
  await readTable(
    run,
    'page',
    ['page_id', 'page_namespace', 'page_title'],
    signal,
    ([id, namespace, title]) => {
      if (Number(namespace) === CATEGORY_NAMESPACE)
        byPage.set(Number(id), categories.numberOf(sqlText(title ?? '')))
    },
  )
  const byTarget = await targetNumbers(run, categories, signal)
  const links = { parents: [] as number[], children: [] as number[] }
  const wanted = ['cl_from', 'cl_type', 'cl_to', 'cl_target_id']
  await readTable(run, 'categorylinks', wanted, signal, ([from, type, to, target]) => {
    if (type !== 'subcat') return
    const isNamed = to !== null && to !== undefined
    const parent = isNamed ? categories.numberOf(sqlText(to)) : byTarget.get(Number(target))
    const child = byPage.get(Number(from))
    if (parent === undefined || child === undefined) return
    if (links.parents.push(parent) > LINKS_MAX)
      throw new DumpFormatError(`the run has more than ${LINKS_MAX} subcategories`)
    links.children.push(child)
  })
  let level = inside
  for (let below = 0; below < depth && level.size > 0; below++) {
    const next = new Set<number>()
    for (const [index, child] of links.children.entries())
      if (level.has(links.parents[index] ?? -1) && !inside.has(child)) next.add(child)
    for (const child of next) inside.add(child)
    level = next
  }
  return new Set([...inside].map((number) => categories.titles[number] ?? ''))
}

/** Number of a `linktarget` row -> category; empty in older runs, which have no such table. */
async function targetNumbers(
  run: RunSource,
  categories: Categories,
  signal: AbortSignal | undefined,
): Promise<Map<number, number>> {
  const numbers = new Map<number, number>()
  if (!hasTable(run, 'linktarget')) return numbers
  const wanted = ['lt_id', 'lt_namespace', 'lt_title']
  await readTable(run, 'linktarget', wanted, signal, ([id, namespace, title]) => {
    if (Number(namespace) === CATEGORY_NAMESPACE)
      numbers.set(Number(id), categories.numberOf(sqlText(title ?? '')))
  })
  return numbers
}

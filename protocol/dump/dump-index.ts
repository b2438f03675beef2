/**
 * index.json of the origin: `{"wikis": {"<db>": <dumpstatus of that wiki's newest run>}}` (operations-dumps, monitor.py). It
 * says no date; the names of the files do.
 */
import { type Reader, record, ShapeError } from '../codec/shape.ts'
import { isWiki } from '../ids.ts'
import { parseDumpFileName } from './file-name.ts'

/** Upstream has 1,072 wikis. */
export const INDEX_WIKIS_MAX = 10_000
/** Names looked at per wiki before giving up on finding a date. */
const NAMES_LOOKED_AT_MAX = 1_000

export interface DumpIndex {
  /** dbname -> date of its newest run (`YYYYMMDD`) and its status, still unread: one broken wiki must not hide the others. */
  readonly runs: ReadonlyMap<string, { readonly date: string; readonly status: unknown }>
  /** Keys that are no dbname, and wikis whose status names no file (a run that just began). */
  readonly undated: number
}

/** Decoded JSON -> DumpIndex. Throws ShapeError. */
export const readDumpIndex: Reader<DumpIndex> = (value, path) => {
  const wikis = record(record(value, path).wikis, `${path}.wikis`)
  const names = Object.keys(wikis)
  if (names.length > INDEX_WIKIS_MAX)
    throw new ShapeError(`${path}.wikis`, `at most ${INDEX_WIKIS_MAX} wikis`)
  const runs = new Map<string, { date: string; status: unknown }>()
  for (const wiki of names) {
    const date = isWiki(wiki) ? dateOf(wikis[wiki], wiki) : null
    if (date !== null) runs.set(wiki, { date, status: wikis[wiki] })
  }
  return { runs, undated: names.length - runs.size }
}

function dateOf(status: unknown, wiki: string): string | null {
  const jobs = fieldsOf(fieldsOf(status)?.jobs) ?? {}
  let looked = 0
  for (const job of Object.values(jobs)) {
    for (const name in fieldsOf(fieldsOf(job)?.files) ?? {}) {
      const parsed = parseDumpFileName(name)
      if (parsed?.wiki === wiki) return parsed.date
      if (++looked >= NAMES_LOOKED_AT_MAX) return null
    }
  }
  return null
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  try {
    return record(value, '')
  } catch {
    return null
  }
}

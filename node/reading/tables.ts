/** The SQL tables of a run: `<wiki>-<date>-<table>.sql.gz`. */
import type { RunSource } from './byte-source.ts'
import { chunksOf, unpacked } from './chunks.ts'
import { DumpFormatError } from './multistream.ts'
import { readSqlRows, type SqlRow } from './sql-rows.ts'

const fileOf = (run: RunSource, table: string): string => `${run.wiki}-${run.date}-${table}.sql.gz`

export function hasTable(run: RunSource, table: string): boolean {
  return run.files.some((file) => file.name === fileOf(run, table))
}

/** Rejects with SourceError, or DumpFormatError when the run does not have the table. */
export async function readTable(
  run: RunSource,
  table: string,
  wanted: readonly string[],
  signal: AbortSignal | undefined,
  use: (row: SqlRow) => void,
): Promise<{ columns: readonly string[]; rows: number }> {
  if (!hasTable(run, table)) throw new DumpFormatError(`${run.wiki} of ${run.date} has no ${table}.sql.gz`)
  const source = await run.open(fileOf(run, table), signal)
  try {
    return await readSqlRows(unpacked(fileOf(run, table), chunksOf(source, signal)), table, wanted, use)
  } finally {
    await source.close()
  }
}

/** A table as mysqldump writes it (also MariaDB's): its last line is a comment, written only when all went well. */
import type { ContentJudgement } from './xml.ts'

const LAST_LINE = /(?:^|\n)-- Dump completed(?: on [0-9 :-]+)?\s*$/

export function judgeSql(tail: string): ContentJudgement {
  if (LAST_LINE.test(tail)) return { ok: true, wiki: null }
  return { ok: false, where: 'end', detail: 'its content does not end with "-- Dump completed"' }
}

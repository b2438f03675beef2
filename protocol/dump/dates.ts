/** Dates as Wikimedia writes them, without a clock: all of it is arithmetic, all of it is UTC. */

const RUN_DATE = /^(\d{4})(\d{2})(\d{2})$/
const EXPORT_DATE = /^(\d{4})-(\d{2})-(\d{2})$/
const UPDATED = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})$/
const YEAR_MIN = 2001 // The first wiki.

function isDay(year: number, month: number, day: number): boolean {
  if (year < YEAR_MIN || month < 1 || month > 12 || day < 1) return false
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const days = month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31
  return day <= days
}

/** `20260101`: a day that exists, from 2001 on. */
export function isRunDate(value: string): boolean {
  const match = RUN_DATE.exec(value)
  return match !== null && isDay(Number(match[1]), Number(match[2]), Number(match[3]))
}

/** Unix ms when the day of a run's date begins. */
export function runDateMs(date: string): number {
  return Date.UTC(Number(date.slice(0, 4)), Number(date.slice(4, 6)) - 1, Number(date.slice(6, 8)))
}

/** `2026-01-01` -> `20260101`, or null: Content File Exports write their dates with hyphens. */
export function runDateFromHyphens(value: string): string | null {
  if (!EXPORT_DATE.test(value)) return null
  const date = value.replaceAll('-', '')
  return isRunDate(date) ? date : null
}

/** `20260101` -> `2026-01-01`. */
export function hyphenDate(date: string): string {
  return `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6, 8)}`
}

/** `updated` of dumpstatus.json, `YYYY-MM-DD HH:MM:SS`, UTC without a zone -> unix ms; null when it is no such time. */
export function parseUpdatedMs(value: string): number | null {
  const match = UPDATED.exec(value)
  if (match === null) return null
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number)
  if (!isDay(year, month, day) || hour > 23 || minute > 59 || second > 59) return null
  return Date.UTC(year, month - 1, day, hour, minute, second)
}

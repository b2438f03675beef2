/** Windows of local time in which nothing is fetched: `08:00-18:00`, over midnight `22:00-06:30`. Pure; the zone is the system's. */

export interface QuietWindow {
  /** Minutes after local midnight; `to` is 1 to 1440 and may be below `from`: then it ends on the next day. */
  readonly from: number
  readonly to: number
}

const FORM = /^([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))$/
const DAY_MINUTES = 1_440
/** A quiet time that goes on from window to window for longer than this is a mistake of the configuration. */
const CHAIN_MAX = 64

/** Null when it is no window, or an empty one. */
export function parseQuietWindow(value: string): QuietWindow | null {
  const [, fromHour, fromMinute, toHour, toMinute, endHour] = FORM.exec(value) ?? []
  if (fromHour === undefined) return null
  const from = Number(fromHour) * 60 + Number(fromMinute)
  const to = endHour === undefined ? Number(toHour) * 60 + Number(toMinute) : DAY_MINUTES
  return from === to ? null : { from, to: to === 0 ? DAY_MINUTES : to }
}

export function windowText({ from, to }: QuietWindow): string {
  const text = (minutes: number) =>
    `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
  return `${text(from)}-${text(to)}`
}

/** True when some minute of the day is in no window. */
export function leavesTime(windows: readonly QuietWindow[]): boolean {
  for (let minute = 0; minute < DAY_MINUTES; minute++) {
    const isQuiet = windows.some(({ from, to }) =>
      from < to ? minute >= from && minute < to : minute >= from || minute < to,
    )
    if (!isQuiet) return true
  }
  return false
}

/** Whether it is quiet now, and unix ms when that changes; null: never. A day of 23 or 25 hours is one. */
export function quietAt(
  windows: readonly QuietWindow[],
  wallMs: number,
): { readonly isQuiet: boolean; readonly untilMs: number | null } {
  if (windows.length === 0) return { isQuiet: false, untilMs: null }
  const spans = [-1, 0, 1, 2].flatMap((day) => windows.map((window) => spanOf(window, wallMs, day)))
  const ending = (ms: number) =>
    Math.max(...spans.filter((one) => one.from <= ms && ms < one.to).map((one) => one.to))
  let untilMs = ending(wallMs)
  if (untilMs < wallMs) {
    const next = Math.min(...spans.filter((one) => one.from > wallMs).map((one) => one.from))
    return { isQuiet: false, untilMs: Number.isFinite(next) ? next : null }
  }
  for (let links = 0; links < CHAIN_MAX; links++) {
    const further = ending(untilMs)
    if (further <= untilMs) break
    untilMs = further
  }
  return { isQuiet: true, untilMs }
}

function spanOf({ from, to }: QuietWindow, wallMs: number, day: number): { from: number; to: number } {
  const now = new Date(wallMs)
  const at = (minutes: number, days: number) =>
    new Date(now.getFullYear(), now.getMonth(), now.getDate() + day + days, 0, minutes).getTime()
  return { from: at(from, 0), to: at(to, to <= from ? 1 : 0) }
}

/** `2026-11` of local time. */
export function localMonth(wallMs: number): string {
  const now = new Date(wallMs)
  return `${now.getFullYear()}-${String(now.getMonth() + 1).padStart(2, '0')}`
}

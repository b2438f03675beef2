/** What a volunteer can set about where dumps come from besides the swarm, and how fast and when. */
import { UserError } from './commands/user-error.ts'
import { leavesTime, parseQuietWindow, type QuietWindow } from './pace/quiet-hours.ts'
import {
  list,
  orNull,
  type readSettings,
  type Settings,
  size,
  textLike,
  webAddress,
  yesNo,
} from './settings.ts'

export interface SourceConfig {
  /** Other places with the origin's layout, asked before it; with `/` at the end. */
  readonly mirrors: readonly string[]
  /** The Internet Archive's site, with `/` at its end. */
  readonly archiveSite: string
  readonly fromArchive: boolean
  /** All downloads over HTTP together. */
  readonly webLimitBytesPerSecond: number | null
  readonly quietHours: readonly QuietWindow[]
  readonly monthlyBudgetBytes: number | null
}

const quietHours = textLike(
  'a time such as 08:00-18:00 or 22:00-06:30',
  (value) => parseQuietWindow(value) !== null,
)
/** Shared by volunteers and coordinators. */
export const SOURCE_SETTINGS = {
  mirror: {
    value: '<url>',
    help: 'a mirror of the dumps, asked before the origin; repeatable',
    kind: list(webAddress, 16),
    default: [],
    repeat: true,
  },
  archiveSite: {
    value: '<url>',
    help: "the Internet Archive's site",
    kind: webAddress,
    default: 'https://archive.org/',
  },
  fromArchive: {
    value: null,
    help: 'never fetch from the Internet Archive what a coordinator verified there',
    kind: yesNo,
    default: true,
  },
  webLimit: {
    value: '<size>',
    help: 'bytes a second to receive from Wikimedia, mirrors and the Internet Archive at most (default: no limit)',
    kind: orNull(size),
    default: null,
  },
  quietHours: {
    value: '<from-to>',
    help: 'local time in which nothing is fetched, such as 08:00-18:00; repeatable',
    kind: list(quietHours, 16),
    default: [],
    repeat: true,
  },
  monthlyBudget: {
    value: '<size>',
    help: 'bytes to fetch in a calendar month at most, from wherever (default: no limit)',
    kind: orNull(size),
    default: null,
  },
} satisfies Settings

/** Throws UserError of one sentence. */
export function sourceConfigOf(
  values: ReturnType<typeof readSettings<typeof SOURCE_SETTINGS>>,
): SourceConfig {
  return {
    mirrors: values.mirror,
    archiveSite: values.archiveSite,
    fromArchive: values.fromArchive,
    webLimitBytesPerSecond: rate(values.webLimit, '--web-limit'),
    quietHours: windowsOf(values.quietHours),
    monthlyBudgetBytes: values.monthlyBudget,
  }
}

/** Slower than this no file would ever come: a limit of nothing is a mistake. */
const RATE_MIN_BYTES_PER_SECOND = 1_024

function rate(value: number | null, flag: string): number | null {
  if (value !== null && value < RATE_MIN_BYTES_PER_SECOND)
    throw new UserError(`${flag}: less than ${RATE_MIN_BYTES_PER_SECOND} bytes a second`)
  return value
}

function windowsOf(texts: readonly string[]): QuietWindow[] {
  const windows = texts.map(parseQuietWindow).filter((one) => one !== null)
  if (!leavesTime(windows)) throw new UserError('--quiet-hours: no minute of the day is left')
  return windows
}

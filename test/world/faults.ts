// Faults are data: what the world does wrong, how often, and to which paths. The code that serves asks here.
import { createHash } from 'node:crypto'

export const serviceNames = ['wikimedia', 'archive', 'archiveS3', 'r2', 'r2Public', 'gist'] as const
export type ServiceName = (typeof serviceNames)[number]

/** A path pattern (see globMatches) and how many requests it spoils; `times` 0 means every one. */
export type WrongBytes = { glob: string; times: number }
/** A file of which a second version is served once it was read `afterReads` times. */
export type Changing = { glob: string; afterReads: number }

/** Rates are shares of requests from 0 to 1. All may be changed while the world runs. */
export type Faults = {
  wikimedia429Rate: number
  wikimedia503Rate: number
  /** A 429 or 503 once drawn goes on for this many requests to the same service. */
  burstLength: number
  retryAfterSeconds: number
  /** Share of dump file answers that are cut in the middle of the body. */
  cutRate: number
  /** Share of status JSON answers that end too early, as when read while being written. */
  truncatedJsonRate: number
  /** Share of status JSON answers that are an HTML page with status 200. */
  htmlJsonRate: number
  /** Share of dump file answers with one byte altered and the length right. */
  wrongBytesRate: number
  wrongBytes: WrongBytes[]
  changing: Changing[]
  /** Runs (`WIKI/DATE`) whose last job is still being written. */
  inProgress: string[]
  /** The first N reads of each run's status lack the hashes of its newest job. */
  lateHashReads: number
  /** Exports (`KIND/WIKI/YYYY-MM-DD`, as globs) that are still being written: no _SUCCESS and no SHA256SUMS. */
  unfinishedExports: string[]
  /** Exports whose SHA256SUMS is half-written: it ends in the middle, sometimes between two lines. */
  halfSums: string[]
  /** Folders are not listed: 403, as some mirrors have it. */
  listingsOff: boolean
  archive503Rate: number
  /** Share of uploads whose connection is cut when half of the body has arrived. */
  archiveCutRate: number
  /** Share of uploads answered with 307 to a storage node. */
  archiveRedirectRate: number
  archiveOverLimit: boolean
  r2ErrorRate: number
  /** R2's limit of one write per second and key. On, as at R2. */
  r2WriteLimit: boolean
  gistErrorRate: number
  /** Services that hang up on every request. */
  down: ServiceName[]
}

export function noFaults(): Faults {
  return {
    wikimedia429Rate: 0,
    wikimedia503Rate: 0,
    burstLength: 3,
    retryAfterSeconds: 1,
    cutRate: 0,
    truncatedJsonRate: 0,
    htmlJsonRate: 0,
    wrongBytesRate: 0,
    wrongBytes: [],
    changing: [],
    inProgress: [],
    lateHashReads: 0,
    unfinishedExports: [],
    halfSums: [],
    listingsOff: false,
    archive503Rate: 0,
    archiveCutRate: 0,
    archiveRedirectRate: 0,
    archiveOverLimit: false,
    r2ErrorRate: 0,
    r2WriteLimit: true,
    gistErrorRate: 0,
    down: [],
  }
}

type ChangeResult = { ok: true; change: Partial<Faults> } | { ok: false; error: string }

/** Checks a change of faults that came from outside (command line, HTTP). Unknown names are refused. */
export function readFaultChange(value: unknown): ChangeResult {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { ok: false, error: 'expected a JSON object of faults' }
  }
  const known = noFaults()
  for (const [name, given] of Object.entries(value)) {
    if (!(name in known)) return { ok: false, error: `unknown fault ${name}` }
    const error = checkFault(name, known[name as keyof Faults], given)
    if (error !== undefined) return { ok: false, error }
  }
  return { ok: true, change: value as Partial<Faults> } // every entry was checked above
}

function checkFault(name: string, sample: Faults[keyof Faults], given: unknown): string | undefined {
  if (typeof sample === 'boolean')
    return typeof given === 'boolean' ? undefined : `${name} must be true or false`
  if (typeof sample === 'number') {
    const top = name.endsWith('Rate') ? 1 : 1e9
    const good = typeof given === 'number' && given >= 0 && given <= top
    return good ? undefined : `${name} must be a number from 0 to ${top}`
  }
  if (!Array.isArray(given)) return `${name} must be a list`
  if (name === 'wrongBytes' || name === 'changing') {
    const count = name === 'wrongBytes' ? 'times' : 'afterReads'
    const good = given.every(
      (row) => typeof row?.glob === 'string' && Number.isInteger(row?.[count]) && row[count] >= 0,
    )
    return good ? undefined : `${name} must be a list of {glob, ${count}}`
  }
  if (!given.every((row) => typeof row === 'string')) return `${name} must be a list of strings`
  if (name === 'down' && !given.every((row) => serviceNames.some((service) => service === row))) {
    return `down must list some of ${serviceNames.join(', ')}`
  }
  return undefined
}

/**
 * Matches a path such as `/aawiki/20260101/x.bz2`. `*` stays in one segment, `**` does not, `?` is one character.
 * A pattern without a slash is compared with the last segment.
 */
export function globMatches(glob: string, path: string): boolean {
  const clean = path.replace(/^\/+/, '')
  const pattern = glob.replace(/^\/+/, '')
  const subject = pattern.includes('/') ? clean : (clean.split('/').at(-1) ?? '')
  const source = pattern
    .split(/(\*\*|\*|\?)/)
    .map((part) => {
      if (part === '**') return '.*'
      if (part === '*') return '[^/]*'
      if (part === '?') return '[^/]'
      return part.replace(/[.+^${}()|[\]\\]/g, '\\$&')
    })
    .join('')
  return new RegExp(`^${source}$`).test(subject)
}

/**
 * The dice. The n-th draw about one subject depends on the seed, the subject and n alone, so that the order in which
 * several clients come does not change what each of them meets.
 */
export class Dice {
  readonly #seed: string
  readonly #draws = new Map<string, number>()
  readonly #bursts = new Map<string, number>()

  constructor(seed: string) {
    this.#seed = seed
  }

  /** A number in [0, 1). */
  draw(kind: string, subject: string): number {
    const key = `${kind}|${subject}`
    const count = this.#draws.get(key) ?? 0
    this.#draws.set(key, count + 1)
    const digest = createHash('sha256').update(`${this.#seed}|${key}|${count}`).digest()
    return digest.readUIntBE(0, 6) / 2 ** 48
  }

  hits(kind: string, subject: string, rate: number): boolean {
    return rate > 0 && this.draw(kind, subject) < rate
  }

  /** As hits, but a hit goes on for `length` requests of that kind, whatever their subject. */
  hitsBurst(kind: string, subject: string, rate: number, length: number): boolean {
    if (rate <= 0) {
      this.#bursts.delete(kind)
      return false
    }
    const left = this.#bursts.get(kind) ?? 0
    if (left > 0) {
      this.#bursts.set(kind, left - 1)
      return true
    }
    if (!this.hits(kind, subject, rate)) return false
    this.#bursts.set(kind, Math.max(0, length - 1))
    return true
  }

  inBurst(kind: string): boolean {
    return (this.#bursts.get(kind) ?? 0) > 0
  }
}

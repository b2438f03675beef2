/**
 * Settings from four places: flags, then environment, then configuration file, then default. One name has three spellings:
 * `bittorrentPort` in the file, `--bittorrent-port`, `WIKISEED_BITTORRENT_PORT`. Every error names the place that is wrong.
 * The only file that names zod.
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { UserError } from './commands/user-error.ts'

export interface Setting<T> {
  /** What stands behind the flag in the help: `<size>`; null for a switch. */
  readonly value: string | null
  readonly help: string
  readonly kind: z.ZodType<T>
  /** Absent: it must be given. */
  readonly default?: T
  /** The default as the help shows it, when its text is not plain to read. */
  readonly defaultText?: string
  /** May be given more than once, or as one text separated by commas. */
  readonly repeat?: boolean
  /** Never a flag, where every user of the machine could read it, nor in the file: environment, or NAME_FILE naming a file. */
  readonly secret?: boolean
}

export type Settings = Readonly<Record<string, Setting<unknown>>>
export type Values<S extends Settings> = {
  readonly [Name in keyof S]: S[Name] extends { readonly kind: z.ZodType<infer T> } ? T : never
}

export interface Sources {
  /** By setting name, as the command line gave them; undefined when it did not. */
  readonly flags: Readonly<Record<string, unknown>>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Path of a JSON file, or null. */
  readonly file: string | null
}

const FILE_BYTES_MAX = 1024 * 1024
const SECRET_BYTES_MAX = 4_096

/** Throws UserError of one sentence. */
export function readSettings<S extends Settings>(settings: S, sources: Sources): Values<S> {
  const file = sources.file === null ? {} : readFile(sources.file, settings)
  const out: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(settings)) {
    out[name] = readOne(name, setting, sources, file)
  }
  return out as Values<S>
}

/** `--bittorrent-port`, or `--no-origin-fallback` for a switch that is on by default. */
export function flagOf(name: string, setting: Setting<unknown>): string {
  const words = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  return setting.value === null && setting.default === true ? `--no-${words}` : `--${words}`
}

/** `WIKISEED_BITTORRENT_PORT` */
export function envOf(name: string): string {
  return `WIKISEED_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

function readOne(
  name: string,
  setting: Setting<unknown>,
  { flags, env, file }: Sources,
  inFile: Readonly<Record<string, unknown>>,
): unknown {
  const fromFlag = setting.secret === true ? undefined : flags[name]
  if (fromFlag !== undefined) return check(setting, split(setting, fromFlag), flagOf(name, setting))
  const variable = envOf(name)
  const fromEnv = setting.secret === true ? readSecret(variable, env) : env[variable]
  if (fromEnv !== undefined && fromEnv !== '') return check(setting, split(setting, fromEnv), variable)
  if (inFile[name] !== undefined) return check(setting, inFile[name], `${file}, "${name}"`)
  if (setting.default !== undefined) return setting.default
  throw new UserError(`${missing(name, setting)}: ${setting.help}`)
}

function split(setting: Setting<unknown>, value: unknown): unknown {
  if (setting.repeat !== true) return value
  const texts = Array.isArray(value) ? value : [value]
  return texts
    .flatMap((one) => String(one).split(','))
    .map((one) => one.trim())
    .filter((one) => one !== '')
}

function missing(name: string, setting: Setting<unknown>): string {
  if (setting.secret === true) return `${envOf(name)} or ${envOf(name)}_FILE is needed`
  return `${flagOf(name, setting)} ${setting.value ?? ''} is needed (or ${envOf(name)}, or "${name}" in the --config file)`
}

function check(setting: Setting<unknown>, value: unknown, place: string): unknown {
  const result = setting.kind.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const index = issue?.path[0]
  const at = typeof index === 'number' ? `${place} (number ${index + 1})` : place
  throw new UserError(`${at}: ${issue?.message ?? 'not understood'}`)
}

/** The text of a secret, from the variable or from the file that `<variable>_FILE` names; never repeated in an error. */
function readSecret(variable: string, env: Sources['env']): string | undefined {
  const path = env[`${variable}_FILE`]
  if (path === undefined || path === '') return env[variable]
  try {
    const bytes = readFileSync(path)
    if (bytes.length > SECRET_BYTES_MAX)
      throw new UserError(`${variable}_FILE: ${path} is too large for a secret`)
    return bytes.toString('utf8').trim()
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`${variable}_FILE: ${path} cannot be read`, { cause: error })
  }
}

function readFile(path: string, settings: Settings): Readonly<Record<string, unknown>> {
  let text: string
  try {
    const bytes = readFileSync(path)
    if (bytes.length > FILE_BYTES_MAX) throw new UserError(`${path} is too large for a configuration file`)
    text = bytes.toString('utf8')
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`the configuration file ${path} cannot be read`, { cause: error })
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UserError(`${path} is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`, {
      cause: error,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UserError(`${path} is not a JSON object of settings`)
  }
  const allowed = (name: string) => Object.hasOwn(settings, name) && settings[name]?.secret !== true
  const foreign = Object.keys(value).find((name) => !allowed(name))
  if (foreign !== undefined)
    throw new UserError(`${path}: there is no setting ${JSON.stringify(foreign.slice(0, 64))}`)
  return { ...value }
}

// ---------------------------------------------------------------- kinds of values

const TEXT_LENGTH_MAX = 256

export function text(what = 'text'): z.ZodType<string> {
  return z
    .string({ error: `not ${what}` })
    .trim()
    .min(1, 'is empty')
    .max(TEXT_LENGTH_MAX, `longer than ${TEXT_LENGTH_MAX} characters`)
}

/** Text that a rule accepts; `form` says in words what it should be. */
export function textLike(form: string, accepts: (value: string) => boolean): z.ZodType<string> {
  return text(form).refine(accepts, { error: ({ input }) => `${shown(input)} is not ${form}` })
}

export function choice<const Choices extends readonly [string, ...string[]]>(
  choices: Choices,
): z.ZodType<Choices[number]> {
  return z.enum(choices, { error: ({ input }) => `${shown(input)} is not one of ${choices.join(', ')}` })
}

export function list<T>(kind: z.ZodType<T>, lengthMax = 64): z.ZodType<readonly T[]> {
  return z.array(kind, { error: 'not a list' }).max(lengthMax, `more than ${lengthMax} values`)
}

export function orNull<T>(kind: z.ZodType<T>): z.ZodType<T | null> {
  return kind.nullable()
}

/** A switch; in the environment `true`, `false`, `1`, `0`, `yes`, `no`. */
export const yesNo: z.ZodType<boolean> = fromText((value) => {
  if (typeof value === 'boolean') return value
  if (value === 'true' || value === '1' || value === 'yes') return true
  return value === 'false' || value === '0' || value === 'no' ? false : null
}, 'true or false')

export function whole(min: number, max: number): z.ZodType<number> {
  return fromText((value) => {
    const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
    return typeof number === 'number' && Number.isSafeInteger(number) && number >= min && number <= max
      ? number
      : null
  }, `a whole number from ${min} to ${max}`)
}

export const port = whole(0, 65_535)

/** Timers hold no more. */
const DURATION_MS_MAX = 2_147_483_647

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 1024,
  mi: 1024 ** 2,
  gi: 1024 ** 3,
  ti: 1024 ** 4,
}

/** Bytes: `50GB` (decimal), `20 GiB`, `1500000`. */
export const size: z.ZodType<number> = fromText((value) => {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : null
  const [, digits = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,6})?) ?([kmgt]i?)?b?$/i.exec(String(value)) ?? []
  const bytes = Math.floor(Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN))
  return digits !== '' && Number.isSafeInteger(bytes) ? bytes : null
}, 'a size such as 500MB, 50GB or 20GiB')

const TIMES: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds, from `500ms`, `30s`, `10m`, `1h`, `1d`. */
export const duration: z.ZodType<number> = fromText((value) => {
  const [, digits = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?) ?(ms|s|m|h|d)$/.exec(String(value)) ?? []
  const ms = Math.round(Number(digits) * (TIMES[unit] ?? Number.NaN))
  return digits !== '' && ms > 0 && ms <= DURATION_MS_MAX ? ms : null
}, 'a time such as 500ms, 30s, 10m or 1h')

/** http or https, without a user name in it, with `/` at its end. */
export const webAddress: z.ZodType<string> = fromText((value) => {
  const url = typeof value === 'string' ? URL.parse(value) : null
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.username !== '' ||
    url.search !== '' ||
    url.hash !== ''
  )
    return null
  return url.href.endsWith('/') ? url.href : `${url.href}/`
}, 'a web address that begins with http:// or https://')

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** `127.0.0.1:8080`, `[::1]:8080`, or a port alone for 127.0.0.1. */
export const hostPort: z.ZodType<HostPort> = fromText((value) => {
  const match = /^(?:(\[[0-9a-f:.]+\]|[a-z0-9.-]+):)?(\d{1,5})$/i.exec(String(value))
  const number = Number(match?.[2])
  if (match === null || number > 65_535) return null
  return { host: (match[1] ?? '127.0.0.1').replace(/^\[|\]$/g, ''), port: number }
}, 'a port, or a host and a port such as 127.0.0.1:8080')

function fromText<T>(read: (value: unknown) => T | null, form: string): z.ZodType<T> {
  return z.unknown().transform((value, context): T => {
    const result = read(value)
    if (result !== null) return result
    context.addIssue({ code: 'custom', message: `${shown(value)} is not ${form}` })
    return z.NEVER
  })
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 80)
}

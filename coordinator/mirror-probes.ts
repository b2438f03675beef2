/**
 * Which mirrors hold every dump file of a shard, so that they can be web seeds of its torrent (PROTOCOL 2): each file is asked for by
 * HEAD, which must tell its size, and by a Range of its last byte, which must be answered by 206. One request at a time to a mirror, two a
 * second at most; what was answered is kept for days, and on record.
 */
import { type Clock, type Log, type Origin, OriginError, type Store } from '../node/ports.ts'
import { integer, list, type Reader, record, text } from '../protocol/codec/shape.ts'
import { PATH_BYTES_MAX } from '../protocol/limits.ts'
import { originPath } from '../protocol/shard/paths.ts'
import type { Shard, ShardFile } from '../protocol/shard/shard.ts'
import type { Sleep } from './http/sleep.ts'
import { Records } from './records.ts'

/** What one mirror answered for one shard. */
interface MirrorRow {
  readonly mirror: string
  /** Path of a file that it does not have, or not whole, or gives no ranges of; empty: it has all. */
  readonly lacks: string
  /** Since when this is so. */
  readonly sinceMs: number
  /** When every file was asked for, or the one that it lacks. */
  readonly checkedAtMs: number
  /** When it answered last. */
  readonly answeredAtMs: number
}

export interface MirrorProbesOptions {
  /** Bases of upstream's layout, with `/` at their ends; none of them upstream itself. */
  readonly mirrors: readonly string[]
  readonly origin: Pick<Origin, 'facts' | 'range'>
  readonly store: Store
  readonly clock: Clock
  readonly sleep: Sleep
  readonly log: Log
}

/** One shard at one mirror. */
interface Asking {
  readonly mirror: string
  readonly shard: Shard
  readonly onRequest: () => void
  readonly signal: AbortSignal
}

const DAY_MS = 86_400_000
/** After each request. */
const PAUSE_MS = 500
/** A mirror with everything to be asked for does not hold up the others for longer than some minutes. */
const TURN_REQUESTS = 600
/** All files again. */
const CHECK_EVERY_MS = 7 * DAY_MS
/** One of them, another each day. */
const LOOK_EVERY_MS = DAY_MS
/** For so long nobody managed to check anew: then it is not known any more. */
const FORGET_MS = 3 * CHECK_EVERY_MS
/** What is not there is looked for again, ever more seldom: a mirror may be late, or have removed an old run. */
const LACKING_EVERY_MS_MAX = 30 * DAY_MS
/** A mirror that does not answer is left alone for so long ... */
const REST_MS = 3_600_000
/** ... and is no web seed any more after this. */
const SILENT_MS_MAX = DAY_MS
const MIRRORS_MAX = 64
const URL_LENGTH_MAX = 2_048

export class MirrorProbes {
  readonly #options: MirrorProbesOptions
  readonly #records: Records<readonly MirrorRow[]>
  /** By mirror; since its last answer. Begins anew with the process. */
  readonly #silent = new Map<string, { readonly sinceMs: number; restUntilMs: number; detail: string }>()
  /** When a shard was tried last at a mirror without an answer, so that the others have their turn before it. */
  readonly #tried = new Map<string, number>()

  /** Rejects for ever once the store did. */
  #saved = Promise.resolve()

  private constructor(options: MirrorProbesOptions, records: Records<readonly MirrorRow[]>) {
    this.#options = options
    this.#records = records
  }

  /** Throws ShapeError when a stored row is not one of ours. */
  static async open(options: MirrorProbesOptions): Promise<MirrorProbes> {
    return new MirrorProbes(options, await Records.open(options.store, 'mirrorProbes', readRows))
  }

  /** Mirrors that hold all files of the shard, in the order of the configuration. */
  whole(shard: Pick<Shard, 'key'>): string[] {
    const nowMs = this.#options.clock.wallMs()
    return this.#options.mirrors.filter((mirror) => {
      const row = this.#row(shard, mirror)
      return row?.lacks === '' && nowMs - row.checkedAtMs < FORGET_MS && !this.#isGone(mirror)
    })
  }

  /** Mirrors that have not answered for a day, and what happened last. */
  silent(): { readonly mirror: string; readonly detail: string }[] {
    return [...this.#silent]
      .filter(([mirror]) => this.#isGone(mirror))
      .map(([mirror, { detail }]) => ({ mirror, detail }))
  }

  /** Asks each mirror for what is due, for some minutes at most. Never rejects but for the store. */
  async round(shards: readonly Shard[], signal: AbortSignal): Promise<void> {
    await Promise.all(this.#options.mirrors.map((mirror) => this.#turn(mirror, shards, signal)))
  }

  async #turn(mirror: string, shards: readonly Shard[], signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    if ((this.#silent.get(mirror)?.restUntilMs ?? 0) > clock.monotonicMs()) return
    const triedMs = ({ key }: Shard) => this.#tried.get(`${mirror} ${key}`) ?? 0
    const due = shards
      .filter((shard) => this.#due(shard, mirror).length > 0)
      .sort((a, b) => triedMs(a) - triedMs(b))
    let requests = 0
    for (const shard of due) {
      if (requests >= TURN_REQUESTS || signal.aborted) return
      const files = this.#due(shard, mirror)
      const asking = { mirror, shard, onRequest: () => requests++, signal }
      try {
        const lacks = await this.#firstLacking(files, asking)
        const isAll = files.length === shard.files.length
        // Mirrors answer side by side, and all rows of a shard are one value.
        this.#saved = this.#saved.then(() => this.#save(shard, mirror, lacks, isAll))
        await this.#saved
      } catch (error) {
        if (!(error instanceof OriginError)) throw error
        if (signal.aborted) return
        this.#tried.set(`${mirror} ${shard.key}`, clock.monotonicMs())
        const sinceMs = this.#silent.get(mirror)?.sinceMs ?? clock.monotonicMs()
        const restUntilMs = clock.monotonicMs() + REST_MS
        this.#silent.set(mirror, { sinceMs, restUntilMs, detail: error.message })
        log.warn({ mirror, code: error.code, detail: error.message }, 'a mirror does not answer')
        return
      }
    }
  }

  /** The files to ask for now; none when nothing is due. */
  #due(shard: Shard, mirror: string): readonly ShardFile[] {
    const nowMs = this.#options.clock.wallMs()
    const { files } = shard
    const row = this.#row(shard, mirror)
    if (row === undefined) return files
    const ageMs = nowMs - row.checkedAtMs
    if (row.lacks !== '') {
      const waitMs = Math.min(Math.max(row.checkedAtMs - row.sinceMs, LOOK_EVERY_MS), LACKING_EVERY_MS_MAX)
      // What it lacked is asked for first: most often that is the only request.
      return ageMs < waitMs
        ? []
        : files.toSorted((a, b) => Number(b.path === row.lacks) - Number(a.path === row.lacks))
    }
    if (ageMs >= CHECK_EVERY_MS) return files
    if (nowMs - row.answeredAtMs < LOOK_EVERY_MS) return []
    const day = Math.floor(nowMs / DAY_MS)
    return files.slice(day % files.length, (day % files.length) + 1)
  }

  /** Path of the first file that is not there as it should be; empty when all are. OriginError when the mirror does not answer. */
  async #firstLacking(files: readonly ShardFile[], asking: Asking): Promise<string> {
    for (const file of files) if (!(await this.#has(file, asking))) return file.path
    return ''
  }

  async #has({ path, sizeBytes }: ShardFile, asking: Asking): Promise<boolean> {
    const { origin } = this.#options
    const { mirror, shard, signal } = asking
    const from = { baseUrl: mirror, label: new URL(mirror).host }
    const file = { path: originPath(shard, path), sizeBytes }
    const facts = await this.#answer(asking, () => origin.facts(file.path, signal, from))
    if (facts?.sizeBytes !== sizeBytes) return false
    if (sizeBytes === 0) return true
    const last = { start: sizeBytes - 1, end: sizeBytes }
    const range = async () => {
      await origin.range(file, last, async () => {}, { from, signal })
      return true
    }
    return (await this.#answer(asking, range)) !== null
  }

  /** One request and the pause after it; null when the mirror says no. OriginError when it says nothing. */
  async #answer<T>({ mirror, onRequest, signal }: Asking, request: () => Promise<T>): Promise<T | null> {
    onRequest()
    try {
      const answer = await request()
      this.#silent.delete(mirror)
      return answer
    } catch (error) {
      if (!(error instanceof OriginError) || NO_ANSWER.has(error.code)) throw error
      this.#silent.delete(mirror)
      return null
    } finally {
      await this.#options.sleep(PAUSE_MS, signal)
    }
  }

  async #save(shard: Shard, mirror: string, lacks: string, isAll: boolean): Promise<void> {
    const { clock, log, mirrors } = this.#options
    const nowMs = clock.wallMs()
    const rows = this.#records.get(shard.key) ?? []
    const before = rows.find((one) => one.mirror === mirror)
    const isSame = before !== undefined && (before.lacks === '') === (lacks === '')
    const row: MirrorRow = {
      mirror,
      lacks,
      sinceMs: isSame ? before.sinceMs : nowMs,
      checkedAtMs: isAll || lacks !== '' || before === undefined ? nowMs : before.checkedAtMs,
      answeredAtMs: nowMs,
    }
    const others = rows.filter((one) => one.mirror !== mirror && mirrors.includes(one.mirror))
    await this.#records.set(shard.key, [...others, row])
    this.#tried.delete(`${mirror} ${shard.key}`)
    if (isSame) return
    const fields = { mirror, shard: shard.key, ...(lacks === '' ? {} : { lacks }) }
    log.info(fields, lacks === '' ? 'a mirror holds a shard' : 'a mirror does not hold a shard')
  }

  #row(shard: Pick<Shard, 'key'>, mirror: string): MirrorRow | undefined {
    return this.#records.get(shard.key)?.find((one) => one.mirror === mirror)
  }

  #isGone(mirror: string): boolean {
    const silent = this.#silent.get(mirror)
    return silent !== undefined && this.#options.clock.monotonicMs() - silent.sinceMs >= SILENT_MS_MAX
  }
}

/** That these were not answered says nothing of the file. */
const NO_ANSWER: ReadonlySet<string> = new Set(['busy', 'network', 'aborted'])

const readRows: Reader<readonly MirrorRow[]> = (value, path) =>
  list(value, path, MIRRORS_MAX, (one, at) => {
    const fields = record(one, at)
    return {
      mirror: text(fields.mirror, `${at}.mirror`, URL_LENGTH_MAX),
      lacks: text(fields.lacks, `${at}.lacks`, PATH_BYTES_MAX),
      sinceMs: integer(fields.sinceMs, `${at}.sinceMs`),
      checkedAtMs: integer(fields.checkedAtMs, `${at}.checkedAtMs`),
      answeredAtMs: integer(fields.answeredAtMs, `${at}.answeredAtMs`),
    }
  })

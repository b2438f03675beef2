// dumpstatus.json (version 0.8), index.json and the checksum lists, derived from what lies in the folder.
import { readFile } from 'node:fs/promises'
import type { Faults } from '../faults.ts'
import type { DigestCache, Digests } from './digests.ts'
import { type Job, jobsOf } from './jobs.ts'
import type { DumpTree } from './tree.ts'
import type { FileState, Versions } from './versions.ts'

export type StatusFile = { size?: number; url?: string; md5?: string; sha1?: string }
export type StatusJob = {
  status: 'waiting' | 'in-progress' | 'done' | 'failed' | 'skipped'
  updated: string
  files?: Record<string, StatusFile>
}
export type DumpStatus = { version: string; jobs: Record<string, StatusJob> }

type Parts = { tree: DumpTree; digests: DigestCache; versions: Versions; faults: Faults; now: () => number }

const firstJobAfterMs = 8 * 3_600_000 + 5 * 60_000
const jobTakesMs = 10 * 60_000

export class StatusMaker {
  readonly #parts: Parts
  readonly #lateReads = new Map<string, number>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The run's own dumpstatus.json when there is one in the folder, else a derived one. */
  async dumpStatus(wiki: string, date: string): Promise<DumpStatus | undefined> {
    const own = await this.#parts.tree.find([wiki, date, 'dumpstatus.json'])
    if (own?.kind === 'file') return JSON.parse(await readFile(own.path, 'utf8')) as DumpStatus
    return this.#derive(wiki, date)
  }

  /** The newest run of each wiki, finished or not. A wiki whose status cannot be read is silently left out. */
  async index(): Promise<{ wikis: Record<string, DumpStatus> }> {
    const wikis: Record<string, DumpStatus> = {}
    for (const wiki of await this.#parts.tree.wikis()) {
      const date = (await this.#parts.tree.dates(wiki)).at(-1)
      if (date === undefined) continue
      try {
        const status = await this.dumpStatus(wiki, date)
        if (status) wikis[wiki] = status
      } catch {
        // As upstream's monitor does.
      }
    }
    return { wikis }
  }

  /** Text: hex, two spaces, name. JSON: `{"sha1":{"files":{name:hex}}}`. Files without hashes yet are not listed. */
  async sums(wiki: string, date: string, kind: 'md5' | 'sha1', form: 'txt' | 'json'): Promise<string> {
    const status = await this.dumpStatus(wiki, date)
    const rows: [string, string][] = []
    for (const job of Object.values(status?.jobs ?? {})) {
      for (const [name, file] of Object.entries(job.files ?? {})) {
        const hex = file[kind]
        if (hex !== undefined) rows.push([name, hex])
      }
    }
    rows.sort(([a], [b]) => (a < b ? -1 : 1))
    if (form === 'txt') return rows.map(([name, hex]) => `${hex}  ${name}\n`).join('')
    return JSON.stringify({ [kind]: { files: Object.fromEntries(rows) } })
  }

  /** Names of the files of a run that are still being written, so that they are not to be had. */
  async unfinishedFiles(wiki: string, date: string): Promise<ReadonlySet<string>> {
    if (!this.#parts.faults.inProgress.includes(`${wiki}/${date}`)) return new Set()
    return new Set(jobsOf(await this.#parts.tree.dumpFiles(wiki, date)).at(-1)?.files ?? [])
  }

  async fileState(wiki: string, date: string, name: string): Promise<FileState | undefined> {
    const entry = await this.#parts.tree.find([wiki, date, name])
    return entry?.kind === 'file'
      ? this.#parts.versions.stateOf(`/${wiki}/${date}/${name}`, entry)
      : undefined
  }

  async digestsOf(state: FileState): Promise<Digests> {
    return this.#parts.digests.of(state.path, state.sizeBytes, state.mtimeMs, state.flips)
  }

  async #derive(wiki: string, date: string): Promise<DumpStatus | undefined> {
    const jobs = jobsOf(await this.#parts.tree.dumpFiles(wiki, date))
    if (jobs.length === 0) return undefined
    const inProgress = this.#parts.faults.inProgress.includes(`${wiki}/${date}`)
    const hashesLate = this.#hashesLate(wiki, date)
    // An old run ended on its own date, so that its times are the same at each start; a running one is at it now.
    const startMs = inProgress ? this.#parts.now() - jobs.length * jobTakesMs : dateMs(date) + firstJobAfterMs
    const made: Record<string, StatusJob> = {}
    for (const [index, job] of jobs.entries()) {
      const last = index === jobs.length - 1
      const updated = utcWithoutZone(startMs + (index + 1) * jobTakesMs)
      made[job.name] =
        last && inProgress
          ? { status: 'in-progress', updated, files: await this.#files(wiki, date, job, 'size') }
          : {
              status: 'done',
              updated,
              files: await this.#files(wiki, date, job, last && hashesLate ? 'url' : 'all'),
            }
    }
    addIdleJobs(made, wiki, date, inProgress, utcWithoutZone(startMs))
    return { version: '0.8', jobs: made }
  }

  #hashesLate(wiki: string, date: string): boolean {
    const run = `${wiki}/${date}`
    const reads = this.#lateReads.get(run) ?? 0
    if (reads >= this.#parts.faults.lateHashReads) return false
    this.#lateReads.set(run, reads + 1)
    return true
  }

  async #files(wiki: string, date: string, job: Job, upTo: 'size' | 'url' | 'all') {
    const files: Record<string, StatusFile> = {}
    for (const name of job.files) {
      const state = await this.fileState(wiki, date, name)
      if (!state) {
        files[name] = {}
        continue
      }
      const size: StatusFile = { size: state.sizeBytes }
      const url: StatusFile = { ...size, url: `/${wiki}/${date}/${name}` }
      if (upTo === 'size') files[name] = size
      else if (upTo === 'url') files[name] = url
      else {
        const { md5, sha1 } = await this.digestsOf(state)
        files[name] = { ...url, md5, sha1 }
      }
    }
    return files
  }
}

/**
 * The jobs that a run lists without having made them. Runs without history skip both history jobs: one shows no
 * files at all, the other the names with nothing known of them (report.py, report_file_size_status).
 */
function addIdleJobs(
  jobs: Record<string, StatusJob>,
  wiki: string,
  date: string,
  inProgress: boolean,
  startedAt: string,
): void {
  const idle = inProgress ? ('waiting' as const) : ('skipped' as const)
  const updated = inProgress ? '' : startedAt
  jobs.metahistorybz2dump ??= { status: idle, updated }
  jobs.metahistory7zdump ??= {
    status: idle,
    updated,
    ...(inProgress ? {} : { files: { [`${wiki}-${date}-pages-meta-history.xml.7z`]: {} } }),
  }
}

function dateMs(date: string): number {
  return Date.UTC(Number(date.slice(0, 4)), Number(date.slice(4, 6)) - 1, Number(date.slice(6, 8)))
}

/** `YYYY-MM-DD HH:MM:SS`, UTC. */
export function utcWithoutZone(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
}

export function newestUpdated(status: DumpStatus): string {
  const times = Object.values(status.jobs).map(({ updated }) => updated)
  return times.sort().at(-1) ?? ''
}

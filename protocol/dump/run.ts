/** A run: one production of one dataset of one wiki on one date (PROTOCOL 0), made from upstream's status and lists. */
import { isWiki } from '../ids.ts'
import { isFileOfRun, type RunName, runFolder } from '../shard/paths.ts'
import { ALGORITHMS, type Algorithm, type Digests, type ShardFile } from '../shard/shard.ts'
import type { ChecksumList } from './checksums.ts'
import { isRunDate, runDateMs } from './dates.ts'
import type { DumpStatus, DumpStatusFile, JobState } from './dump-status.ts'

/**
 * What the jobs say, without a clock. `in-progress`: some job waits or runs. `failed-jobs`: all ended, some failed.
 * `complete`: every job is done or skipped.
 */
export type RunState = 'in-progress' | 'failed-jobs' | 'complete'

export interface RunJob {
  readonly name: string
  readonly state: JobState
  /** Names of its files that belong to the run, sorted; empty unless the job is done. */
  readonly files: readonly string[]
}

/** A file of a done job that the run cannot hold; shown to people, never silently left out. */
export interface RefusedFile {
  readonly name: string
  readonly reason: 'not-a-name-of-this-run' | 'two-different-descriptions'
}

export interface Run extends RunName {
  readonly state: RunState
  /** Sorted by name. */
  readonly jobs: readonly RunJob[]
  /** Files of done jobs that have a size, in raw-byte order of path; paths are relative to the torrent's name. */
  readonly files: readonly ShardFile[]
  readonly refused: readonly RefusedFile[]
  /** Files of done jobs that upstream lists without a size: it lost them. Sorted names. */
  readonly missing: readonly string[]
  /** Unix ms of the newest `updated`; null when no job carries one. */
  readonly newestUpdatedMs: number | null
}

/**
 * Makes a run of dataset `dumps`. Digests come from dumpstatus.json; those that lag behind there are filled in from the
 * checksum lists (PROTOCOL 1). Throws TypeError when wiki or date is not one: those come from us, not from strangers.
 */
export function makeRun(
  name: { readonly wiki: string; readonly date: string },
  status: DumpStatus,
  lists: readonly ChecksumList[] = [],
): Run {
  if (!isWiki(name.wiki) || !isRunDate(name.date)) {
    throw new TypeError(`not a run: ${JSON.stringify(name.wiki)} ${JSON.stringify(name.date)}`)
  }
  const run: RunName = { dataset: 'dumps', wiki: name.wiki, date: name.date }
  const jobs = [...status.jobs].sort(([a], [b]) => compareText(a, b))
  const found = gather(
    run,
    jobs.filter(([, job]) => job.state === 'done').map(([, job]) => job.files),
  )
  const folder = runFolder(run)
  const names = [...found.files.keys()].sort(compareText)
  const updated = jobs.map(([, job]) => job.updatedMs).filter((updatedMs) => updatedMs !== null)
  return {
    ...run,
    state: stateOf(jobs.map(([, job]) => job.state)),
    jobs: jobs.map(([jobName, job]) => ({
      name: jobName,
      state: job.state,
      files:
        job.state === 'done'
          ? [...job.files.keys()].filter((file) => found.files.has(file)).sort(compareText)
          : [],
    })),
    files: names.map((file) => {
      const { sizeBytes, digests } = found.files.get(file) ?? { sizeBytes: 0, digests: {} }
      return { path: `${folder}/${file}`, sizeBytes, digests: fillIn(file, digests, lists) }
    }),
    refused: found.refused,
    missing: found.missing,
    newestUpdatedMs: updated.length === 0 ? null : updated.reduce((a, b) => Math.max(a, b)),
  }
}

/**
 * True for a run that says it is in progress and was not touched for so long that nobody is writing it any more: upstream keeps such
 * ones for years. enwiki's longest job takes about two weeks.
 */
export function isAbandoned(run: Run, nowMs: number): boolean {
  const since = run.newestUpdatedMs ?? runDateMs(run.date)
  return run.state === 'in-progress' && nowMs - since >= ABANDONED_AFTER_MS
}

const ABANDONED_AFTER_MS = 45 * 86_400_000

/** PROTOCOL 1: every job is done, skipped or failed and `settledAfterMs` have passed since the newest `updated`. */
export function settled(run: Run, nowMs: number, settledAfterMs: number): boolean {
  return (
    run.state !== 'in-progress' &&
    run.newestUpdatedMs !== null &&
    nowMs - run.newestUpdatedMs >= settledAfterMs
  )
}

function stateOf(states: readonly JobState[]): RunState {
  if (states.length === 0 || states.some((state) => state === 'waiting' || state === 'in-progress'))
    return 'in-progress'
  return states.includes('failed') ? 'failed-jobs' : 'complete'
}

/** Names are ASCII, so the order of code units is the raw-byte order. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

type SizedFile = { readonly sizeBytes: number; readonly digests: Digests }

function gather(
  run: RunName,
  groups: readonly ReadonlyMap<string, DumpStatusFile>[],
): { files: Map<string, SizedFile>; refused: RefusedFile[]; missing: string[] } {
  const files = new Map<string, SizedFile>()
  const refused = new Map<string, RefusedFile['reason']>()
  const missing = new Set<string>()
  for (const group of groups) {
    for (const [name, { sizeBytes, digests }] of group) {
      const known = files.get(name)
      if (sizeBytes === undefined) missing.add(name)
      else if (!isFileOfRun(name, run)) refused.set(name, 'not-a-name-of-this-run')
      else if (known !== undefined && !agree(known, { sizeBytes, digests }))
        refused.set(name, 'two-different-descriptions')
      else files.set(name, { sizeBytes, digests: { ...known?.digests, ...digests } })
    }
  }
  for (const name of refused.keys()) files.delete(name)
  for (const name of files.keys()) missing.delete(name)
  return {
    files,
    refused: [...refused].sort(([a], [b]) => compareText(a, b)).map(([name, reason]) => ({ name, reason })),
    missing: [...missing].sort(compareText),
  }
}

/** Two jobs may list one file; then they must not contradict each other. */
function agree(a: SizedFile, b: SizedFile): boolean {
  const same = (algorithm: Algorithm): boolean =>
    (a.digests[algorithm] ?? b.digests[algorithm]) === (b.digests[algorithm] ?? a.digests[algorithm])
  return a.sizeBytes === b.sizeBytes && ALGORITHMS.every(same)
}

function fillIn(name: string, digests: Digests, lists: readonly ChecksumList[]): Digests {
  const out: { [A in Algorithm]?: string } = { ...digests }
  for (const list of lists) {
    const hex = list.digests.get(name)
    if (hex !== undefined) out[list.algorithm] ??= hex
  }
  return out
}

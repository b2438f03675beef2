/**
 * dumpstatus.json, version 0.8 (operations-dumps, dumps/runnerutils.py and report.py). Tolerant where upstream is known to
 * be loose: jobs without files, `{}` for a file that is not there, no md5 or sha1 yet, `updated` empty, unknown jobs and fields. null
 * is as good as nothing.
 */
import { integer, map, oneOf, type Reader, record, ShapeError, text } from '../codec/shape.ts'
import { FILE_BYTES_MAX } from '../shard/paths.ts'
import type { Algorithm, Digests } from '../shard/shard.ts'
import { parseUpdatedMs } from './dates.ts'
import { isSafeFileName } from './file-name.ts'

export const JOB_STATES = ['waiting', 'in-progress', 'done', 'failed', 'skipped'] as const
export type JobState = (typeof JOB_STATES)[number]

/** enwiki has 48 jobs. */
export const JOBS_MAX = 512
/** enwiki's history job has 870 files. */
export const JOB_FILES_MAX = 20_000
const JOB_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,99}$/
const UPDATED_LENGTH_MAX = 40

export interface DumpStatusFile {
  /** Absent for a file that is not on upstream's disk, or of a job that has not run. */
  readonly sizeBytes?: number
  /** May lag behind by one job, or be missing for ever. */
  readonly digests: Digests
}

export interface DumpJob {
  readonly state: JobState
  /** Unix ms, or null for a job that never ran. */
  readonly updatedMs: number | null
  readonly files: ReadonlyMap<string, DumpStatusFile>
}

export interface DumpStatus {
  readonly jobs: ReadonlyMap<string, DumpJob>
}

const HEX_LENGTH: Readonly<Record<Algorithm, number>> = { md5: 32, sha1: 40, sha256: 64 }

/** True for lower-case hex of the algorithm's length. */
export function isDigest(algorithm: Algorithm, value: string): boolean {
  return value.length === HEX_LENGTH[algorithm] && /^[0-9a-f]+$/.test(value)
}

/** Names of jobs are an open set, but plain ones. */
export function isJobName(name: string): boolean {
  return JOB_NAME.test(name)
}

/** Decoded JSON -> DumpStatus. Throws ShapeError, also when one file's name is not a plain name: then nothing of it is used. */
export const readDumpStatus: Reader<DumpStatus> = (value, path) => {
  const fields = record(value, path)
  checkNames(fields.jobs, `${path}.jobs`, isJobName)
  return { jobs: map(fields.jobs, `${path}.jobs`, JOBS_MAX, readJob) }
}

const readJob: Reader<DumpJob> = (value, path) => {
  const fields = record(value, path)
  const files = fields.files ?? undefined
  if (files !== undefined) checkNames(files, `${path}.files`, isSafeFileName)
  return {
    state: oneOf(fields.status, `${path}.status`, JOB_STATES),
    updatedMs: readUpdated(fields.updated, `${path}.updated`),
    files: files === undefined ? new Map() : map(files, `${path}.files`, JOB_FILES_MAX, readFile),
  }
}

/** Before `map`, whose errors repeat the key: a stranger's key may hold control characters. Throws ShapeError. */
export function checkNames(value: unknown, path: string, isName: (name: string) => boolean): void {
  if (!Object.keys(record(value, path)).every(isName)) throw new ShapeError(path, 'plain names')
}

const readUpdated: Reader<number | null> = (value, path) => {
  if (value === undefined || value === null || text(value, path, UPDATED_LENGTH_MAX) === '') return null
  const updatedMs = parseUpdatedMs(text(value, path, UPDATED_LENGTH_MAX))
  if (updatedMs === null) throw new ShapeError(path, 'YYYY-MM-DD HH:MM:SS')
  return updatedMs
}

const readFile: Reader<DumpStatusFile> = (value, path) => {
  const fields = record(value, path)
  const digests: { [A in Algorithm]?: string } = {}
  for (const algorithm of ['md5', 'sha1', 'sha256'] as const) {
    const hex = fields[algorithm]
    // Not known yet, however that is written.
    if (hex === undefined || hex === null || hex === '') continue
    if (typeof hex !== 'string' || !isDigest(algorithm, hex.toLowerCase())) {
      throw new ShapeError(`${path}.${algorithm}`, `${HEX_LENGTH[algorithm]} hex digits`)
    }
    digests[algorithm] = hex.toLowerCase()
  }
  if (fields.size === undefined || fields.size === null) return { digests }
  return { sizeBytes: integer(fields.size, `${path}.size`, 0, FILE_BYTES_MAX), digests }
}

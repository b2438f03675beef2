/**
 * STATUS.json of a shard (PROTOCOL 2): RFC 8785 JSON plus a line feed of job -> {status, files}. Every job of the run with
 * its status, so that what upstream failed to make is shown; of files only the names that this shard holds, so that a
 * late change in one part of a big run leaves the other parts' torrents as they are. No `updated`, no `url`.
 */
import { canonicalJson } from '../codec/canonical-json.ts'
import { list, map, oneOf, type Reader, record, ShapeError } from '../codec/shape.ts'
import { checkNames, isJobName, JOB_STATES, JOBS_MAX, type JobState } from '../dump/dump-status.ts'
import { readFileName } from '../dump/file-name.ts'
import type { Run } from '../dump/run.ts'
import { SHARD_FILES_MAX, STATUS_JSON_BYTES_MAX } from '../limits.ts'

export interface StatusJob {
  readonly status: JobState
  /** Sorted names. */
  readonly files: readonly string[]
}

/** The exact text of STATUS.json of the shard that holds these files (names, not paths). */
export function statusJson(run: Run, fileNames: ReadonlySet<string>): string {
  return writeStatus(
    run.jobs.map((job) => [
      job.name,
      { status: job.state, files: job.files.filter((name) => fileNames.has(name)) },
    ]),
  )
}

/** Reads the text of a STATUS.json and holds it to the canonical form: one meaning, one text. Throws ShapeError. */
export const readStatusJson: Reader<ReadonlyMap<string, StatusJob>> = (value, path) => {
  if (typeof value !== 'string' || value.length > STATUS_JSON_BYTES_MAX) {
    throw new ShapeError(path, `text of at most ${STATUS_JSON_BYTES_MAX} characters`)
  }
  const parsed = parse(value, path)
  checkNames(parsed, path, isJobName)
  const jobs = map(parsed, path, JOBS_MAX, readStatusJob)
  if (writeStatus([...jobs]) !== value) throw new ShapeError(path, 'RFC 8785 JSON plus a line feed')
  return jobs
}

function parse(value: string, path: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    throw new ShapeError(path, 'JSON')
  }
}

const readStatusJob: Reader<StatusJob> = (value, path) => {
  const fields = record(value, path, ['status', 'files'])
  return {
    status: oneOf(fields.status, `${path}.status`, JOB_STATES),
    files: list(fields.files, `${path}.files`, SHARD_FILES_MAX, readFileName),
  }
}

function writeStatus(jobs: readonly (readonly [string, StatusJob])[]): string {
  // fromEntries defines own fields, whatever a job is called.
  const value = Object.fromEntries(
    jobs.map(([name, job]) => [name, { status: job.status, files: [...job.files].sort() }]),
  )
  return `${canonicalJson(value)}\n`
}

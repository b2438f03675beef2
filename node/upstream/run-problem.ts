/** What is wrong with a run of upstream's, in a closed set of words (docs/OPERATING.md lists them). */
import { ShapeError } from '../../protocol/codec/shape.ts'
import type { Run } from '../../protocol/dump/run.ts'
import type { Dataset } from '../../protocol/ids.ts'
import { OriginError } from '../ports.ts'
import type { NotReady } from './read-run.ts'

/**
 * NotReady: it is not taken now. `failed-jobs`, `files-missing`, `files-refused`: it is taken as what it is, and this is what it lacks.
 * `unreadable`: upstream's text was not what it should be, however often asked. `not-listed`: the exports cannot be found, since
 * folders are not listed there.
 */
export type RunProblemCode =
  | NotReady
  | 'failed-jobs'
  | 'files-missing'
  | 'files-refused'
  | 'unreadable'
  | 'upstream-failed'
  | 'not-listed'

export interface RunProblem {
  readonly dataset: Dataset
  /** Empty: of all of them. */
  readonly wiki: string
  readonly date: string
  readonly code: RunProblemCode
  readonly detail: string
  readonly atMs: number
}

export const WHY: Record<NotReady, string> = {
  'in-progress': 'upstream is still writing this run',
  abandoned: 'it says that it is still being written, but nobody has touched it for weeks',
  'not-settled-yet': 'its newest part was made too short a time ago',
  'digests-missing': 'upstream has not published a checksum for every file yet',
  'no-files': 'no finished job of it has files',
}

const NAMES_SHOWN = 5

/** What an ended run lacks. A run that is archived with failed jobs must not look like a whole one. */
export function flawsOf(run: Run, atMs: number): RunProblem[] {
  const { dataset, wiki, date } = run
  const failed = run.jobs.filter((job) => job.state === 'failed').map((job) => job.name)
  const refused = run.refused.map((one) => one.name)
  const flaw = (code: RunProblemCode, names: readonly string[], what: string): RunProblem[] =>
    names.length === 0
      ? []
      : [{ dataset, wiki, date, code, detail: `${names.length} ${what}: ${shown(names)}`, atMs }]
  return [
    ...flaw('failed-jobs', failed, `of ${run.jobs.length} jobs failed at Wikimedia`),
    ...flaw('files-missing', run.missing, 'files are listed by finished jobs, but not there'),
    ...flaw('files-refused', refused, 'files have a foreign name or two descriptions'),
  ]
}

/** Rethrows what is no problem of a single run. */
export function unread(error: unknown): Pick<RunProblem, 'code' | 'detail'> {
  if (error instanceof ShapeError) return { code: 'unreadable', detail: error.message }
  if (error instanceof OriginError && error.code !== 'aborted') {
    return { code: error.code === 'not-json' ? 'unreadable' : 'upstream-failed', detail: error.message }
  }
  throw error
}

function shown(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN
  return names.slice(0, NAMES_SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

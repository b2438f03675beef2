/**
 * Reads upstream and says which runs are settled (PROTOCOL 1, 9.1), for coordinators and for observers alike. One index.json a
 * round for all wikis; a run's own status is read only when the index shows one that is not known. Dates are data, not a calendar.
 */

import { type Glimpse, type ReadingBounds, runsToRead } from '../../protocol/catalog/runs-to-read.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { readDumpStatus } from '../../protocol/dump/dump-status.ts'
import { makeRun, settled } from '../../protocol/dump/run.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { type Clock, type Log, type Origin, OriginError } from '../ports.ts'
import { type NotReady, readUpstreamRun } from './read-run.ts'

/** Why a run is not in the catalog. `unreadable`: upstream's text was not what it should be, however often asked. */
export interface RunProblem {
  readonly wiki: string
  readonly date: string
  readonly code: NotReady | 'unreadable' | 'upstream-failed'
  readonly detail: string
  readonly atMs: number
}

export interface Discovery {
  /** The shards of each run of which something is not known. */
  readonly runs: readonly (readonly Shard[])[]
  readonly problems: readonly RunProblem[]
}

export interface DiscoverParts {
  readonly origin: Origin
  readonly clock: Clock
  readonly log: Log
  readonly settledAfterMs: number
}

/**
 * One round. `known` says of a shard, as index.json shows it, whether it is known already. Rejects with OriginError or ShapeError
 * when index.json itself cannot be read; problems of single runs are data.
 */
export async function discover(
  parts: DiscoverParts,
  known: (shard: Shard) => boolean,
  signal: AbortSignal,
  bounds: ReadingBounds = {},
): Promise<Discovery> {
  const { origin, clock, settledAfterMs } = parts
  const runs: (readonly Shard[])[] = []
  const problems: RunProblem[] = []
  const problem = (wiki: string, date: string, what: Pick<RunProblem, 'code' | 'detail'>) =>
    problems.push({ wiki, date, ...what, atMs: clock.wallMs() })
  const attempt = async <T>(wiki: string, date: string, act: () => T | Promise<T>): Promise<T | null> => {
    try {
      return await act()
    } catch (error) {
      problem(wiki, date, problemOf(error))
      return null
    }
  }
  const glimpses: Glimpse[] = []
  for (const [wiki, { date, status }] of await origin.index(signal)) {
    const glimpse = await attempt(wiki, date, () =>
      glance(wiki, date, status, clock.wallMs(), settledAfterMs),
    )
    if (glimpse === 'in-progress') problem(wiki, date, { code: glimpse, detail: WHY[glimpse] })
    else if (glimpse !== null) glimpses.push(glimpse)
  }
  for (const { wiki, date } of runsToRead(glimpses, known, bounds)) {
    const upstream = await attempt(wiki, date, () =>
      readUpstreamRun(origin, { wiki, date }, { nowMs: clock.wallMs(), settledAfterMs, signal }),
    )
    if (upstream === null) continue
    if (upstream.ready) runs.push(upstream.shards)
    else problem(wiki, date, { code: upstream.reason, detail: WHY[upstream.reason] })
  }
  return { runs, problems }
}

/** What index.json shows of a run. One that is not settled there, or has no files, is looked at itself. */
function glance(
  wiki: string,
  date: string,
  status: unknown,
  nowMs: number,
  settledAfterMs: number,
): Glimpse | 'in-progress' {
  const run = makeRun({ wiki, date }, readDumpStatus(status, `${wiki}/${date}`))
  if (run.state === 'in-progress') return 'in-progress'
  const shards = settled(run, nowMs, settledAfterMs) ? cutRun(run) : []
  return { wiki, date, updatedMs: run.newestUpdatedMs ?? 0, shards }
}

/** Rethrows what is no problem of a single run. */
function problemOf(error: unknown): Pick<RunProblem, 'code' | 'detail'> {
  if (error instanceof ShapeError) return { code: 'unreadable', detail: error.message }
  if (error instanceof OriginError && error.code !== 'aborted') {
    return { code: error.code === 'not-json' ? 'unreadable' : 'upstream-failed', detail: error.message }
  }
  throw error
}

const WHY: Record<NotReady, string> = {
  'in-progress': 'upstream is still writing this run',
  'not-settled-yet': 'its newest job ended too short a time ago',
  'digests-missing': 'upstream has not published a checksum for every file yet',
  'no-files': 'no finished job of it has files',
}

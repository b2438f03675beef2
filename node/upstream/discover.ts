/**
 * Reads upstream and says which runs are settled (PROTOCOL 1, 9.1), for coordinators and for observers alike. Dumps: one index.json a
 * round for all wikis; a run's own status is read only when the index shows one that is not known. Dates are data, not a calendar.
 */

import { type Glimpse, type ReadingBounds, runsToRead } from '../../protocol/catalog/runs-to-read.ts'
import { readDumpStatus } from '../../protocol/dump/dump-status.ts'
import { makeRun, type Run, settled } from '../../protocol/dump/run.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import type { RunName } from '../../protocol/shard/paths.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import type { Clock, Log, Origin } from '../ports.ts'
import { notReady, readUpstreamRun } from './read-run.ts'
import { flawsOf, type RunProblem, unread, WHY } from './run-problem.ts'

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
  /** Waited for between two wikis of the exports, which take many small requests. */
  readonly breathe?: (signal: AbortSignal) => Promise<void>
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
  const attempt = async <T>(run: RunName, act: () => T | Promise<T>): Promise<T | null> => {
    try {
      return await act()
    } catch (error) {
      problems.push({ ...run, ...unread(error), atMs: clock.wallMs() })
      return null
    }
  }
  const glimpses: Glimpse[] = []
  for (const [wiki, { date, status }] of await origin.index(signal)) {
    const name: RunName = { dataset: 'dumps', wiki, date }
    const run = await attempt(name, () => makeRun(name, readDumpStatus(status, `${wiki}/${date}`)))
    if (run === null) continue
    const nowMs = clock.wallMs()
    const reason = notReady(run, nowMs, settledAfterMs)
    if (reason === 'in-progress' || reason === 'abandoned') {
      problems.push({ ...name, code: reason, detail: WHY[reason], atMs: nowMs })
      continue
    }
    problems.push(...flawsOf(run, nowMs))
    const glimpse = await attempt(name, () => glance(run, nowMs, settledAfterMs))
    if (glimpse !== null) glimpses.push(glimpse)
  }
  for (const { dataset, wiki, date } of runsToRead(glimpses, known, bounds)) {
    const name: RunName = { dataset, wiki, date }
    const upstream = await attempt(name, () =>
      readUpstreamRun(origin, name, { nowMs: clock.wallMs(), settledAfterMs, signal }),
    )
    if (upstream === null) continue
    if (upstream.ready) runs.push(upstream.shards)
    else problems.push({ ...name, code: upstream.reason, detail: WHY[upstream.reason], atMs: clock.wallMs() })
  }
  return { runs, problems }
}

/** What index.json shows of a run. One that is not settled there, or has no files, is looked at itself. */
function glance(run: Run, nowMs: number, settledAfterMs: number): Glimpse {
  const { dataset, wiki, date } = run
  const shards = settled(run, nowMs, settledAfterMs) ? cutRun(run) : []
  return { dataset, wiki, date, updatedMs: run.newestUpdatedMs ?? 0, shards }
}

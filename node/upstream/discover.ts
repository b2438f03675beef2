/**
 * Reads upstream and says which runs are settled (PROTOCOL 9.1). One index.json a round for all wikis; a run's own status is
 * read only when the index shows a settled run that the catalog does not have. Dates are data, not a calendar.
 */

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
  readonly shards: readonly Shard[]
  readonly problems: readonly RunProblem[]
}

export interface DiscoverParts {
  readonly origin: Origin
  readonly clock: Clock
  readonly log: Log
  readonly settledAfterMs: number
}

/**
 * One round. `known` says whether the catalog has a shard already. Rejects with OriginError or ShapeError when index.json
 * itself cannot be read; problems of single runs are data.
 */
export async function discover(
  parts: DiscoverParts,
  known: (shard: Shard) => boolean,
  signal: AbortSignal,
): Promise<Discovery> {
  const { origin, clock, settledAfterMs } = parts
  const shards: Shard[] = []
  const problems: RunProblem[] = []
  for (const [wiki, { date, status }] of await origin.index(signal)) {
    const problem = (code: RunProblem['code'], detail: string) =>
      problems.push({ wiki, date, code, detail, atMs: clock.wallMs() })
    try {
      const run = makeRun({ wiki, date }, readDumpStatus(status, `${wiki}/${date}`))
      if (run.state === 'in-progress') {
        problem('in-progress', 'upstream is still writing this run')
        continue
      }
      if (settled(run, clock.wallMs(), settledAfterMs) && run.files.length > 0) {
        const cut = cutRun(run)
        if (cut.every(known)) continue
      }
      const upstream = await readUpstreamRun(
        origin,
        { wiki, date },
        { nowMs: clock.wallMs(), settledAfterMs, signal },
      )
      if (upstream.ready) shards.push(...upstream.shards.filter((shard) => !known(shard)))
      else problem(upstream.reason, WHY[upstream.reason])
    } catch (error) {
      if (error instanceof ShapeError) problem('unreadable', error.message)
      else if (error instanceof OriginError && error.code !== 'aborted') {
        problem(error.code === 'not-json' ? 'unreadable' : 'upstream-failed', error.message)
      } else throw error
    }
  }
  return { shards, problems }
}

const WHY: Record<NotReady, string> = {
  'in-progress': 'upstream is still writing this run',
  'not-settled-yet': 'its newest job ended too short a time ago',
  'digests-missing': 'upstream has not published a checksum for every file yet',
  'no-files': 'no finished job of it has files',
}

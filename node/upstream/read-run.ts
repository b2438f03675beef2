/** Our own reading of what upstream says of a run (PROTOCOL 1), as shards. Used by leads and coordinators alike. */
import { readChecksumText } from '../../protocol/dump/checksums.ts'
import { type DumpStatus, readDumpStatus } from '../../protocol/dump/dump-status.ts'
import { makeRun, type Run, settled } from '../../protocol/dump/run.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import type { Origin } from '../ports.ts'

/** Why a run gives no shards now. */
export type NotReady = 'in-progress' | 'not-settled-yet' | 'digests-missing' | 'no-files'

export type UpstreamRun =
  | { readonly ready: true; readonly run: Run; readonly shards: readonly Shard[] }
  | { readonly ready: false; readonly run: Run; readonly reason: NotReady }

/**
 * Reads dumpstatus.json, fills lagging digests from the checksum lists, and cuts. Rejects with OriginError, or ShapeError when
 * upstream's text is not what it should be. A file that upstream never hashed waits: see docs/PROTOCOL.md, 1.
 */
export async function readUpstreamRun(
  origin: Origin,
  name: { wiki: string; date: string },
  options: { nowMs: number; settledAfterMs: number; signal?: AbortSignal },
): Promise<UpstreamRun> {
  const { wiki, date } = name
  const status: DumpStatus = readDumpStatus(
    await origin.dumpStatus(wiki, date, options.signal),
    `${wiki}/${date}`,
  )
  const first = makeRun(name, status)
  if (first.state === 'in-progress') return { ready: false, run: first, reason: 'in-progress' }
  if (!settled(first, options.nowMs, options.settledAfterMs))
    return { ready: false, run: first, reason: 'not-settled-yet' }
  const run = hashed(first) ? first : makeRun(name, status, await readLists(origin, name, options.signal))
  if (run.files.length === 0) return { ready: false, run, reason: 'no-files' }
  if (!hashed(run)) return { ready: false, run, reason: 'digests-missing' }
  return { ready: true, run, shards: cutRun(run) }
}

/** The same shard as upstream gives it now, or null when it gives another or none. */
export async function readUpstreamShard(
  origin: Origin,
  shard: Shard,
  options: { nowMs: number; settledAfterMs: number; signal?: AbortSignal },
): Promise<Shard | null> {
  const upstream = await readUpstreamRun(origin, shard, options)
  return upstream.ready ? (upstream.shards.find((one) => one.key === shard.key) ?? null) : null
}

const hashed = (run: Run): boolean => run.files.every((file) => Object.keys(file.digests).length > 0)

async function readLists(
  origin: Origin,
  { wiki, date }: { wiki: string; date: string },
  signal?: AbortSignal,
) {
  const lists = []
  for (const algorithm of ['md5', 'sha1'] as const) {
    const text = await origin.checksums(wiki, date, algorithm, signal)
    if (text !== null) lists.push(readChecksumText(text, `${wiki}/${date} ${algorithm}sums`, algorithm))
  }
  return lists
}

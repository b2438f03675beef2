/** Our own reading of what upstream says of a run (PROTOCOL 1), as shards. Used by leads and coordinators alike. */
import { readChecksumText } from '../../protocol/dump/checksums.ts'
import { isExportDataset } from '../../protocol/dump/content-export.ts'
import { type DumpStatus, readDumpStatus } from '../../protocol/dump/dump-status.ts'
import { isAbandoned, makeRun, type Run, settled } from '../../protocol/dump/run.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import type { RunName } from '../../protocol/shard/paths.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import type { Origin } from '../ports.ts'
import { readExport, type SizesBySha256 } from './read-export.ts'

/** Why a run gives no shards now. `abandoned`: it says that it is in progress, and nobody has touched it for weeks. */
export type NotReady = 'in-progress' | 'abandoned' | 'not-settled-yet' | 'digests-missing' | 'no-files'

export type UpstreamRun =
  | { readonly ready: true; readonly run: Run; readonly shards: readonly Shard[] }
  | { readonly ready: false; readonly run: Run; readonly reason: NotReady }

export interface ReadOptions {
  readonly nowMs: number
  readonly settledAfterMs: number
  readonly signal?: AbortSignal | undefined
  /** Sizes of files of exports that are known; what is asked for is added. */
  readonly sizes?: SizesBySha256
}

/**
 * Dumps: reads dumpstatus.json, fills lagging digests from the checksum lists, and cuts. Exports: reads the two markers, asks for the
 * sizes, and cuts. Rejects with OriginError, or ShapeError when upstream's text is not what it should be. A file that upstream never
 * hashed waits: see docs/PROTOCOL.md, 1.
 */
export async function readUpstreamRun(
  origin: Origin,
  name: RunName,
  options: ReadOptions,
): Promise<UpstreamRun> {
  const { nowMs, settledAfterMs, signal } = options
  const { wiki, date } = name
  const isExport = isExportDataset(name.dataset)
  const source = isExport
    ? await readExport(origin, name, signal)
    : readDumpStatus(await origin.dumpStatus(wiki, date, signal), `${wiki}/${date}`)
  const first = 'jobs' in source ? makeRun(name, source) : source.first
  const reason = notReady(first, nowMs, settledAfterMs)
  if (reason !== null) return { ready: false, run: first, reason }
  const run =
    'jobs' in source
      ? await withLists(origin, name, source, first, signal)
      : await source.whole(options.sizes ?? new Map())
  if (run.files.length === 0) return { ready: false, run, reason: 'no-files' }
  if (!hashed(run)) return { ready: false, run, reason: 'digests-missing' }
  return { ready: true, run, shards: cutRun(run) }
}

/** Why a run is not read to its end now, by its jobs and the clock; null: it is settled. */
export function notReady(run: Run, nowMs: number, settledAfterMs: number): NotReady | null {
  if (isAbandoned(run, nowMs)) return 'abandoned'
  if (run.state === 'in-progress') return 'in-progress'
  return settled(run, nowMs, settledAfterMs) ? null : 'not-settled-yet'
}

/** The same shard as upstream gives it now, or null when it gives another or none. */
export async function readUpstreamShard(
  origin: Origin,
  shard: Shard,
  options: ReadOptions,
): Promise<Shard | null> {
  const upstream = await readUpstreamRun(origin, shard, options)
  return upstream.ready ? (upstream.shards.find((one) => one.key === shard.key) ?? null) : null
}

async function withLists(
  origin: Origin,
  name: RunName,
  status: DumpStatus,
  first: Run,
  signal: AbortSignal | undefined,
): Promise<Run> {
  return hashed(first) ? first : makeRun(name, status, await readLists(origin, name, signal))
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

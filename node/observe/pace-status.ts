/** What a node's status says of how it fetches: limits, pauses, and sources that gave wrong bytes. Pure. */
import { parseShardKey } from '../../protocol/ids.ts'
import type { PauseReason } from '../pace/gate.ts'
import type { BadSource } from '../sources/web-files.ts'
import type { Problem } from './status.ts'

/** What the volunteer wants of fetching, and whether it waits for that now. */
export interface PaceStatus {
  readonly pausedBy: PauseReason | null
  readonly pausedFetches: number
  readonly webLimitBytesPerSecond: number | null
  /** Of local time: `08:00-18:00`. */
  readonly quietHours: readonly string[]
  readonly monthUsedBytes: number
  readonly monthlyBudgetBytes: number | null
}

/** Quiet hours are as the volunteer wants it; the other two wait for somebody. */
export function paused({ pace, nowMs }: { pace: PaceStatus; nowMs: number }): Problem[] {
  const { pausedBy, pausedFetches } = pace
  if (pausedBy === null || pausedBy === 'quiet-hours') return []
  const detail =
    pausedBy === 'disk-full'
      ? `${pausedFetches} fetches wait until the disk has room; they go on by themselves.`
      : `${pausedFetches} fetches wait for the next month: the budget is used up.`
  return [{ shard: null, code: pausedBy, detail, files: [], atMs: nowMs, resolvedAtMs: null }]
}

/** It was dropped for that file, and the bytes are asked for elsewhere. */
export function badSource({ source, shard, path, atMs }: BadSource): Problem {
  const detail = `${source} gave bytes that are not Wikimedia's.`
  const { id } = parseShardKey(shard)
  return { shard: id, code: 'bad-source', detail, files: [path], atMs, resolvedAtMs: atMs }
}

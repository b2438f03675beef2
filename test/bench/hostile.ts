/**
 * What hostile peers cost the others: one honest peer takes a torrent again and again, first alone, then while a process of
 * hostile ones does its worst to the same seed. All share this machine's processors, which makes it harder than it is over a line.
 */
import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { infohashOf } from '../../protocol/torrent/info.ts'
import type { HostileTask } from '../support/hostile-child.ts'
import { leech } from '../support/leecher.ts'
import { makeShards } from '../support/many-shards.ts'
import { startChild } from '../support/seeding-process.ts'
import type { Bench, Measure } from './bench.ts'

const MIB = 1024 ** 2
const RUNS = 7
/** Long enough that every trick is under way. */
const ATTACK_MS = 15_000

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** MiB a second, median. */
async function speed(port: number, info: Uint8Array): Promise<number> {
  const speeds: number[] = []
  for (let i = 0; i < RUNS; i++) {
    const { bytes, ms } = await leech(port, info, 120_000)
    speeds.push(bytes / MIB / (ms / 1_000))
  }
  return speeds.sort((a, b) => a - b)[RUNS >> 1] ?? 0
}

async function run(): Promise<Measure[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'wikiseed-hostile-'))
  try {
    const [info] = await makeShards(dataDir, { shards: 1, files: 4, sizeBytes: 16 * MIB })
    if (info === undefined) throw new Error('no shard')
    const child = await startChild({ dataDir, trackers: [] })
    await speed(child.port, info) // everything is compiled then
    const earlier = await speed(child.port, info)
    const before = await child.cost()
    const task: HostileTask = { port: child.port, infohash: infohashOf(info) }
    const hostile = fork(new URL('../support/hostile-child.ts', import.meta.url), [JSON.stringify(task)], {
      execArgv: [],
    })
    await new Promise((resolve) => hostile.once('message', resolve))
    const startMs = performance.now()
    await pause(ATTACK_MS)
    const during = await child.cost()
    const elapsedMs = performance.now() - startMs
    const amid = await speed(child.port, info)
    const after = await child.cost()
    const gone = new Promise((resolve) => hostile.once('exit', resolve))
    hostile.disconnect()
    await gone
    // What else runs on this machine changes meanwhile: the better of before and after counts.
    const alone = Math.max(earlier, await speed(child.port, info))
    await child.stop()
    const of = (what: string, value: number, unit: string): Measure => ({ what, value, unit })
    return [
      of('an honest peer alone', alone, 'MiB/s'),
      of('... among hostile ones', amid, 'MiB/s'),
      of('... as a share (goal >= 0.8)', amid / alone, 'times'),
      of('resident memory before', before.rssBytes / MIB, 'MiB'),
      of('... during and after', Math.max(during.rssBytes, after.rssBytes) / MIB, 'MiB'),
      of('processor that hostile peers alone cost', (100 * (during.cpuMs - before.cpuMs)) / elapsedMs, '%'),
      of('open descriptors', Math.max(during.openFiles, after.openFiles), 'files'),
    ]
  } finally {
    await rm(dataDir, { recursive: true })
  }
}

export const bench: Bench = { group: 'shards', run }

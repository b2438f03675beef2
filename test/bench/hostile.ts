/**
 * What hostile peers cost the others: one honest peer takes a torrent again and again, alone, while a process of hostile ones does
 * its worst to the same seed, and, as a control, while the same process does it to a sink that only hangs up. All share
 * this machine's processors: the control says what the attacker takes from the honest peer by running at all. In turn, medians
 * of pairs. WIKISEED_BENCH_RUNS (5) says how often.
 */
import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { infohashOf } from '../../protocol/torrent/info.ts'
import type { HostileTask } from '../support/hostile-child.ts'
import { leech } from '../support/leecher.ts'
import { makeShards } from '../support/many-shards.ts'
import { type Child, startChild } from '../support/seeding-process.ts'
import type { Bench, Measure } from './bench.ts'

const MIB = 1024 ** 2
const RUNS = Number(process.env.WIKISEED_BENCH_RUNS ?? 5)
/** Transfers of a run under one condition. */
const TRANSFERS = 7
/** Long enough that every trick is under way, and the first are hung up on for their silence. */
const ATTACK_MS = 12_000

const SINK = new URL('../support/sink-child.ts', import.meta.url)
const HOSTILE = new URL('../support/hostile-child.ts', import.meta.url)

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

interface Served {
  readonly mibPerSecond: number
  /** Of the seed's process, for each GiB that the honest peer got. */
  readonly cpuMsPerGib: number
}

async function serve(child: Child, info: Uint8Array): Promise<Served> {
  const before = await child.cost()
  const speeds: number[] = []
  let bytes = 0
  for (let i = 0; i < TRANSFERS; i++) {
    const leeched = await leech(child.port, info, 120_000)
    speeds.push(leeched.bytes / MIB / (leeched.ms / 1_000))
    bytes += leeched.bytes
  }
  const { cpuMs } = await child.cost()
  return { mibPerSecond: median(speeds), cpuMsPerGib: ((cpuMs - before.cpuMs) * 1_024 * MIB) / bytes }
}

/** A process of its own; resolves at its first message. It ends with its channel. */
async function start<T>(script: URL, ...args: string[]): Promise<{ first: T; end(): Promise<void> }> {
  const child = fork(script, args, { execArgv: [] })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const first = await new Promise<T>((resolve) => child.once('message', (said) => resolve(said as T)))
  return {
    first,
    end: () => {
      child.disconnect()
      return gone
    },
  }
}

async function run(): Promise<Measure[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'wikiseed-hostile-'))
  const sink = await start<number>(SINK)
  try {
    const {
      infos: [info],
    } = await makeShards(dataDir, { shards: 1, files: 4, sizeBytes: 16 * MIB })
    if (info === undefined) throw new Error('no shard')
    const child = await startChild({ dataDir, trackers: [] })
    await serve(child, info) // everything is compiled then
    const idle = await child.cost()
    const most = { rssBytes: 0, openFiles: 0 }
    const attackCpu: number[] = []
    const attacked = async (port: number): Promise<Served> => {
      const task: HostileTask = { port, infohash: infohashOf(info) }
      const hostile = await start(HOSTILE, JSON.stringify(task))
      const before = await child.cost()
      const startMs = performance.now()
      await pause(ATTACK_MS)
      const during = await child.cost()
      if (port === child.port)
        attackCpu.push((100 * (during.cpuMs - before.cpuMs)) / (performance.now() - startMs))
      const served = await serve(child, info)
      const after = await child.cost()
      most.rssBytes = Math.max(most.rssBytes, during.rssBytes, after.rssBytes)
      most.openFiles = Math.max(most.openFiles, during.openFiles, after.openFiles)
      await hostile.end()
      return served
    }
    const runs: Record<'alone' | 'control' | 'amid', Served>[] = []
    for (let i = 0; i < RUNS; i++) {
      runs.push({
        alone: await serve(child, info),
        control: await attacked(sink.first),
        amid: await attacked(child.port),
      })
    }
    await child.stop()
    const of = (what: string, value: number, unit: string, goal?: string): Measure => ({
      what,
      value,
      unit,
      ...(goal === undefined ? {} : { goal }),
    })
    const speed = (of: 'alone' | 'control' | 'amid') => median(runs.map((one) => one[of].mibPerSecond))
    const share = (of: 'alone' | 'control') =>
      median(runs.map((one) => one.amid.mibPerSecond / one[of].mibPerSecond))
    const cpu = (of: 'alone' | 'control' | 'amid') => median(runs.map((one) => one[of].cpuMsPerGib))
    return [
      of('an honest peer alone', speed('alone'), 'MiB/s'),
      of('... while hostile ones attack a sink', speed('control'), 'MiB/s'),
      of('... while they attack its seed', speed('amid'), 'MiB/s'),
      of('... as a share of alone', share('alone'), 'x', '>= 0.8'),
      of('... as a share of the attack on a sink', share('control'), 'x', '>= 0.8'),
      of('processor of the seed for a GiB, alone', cpu('alone'), 'ms'),
      of('... among hostile ones, theirs with it', cpu('amid'), 'ms'),
      of('processor that hostile peers alone cost', median(attackCpu), '%'),
      of('resident memory before', idle.rssBytes / MIB, 'MiB'),
      of('... during and after, the most', most.rssBytes / MIB, 'MiB'),
      of('open descriptors, the most', most.openFiles, 'files'),
    ]
  } finally {
    await sink.end()
    await rm(dataDir, { recursive: true })
  }
}

export const bench: Bench = { group: 'hostile', run }

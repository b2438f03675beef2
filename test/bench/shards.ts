/**
 * What 10,000 held shards of ten small files cost a node that seeds them, in a process of its own: at start, idle, and while
 * 1,000 of them are asked for one after the other by peers on loopback. `SHARDS=1000` makes it smaller.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bencode } from '../../protocol/codec/bencode.ts'
import { leech } from '../support/leecher.ts'
import { makeShards } from '../support/many-shards.ts'
import { type Child, startChild } from '../support/seeding-process.ts'
import type { Bench, Measure } from './bench.ts'

const SHARDS = Number(process.env.SHARDS ?? 10_000)
const SERVED = Math.min(1_000, SHARDS)
const IDLE_MS = 60_000
const MIB = 1024 ** 2

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** A tracker that asks for the usual half hour, in this process, and counts. */
async function startTracker(): Promise<{ url: string; readonly announces: number; close(): void }> {
  let announces = 0
  const answer = bencode({ interval: 1_800, complete: 1, incomplete: 0, peers: new Uint8Array() })
  const server = createServer((_, response) => {
    announces++
    response.end(answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/announce`,
    get announces() {
      return announces
    },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** The look at files that begins with the start is over: it costs more than announcing does. */
async function untilQuiet(child: Child): Promise<void> {
  for (let before = await child.cost(); ; ) {
    await pause(2_000)
    const after = await child.cost()
    if (after.cpuMs - before.cpuMs < 200) return
    before = after
  }
}

async function run(): Promise<Measure[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'wikiseed-shards-'))
  try {
    const infos = await makeShards(dataDir, { shards: SHARDS, files: 10, sizeBytes: 2_000 })
    const tracker = await startTracker()
    const child = await startChild({ dataDir, trackers: [tracker.url] })
    const atStart = performance.now()
    await untilQuiet(child)
    const lookMs = performance.now() - atStart
    const idle = await child.cost()
    const before = tracker.announces
    await pause(IDLE_MS)
    const later = await child.cost()
    const announced = tracker.announces

    const firstByteMs: number[] = []
    let engineRssBytesMax = 0
    let pssBytesMax = 0
    let openFilesMax = 0
    let awakeMax = 0
    const order = infos.map((info) => ({ info, at: Math.random() })).sort((a, b) => a.at - b.at)
    for (const { info } of order.slice(0, SERVED)) {
      firstByteMs.push((await leech(child.port, info)).firstByteMs)
      const { engineRssBytes, pssBytes, openFiles, awake } = await child.cost()
      engineRssBytesMax = Math.max(engineRssBytesMax, engineRssBytes)
      pssBytesMax = Math.max(pssBytesMax, pssBytes)
      openFilesMax = Math.max(openFilesMax, openFiles)
      awakeMax = Math.max(awakeMax, awake)
    }
    const end = await child.cost()
    await child.stop()
    tracker.close()
    firstByteMs.sort((a, b) => a - b)
    const of = (what: string, value: number, unit: string): Measure => ({ what, value, unit })
    return [
      of('shards held', later.seeds, 'shards'),
      of('... of them failed (goal 0)', end.failed, 'shards'),
      of('from the start of the process to listening (goal < 5,000)', child.startMs, 'ms'),
      of('... and until every file was looked at, within', lookMs, 'ms'),
      of('memory idle, shared pages counted once (goal < 300)', later.pssBytes / MIB, 'MiB'),
      of('... resident: the process with store and records', later.rssBytes / MIB, 'MiB'),
      of("... resident: its engine's", later.engineRssBytes / MIB, 'MiB'),
      of('processor, idle (goal < 2)', (100 * (later.cpuMs - idle.cpuMs)) / IDLE_MS, '%'),
      of('... while it announced to a tracker', (announced - before) / (IDLE_MS / 1_000), 'per second'),
      of('shards served one after the other', SERVED, 'shards'),
      of('first byte from a dormant shard, median', firstByteMs[SERVED >> 1] ?? 0, 'ms'),
      of('... 99th percentile (goal < 300)', firstByteMs[Math.floor(SERVED * 0.99)] ?? 0, 'ms'),
      of('... the slowest', firstByteMs.at(-1) ?? 0, 'ms'),
      of('memory after each was served, the most (goal < 300)', pssBytesMax / MIB, 'MiB'),
      of("... resident: the engine's process, the most", engineRssBytesMax / MIB, 'MiB'),
      of('... at the end, both', end.pssBytes / MIB, 'MiB'),
      of('open descriptors, the most (goal < 256)', openFilesMax, 'files'),
      of('awake at once, the most', awakeMax, 'shards'),
    ]
  } finally {
    await rm(dataDir, { recursive: true })
  }
}

export const bench: Bench = { group: 'shards', run }

/**
 * What 10,000 held shards of ten small files cost a node that seeds them, in processes of its own: at start, idle, and while
 * 1,000 of them are asked for one after the other by peers on loopback. First the store, the records and the engine alone, then
 * `wikiseed start` as a user runs it. `SHARDS=1000` makes it smaller.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bencode } from '../../protocol/codec/bencode.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import type { NodeCost } from '../support/clients/usage.ts'
import { leech } from '../support/leecher.ts'
import { makeShards } from '../support/many-shards.ts'
import { startChild } from '../support/seeding-process.ts'
import { foundFederation, startWholeNode } from '../support/whole-node.ts'
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

interface Seeder {
  readonly port: number
  /** From the start of the process to listening. */
  readonly startMs: number
  cost(): NodeCost | Promise<NodeCost>
}

/** What begins with the start is over, the look at files and what neighbours tell each other: it costs more than announcing does. */
async function untilQuiet(seeder: Seeder): Promise<void> {
  for (let before = await seeder.cost(); ; ) {
    await pause(2_000)
    const after = await seeder.cost()
    if (after.cpuMs - before.cpuMs < 200) return
    before = after
  }
}

async function measure(
  name: string,
  seeder: Seeder,
  infos: readonly Uint8Array[],
  tracker: { readonly announces: number },
): Promise<Measure[]> {
  const atStart = performance.now()
  await untilQuiet(seeder)
  const quietMs = performance.now() - atStart
  const idle = await seeder.cost()
  const before = tracker.announces
  await pause(IDLE_MS)
  const later = await seeder.cost()
  const announced = tracker.announces

  const firstByteMs: number[] = []
  const most = { engineRssBytes: 0, rssBytes: 0, pssBytes: 0, openFiles: 0 }
  const order = infos.map((info) => ({ info, at: Math.random() })).sort((a, b) => a.at - b.at)
  for (const { info } of order.slice(0, SERVED)) {
    firstByteMs.push((await leech(seeder.port, info)).firstByteMs)
    const cost = await seeder.cost()
    for (const key of Object.keys(most) as (keyof typeof most)[]) most[key] = Math.max(most[key], cost[key])
  }
  const end = await seeder.cost()
  firstByteMs.sort((a, b) => a - b)
  const of = (what: string, value: number, unit: string): Measure => ({
    what: `${name}: ${what}`,
    value,
    unit,
  })
  return [
    of('from the start of the process to listening (goal < 5,000)', seeder.startMs, 'ms'),
    of('... and until it was quiet, within', quietMs, 'ms'),
    of('memory idle, shared pages counted once (goal < 300)', later.pssBytes / MIB, 'MiB'),
    of('... resident: the process with store and records', later.rssBytes / MIB, 'MiB'),
    of("... resident: its engine's", later.engineRssBytes / MIB, 'MiB'),
    of('processor, idle (goal < 2)', (100 * (later.cpuMs - idle.cpuMs)) / IDLE_MS, '%'),
    of('... while it announced to a tracker', (announced - before) / (IDLE_MS / 1_000), 'per second'),
    of('shards served one after the other', SERVED, 'shards'),
    of('first byte from a dormant shard, median', firstByteMs[SERVED >> 1] ?? 0, 'ms'),
    of('... 99th percentile (goal < 300)', firstByteMs[Math.floor(SERVED * 0.99)] ?? 0, 'ms'),
    of('... the slowest', firstByteMs.at(-1) ?? 0, 'ms'),
    of('memory after each was served, the most (goal < 300)', most.pssBytes / MIB, 'MiB'),
    of('... resident: the process with store and records, the most', most.rssBytes / MIB, 'MiB'),
    of("... resident: its engine's, the most", most.engineRssBytes / MIB, 'MiB'),
    of('... at the end, both', end.pssBytes / MIB, 'MiB'),
    of('processor, for each that was served', (end.cpuMs - later.cpuMs) / SERVED, 'ms'),
    of('open descriptors, the most (goal < 256)', most.openFiles, 'files'),
  ]
}

async function run(): Promise<Measure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'wikiseed-shards-'))
  const dataDir = join(folder, 'data')
  const tracker = await startTracker()
  try {
    const { shards, infos } = await makeShards(dataDir, { shards: SHARDS, files: 10, sizeBytes: 2_000 })
    const [first, ...others] = shards
    if (first === undefined) throw new RangeError('no shards')
    const child = await startChild({ dataDir, trackers: [tracker.url] })
    const alone = await measure('engine and store', child, infos, tracker)
    const { seeds, failed } = await child.seeds()
    await child.stop()
    const whole = await measureWhole(folder, dataDir, [first, ...others], infos, tracker)
    return [
      { what: 'shards held', value: seeds, unit: 'shards' },
      { what: '... of them failed (goal 0)', value: failed, unit: 'shards' },
      ...alone,
      ...whole,
    ]
  } finally {
    tracker.close()
    await rm(folder, { recursive: true })
  }
}

async function measureWhole(
  folder: string,
  dataDir: string,
  shards: readonly [Shard, ...Shard[]],
  infos: readonly Uint8Array[],
  tracker: { readonly url: string; readonly announces: number },
): Promise<Measure[]> {
  const federation = await foundFederation(join(folder, 'federation'), dataDir, shards)
  try {
    // Once before: a node that ran has a record of its own in the store, and its code compiled.
    const before = await startWholeNode(dataDir, federation, [tracker.url])
    await untilQuiet(before)
    await before.stop()
    const node = await startWholeNode(dataDir, federation, [tracker.url])
    const rows = await measure('a whole node', node, infos, tracker)
    const { counts } = await node.status()
    await node.stop()
    const held = { what: 'a whole node: shards held', value: counts.held, unit: 'shards' }
    return [held, ...rows]
  } finally {
    await federation.neighbour.stop()
  }
}

export const bench: Bench = { group: 'shards', run }

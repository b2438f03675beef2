/**
 * A process that fetches, made to be killed: the node's own store, origin client, staging, hashing threads and fetcher, without the
 * network. Its journal is the node's: claims and replicas in the store, side files beside what is on its way. It takes what the core
 * would claim as given: every run that it is told, one shard after the other.
 */
import { mkdir } from 'node:fs/promises'
import { diskSpace } from '../../node/files/disk.ts'
import { layoutOf } from '../../node/files/layout.ts'
import { createOrigin } from '../../node/origin/origin.ts'
import { sleep } from '../../node/origin/pace.ts'
import { Budget } from '../../node/pace/budget.ts'
import { FetchGate } from '../../node/pace/gate.ts'
import type { TorrentEngine } from '../../node/ports.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { WebFiles } from '../../node/sources/web-files.ts'
import { KeptStore } from '../../node/store/kept.ts'
import { openLevelStore } from '../../node/store/level-store.ts'
import { ShardFetcher } from '../../node/transfer/fetch-shard.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { ShardFiles } from '../../node/transfer/shard-files.ts'
import { readUpstreamRun } from '../../node/upstream/read-run.ts'
import { parseRunId, type RunId } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { keptOf, type OwnRow, ownRow } from './kept.ts'

export interface ChildTask {
  readonly dataDir: string
  readonly originUrl: string
  readonly runs: readonly string[]
  /** The process ends itself, as by kill -9, when it comes to this step for the n-th time. */
  readonly killAt: { readonly step: string; readonly count: number } | null
}

const SETTLED_AFTER_MS = 1_000

async function main({ dataDir, originUrl, runs, killAt }: ChildTask): Promise<void> {
  let left = killAt?.count ?? 0
  const onStep = (step: string): void => {
    if (step === 'chunk') process.stdout.write('.')
    if (step !== killAt?.step || --left > 0) return
    process.kill(process.pid, 'SIGKILL')
  }
  const layout = layoutOf(dataDir)
  for (const folder of [layout.mirror, layout.staging, layout.torrents])
    await mkdir(folder, { recursive: true })
  const store = await openLevelStore(layout.store, layout.root)
  const clock = systemClock
  const hasher = new WorkerHasher()
  const origin = createOrigin({
    baseUrl: originUrl,
    contact: 'kills@example.org',
    version: '0.1.0',
    nodeId: 'kills',
    clock,
    random: Math.random,
    backoffBaseMs: 20,
    backoffMaxMs: 100,
    retryAfterMaxMs: 50,
    retriesMax: 20,
    // Small files come to this step too.
    syncEveryBytes: 100_000,
    onStep,
  })
  const files = new ShardFiles(layout, onStep)
  // What is seeded is tested elsewhere: here it only takes its place among the steps.
  const engine = { remove: async () => {} } as unknown as TorrentEngine
  const log = silentLog
  const budget = await Budget.open({ store, clock, log }, null)
  const freeBytes = async () => (await diskSpace(layout.staging)).freeBytes
  const sources = { mirrors: [], archiveUrl: null, originLabel: origin.label }
  const isArchived = () => false
  const fetcher = new ShardFetcher({
    files,
    origin,
    web: new WebFiles({ origin, sources, isArchived, clock, log }),
    gate: new FetchGate({ clock, sleep, log, freeBytes, quiet: [], budget }),
    isArchived,
    engine,
    hasher,
    clock,
    settledAfterMs: () => SETTLED_AFTER_MS,
    mustReadFirst: () => false,
    structureAlways: false,
    found: () => {},
    hold: async () => onStep('seeded'),
    onStep,
  })

  const keptStore = new KeptStore(store)
  let kept = await keptStore.load()
  if (kept === null) {
    const shards: Shard[] = []
    for (const run of runs) {
      const options = { nowMs: clock.wallMs(), settledAfterMs: SETTLED_AFTER_MS }
      const upstream = await readUpstreamRun(origin, parseRunId(run as RunId), options)
      if (!upstream.ready) throw new Error(`${run}: ${upstream.reason}`)
      shards.push(...upstream.shards)
    }
    kept = keptOf(shards.map((shard) => ownRow(shard)))
    await keptStore.save(kept)
    onStep('claimed')
  }
  const claimed = kept.own.filter((row) => row.state === 'claimed').map((row) => row.shard)
  await files.sweep(claimed)
  process.stdout.write('ready\n')
  for (const shard of claimed) {
    const signal = new AbortController().signal
    const fetched = await fetcher.fetch(shard, { kind: 'origin' }, { onProgress: () => {}, signal })
    const own: OwnRow[] = kept.own.map(
      (row): OwnRow =>
        row.shard.key === shard.key ? { ...row, state: 'held', infohash: fetched.infohash } : row,
    )
    kept = { ...kept, own }
    await keptStore.save(kept)
    onStep('held')
  }
  await origin.close()
  await budget.close()
  await hasher.close()
  await store.close()
}

await main(JSON.parse(process.argv[2] ?? '') as ChildTask)

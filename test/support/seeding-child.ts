/**
 * A process that holds shards and seeds them: a node's store, kept state, own copies and engine, without the network. Its
 * parent asks it over IPC what it costs.
 */
import { layoutOf } from '../../node/files/layout.ts'
import { boundGarbage } from '../../node/memory.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { OwnCopies } from '../../node/runtime/own-copies.ts'
import { HeldFiles } from '../../node/store/held-files.ts'
import { KeptStore } from '../../node/store/kept.ts'
import { openLevelStore } from '../../node/store/level-store.ts'
import { EngineProcess } from '../../node/transfer/engine-process.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { ShardFiles } from '../../node/transfer/shard-files.ts'
import type { CoreState } from '../../protocol/core/state.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { costOf, type NodeCost } from './clients/usage.ts'

export interface SeedingTask {
  readonly dataDir: string
  readonly trackers: readonly string[]
}

/** What it says when it listens. */
export interface Listening {
  readonly port: number
  /** Since the process began. */
  readonly startMs: number
}

/** What its parent asks for. */
export type Question = 'cost' | 'seeds' | 'stop'

export interface SeedCounts {
  readonly seeds: number
  readonly failed: number
}

async function main({ dataDir, trackers }: SeedingTask): Promise<void> {
  boundGarbage()
  const layout = layoutOf(dataDir)
  const store = await openLevelStore(layout.store, layout.root)
  const kept = await new KeptStore(store).load()
  const own = new Map((kept?.own ?? []).map((one) => [one.shard.key, one]))
  const engine = new EngineProcess({ port: 0, trackers, log: silentLog })
  const copies = new OwnCopies({
    state: { own } as unknown as CoreState,
    files: new ShardFiles(layout),
    held: await HeldFiles.open(store, silentLog),
    engine,
    hasher: new WorkerHasher(),
    clock: systemClock,
    log: silentLog,
    dispatch: () => {},
  })
  await engine.start()
  await copies.resume()
  process.send?.({ port: engine.port, startMs: performance.now() } satisfies Listening)
  process.on('message', async (message: Question) => {
    if (message === 'stop') {
      void copies
        .stop()
        .then(() => engine.stop())
        .then(() => store.close())
        .then(() => process.exit(0))
      return
    }
    if (message === 'cost')
      return void process.send?.(costOf(process.pid, engine.processId ?? Number.NaN) satisfies NodeCost)
    const stats = await engine.stats()
    const failed = stats.filter((seed) => seed.state === 'failed').length
    process.send?.({ seeds: stats.length, failed } satisfies SeedCounts)
  })
}

const [, , task] = process.argv
await main(JSON.parse(task ?? '{}') as SeedingTask)

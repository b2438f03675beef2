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
import { cpuSeconds, memoryOf, openFiles } from './clients/usage.ts'

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

export interface Cost {
  /** Of the process with store and records. */
  readonly rssBytes: number
  readonly engineRssBytes: number
  /** Of both, what they share counted once. */
  readonly pssBytes: number
  readonly openFiles: number
  /** Of the processor, user and system, since both began. */
  readonly cpuMs: number
  readonly awake: number
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
  process.on('message', async (message) => {
    if (message === 'stop') {
      void copies
        .stop()
        .then(() => engine.stop())
        .then(() => store.close())
        .then(() => process.exit(0))
      return
    }
    const pids = [process.pid, engine.processId ?? Number.NaN]
    const [own, engines] = pids.map(memoryOf)
    const sum = (of: (pid: number) => number) => pids.reduce((total, pid) => total + of(pid), 0)
    const stats = await engine.stats()
    process.send?.({
      rssBytes: own?.rssBytes ?? 0,
      engineRssBytes: engines?.rssBytes ?? 0,
      pssBytes: (own?.pssBytes ?? 0) + (engines?.pssBytes ?? 0),
      openFiles: sum(openFiles),
      cpuMs: sum(cpuSeconds) * 1_000,
      awake: stats.filter((seed) => seed.dormant === false).length,
      seeds: stats.length,
      failed: stats.filter((seed) => seed.state === 'failed').length,
    } satisfies Cost)
  })
}

const [, , task] = process.argv
await main(JSON.parse(task ?? '{}') as SeedingTask)

/** The node's fetcher over a folder of its own, with the real origin client, staging and hashing threads; the engine is none unless given. */
import { mkdirSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { layoutOf } from '../../node/files/layout.ts'
import { createOrigin, type OriginOptions } from '../../node/origin/origin.ts'
import type { Sleep } from '../../node/origin/pace.ts'
import { sleep as timerSleep } from '../../node/origin/pace.ts'
import { Budget } from '../../node/pace/budget.ts'
import { FetchGate } from '../../node/pace/gate.ts'
import type { QuietWindow } from '../../node/pace/quiet-hours.ts'
import type { Clock, Origin, TorrentEngine } from '../../node/ports.ts'
import { WebFiles } from '../../node/sources/web-files.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { ShardFetcher } from '../../node/transfer/fetch-shard.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { ShardFiles } from '../../node/transfer/shard-files.ts'
import type { ShardKey } from '../../protocol/ids.ts'
import { silentLog } from '../conformance/silent-log.ts'

export interface TestFetcherOptions {
  readonly originUrl: string
  readonly mirrors?: readonly string[]
  readonly archiveUrl?: string | null
  readonly isArchived?: (shard: ShardKey) => boolean
  readonly freeBytes?: () => Promise<number>
  readonly quiet?: readonly QuietWindow[]
  readonly budgetBytes?: number | null
  readonly clock?: Clock
  readonly gateSleep?: Sleep
  readonly origin?: Partial<OriginOptions>
  /** Stands before the origin client, to make it fail. */
  readonly wrap?: (origin: Origin) => Origin
  readonly engine?: TorrentEngine
  /** An earlier fetcher's folder. @default one of its own */
  readonly dataDir?: string
}

export const realClock: Clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() }

export async function makeFetcher(options: TestFetcherOptions) {
  const { clock = realClock, gateSleep = timerSleep } = options
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'wikiseed-fetcher-'))
  const layout = layoutOf(dataDir)
  for (const folder of [layout.mirror, layout.staging, layout.torrents])
    mkdirSync(folder, { recursive: true })
  const plain = createOrigin({
    baseUrl: options.originUrl,
    contact: 'test@example.org',
    version: '0.1.0',
    nodeId: 'fetcher',
    clock: realClock,
    random: () => 0.5,
    backoffBaseMs: 5,
    backoffMaxMs: 50,
    retryAfterMaxMs: 20,
    requestTimeoutMs: 5_000,
    redirectHosts: ['*.archive.org'],
    ...options.origin,
  })
  const origin = options.wrap?.(plain) ?? plain
  const hasher = new WorkerHasher()
  const log = silentLog
  const budget = await Budget.open({ store: createMemoryStore(), clock, log }, options.budgetBytes ?? null)
  const gate = new FetchGate({
    clock,
    sleep: gateSleep,
    log,
    freeBytes: options.freeBytes ?? (async () => 1e15),
    quiet: options.quiet ?? [],
    budget,
  })
  const isArchived = options.isArchived ?? (() => false)
  const web = new WebFiles({
    origin,
    sources: {
      mirrors: options.mirrors ?? [],
      archiveUrl: options.archiveUrl ?? null,
      originLabel: origin.label,
    },
    isArchived,
    clock: realClock,
    log,
  })
  const files = new ShardFiles(layout)
  const none = { remove: async () => {}, seed: async () => {} } as unknown as TorrentEngine
  const engine = options.engine ?? none
  const fetcher = new ShardFetcher({
    files,
    origin,
    web,
    gate,
    engine,
    hasher,
    clock: realClock,
    settledAfterMs: () => 1_000,
    mustReadFirst: () => false,
    structureAlways: false,
    found: () => {},
    isArchived,
    hold: async () => {},
  })
  return {
    dataDir,
    layout,
    origin,
    fetcher,
    files,
    web,
    gate,
    budget,
    close: async () => {
      await origin.close()
      await hasher.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

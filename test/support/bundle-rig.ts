/** A coordinator as far as bundles go: real runs in a mirror, its own copies, a real engine, and no network but BitTorrent. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BundleLoop, type BundleLoopParts } from '../../coordinator/bundle-loop.ts'
import { type Layout, layoutOf } from '../../node/files/layout.ts'
import type { Pace } from '../../node/pace/pacer.ts'
import type { Store, TorrentEngine } from '../../node/ports.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { OwnCopies } from '../../node/runtime/own-copies.ts'
import { HeldFiles } from '../../node/store/held-files.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { EngineProcess } from '../../node/transfer/engine-process.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { ShardFiles } from '../../node/transfer/shard-files.ts'
import type { Event } from '../../protocol/core/event.ts'
import type { CoreState } from '../../protocol/core/state.ts'
import type { ShardKey } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { type HeldShard, holdRun } from './published.ts'

interface OwnShard {
  readonly shard: Shard
  readonly infohash: HeldShard['merged']['infohash']
  state: 'claimed' | 'held'
}

export interface BundleRig {
  readonly layout: Layout
  readonly loop: BundleLoop
  readonly engine: TorrentEngine
  readonly held: readonly HeldShard[]
  /** The shards that the catalog names. */
  readonly named: Map<ShardKey, Shard>
  readonly own: Map<ShardKey, OwnShard>
  /** What the core was told. A damaged shard is under repair from then on, as the core would have it. */
  readonly events: Event[]
  /** Bytes that bundles were made of. */
  readBytes(): number
  /** Unix ms when the merge accepted a shard. */
  readonly acceptedAtMs: Map<ShardKey, number>
  /** The same folder and store after a restart. */
  again(): Promise<BundleLoop>
  close(): Promise<void>
}

export interface BundleRigOptions {
  readonly quietMs?: number
  /** What seeds instead of our own engine, given that and the data folder. */
  readonly outside?: (own: TorrentEngine, dataDir: string) => TorrentEngine
}

export async function bundleRig(runs: readonly string[], options: BundleRigOptions = {}): Promise<BundleRig> {
  const root = await mkdtemp(join(tmpdir(), 'wikiseed-bundles-'))
  const layout = layoutOf(root)
  await mkdir(layout.torrents, { recursive: true })
  const ours = new EngineProcess({ host: '127.0.0.1', port: 0, log: silentLog })
  const engine = options.outside?.(ours, root) ?? ours
  await engine.start()
  const hasher = new WorkerHasher({ teamsMax: 1 })
  const store: Store = createMemoryStore()
  const files = new ShardFiles(layout)
  const own = new Map<ShardKey, OwnShard>()
  const named = new Map<ShardKey, Shard>()
  const state = { own, named } as unknown as CoreState
  const events: Event[] = []
  const copies = new OwnCopies({
    state,
    files,
    held: await HeldFiles.open(store, silentLog),
    engine,
    hasher,
    clock: systemClock,
    log: silentLog,
    dispatch: (event) => {
      events.push(event)
      const copy = event.kind === 'checked' ? own.get(event.shard) : undefined
      if (copy !== undefined && event.kind === 'checked' && event.damaged.length > 0) copy.state = 'claimed'
    },
  })
  const acceptedAtMs = new Map<ShardKey, number>()
  const held: HeldShard[] = []
  for (const run of runs) held.push(...(await holdRun(layout.mirror, run)))
  for (const { shard, merged } of held) {
    await writeFile(files.torrentPath(merged.infohash), merged.torrent)
    own.set(shard.key, { shard, infohash: merged.infohash, state: 'held' })
    named.set(shard.key, shard)
    acceptedAtMs.set(shard.key, Date.now() - 1_000)
    await copies.hold(shard, merged.infohash)
  }
  let readBytes = 0
  const pace: Pace = async (count) => {
    readBytes += count
  }
  const parts: BundleLoopParts = {
    state,
    engine,
    copies,
    files,
    folder: layout.bundles,
    store,
    acceptedAtMs: (key) => acceptedAtMs.get(key),
    quietMs: options.quietMs ?? 1,
    pace,
    clock: systemClock,
    log: silentLog,
  }
  return {
    layout,
    loop: await BundleLoop.open(parts),
    engine,
    held,
    named,
    own,
    events,
    readBytes: () => readBytes,
    acceptedAtMs,
    again: () => BundleLoop.open(parts),
    close: async () => {
      await copies.stop()
      await engine.stop()
      await hasher.close()
      await rm(root, { recursive: true, force: true })
    },
  }
}

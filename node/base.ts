/**
 * What every member of a federation runs, volunteer and coordinator alike: a data folder with its store, an identity, the
 * network, the BitTorrent engine, hashing threads and an origin client. Started in this order, stopped in reverse.
 */
import { mkdir } from 'node:fs/promises'
import type { FirstRoot } from '../protocol/manifest/root.ts'
import type { NodeConfig } from './config.ts'
import { startEngine } from './engines/start-engine.ts'
import { loadRoot } from './federation.ts'
import { diskSpace } from './files/disk.ts'
import { type Layout, layoutOf } from './files/layout.ts'
import { boundGarbage } from './memory.ts'
import { serveDialback } from './net/dialback.ts'
import { createIdentity, type HostIdentity, loadIdentity } from './net/identity.ts'
import { Libp2pNetwork } from './net/network.ts'
import { createLog } from './observe/log.ts'
import { createOrigin } from './origin/origin.ts'
import { sleep } from './origin/pace.ts'
import { Budget } from './pace/budget.ts'
import { FetchGate } from './pace/gate.ts'
import { createPacer, type Pace } from './pace/pacer.ts'
import type {
  Clock,
  EngineAbout,
  Hasher,
  Log,
  Network,
  Origin,
  Store,
  TorrentEngine,
  TorrentPeer,
} from './ports.ts'
import { systemClock } from './runtime/clock.ts'
import { openLevelStore } from './store/level-store.ts'
import { WorkerHasher } from './transfer/hasher.ts'
import { ShardFiles } from './transfer/shard-files.ts'
import { VERSION } from './version.ts'

export interface Base {
  readonly config: BaseConfig
  readonly root: FirstRoot
  readonly layout: Layout
  readonly identity: HostIdentity
  readonly store: Store
  readonly network: Network
  readonly engine: TorrentEngine
  /** Where others reach BitTorrent, to be told. */
  readonly endpoints: readonly TorrentPeer[]
  /** UDP port of the DHT; null: it does not run. */
  readonly dhtPort: number | null
  readonly engineAbout: () => EngineAbout
  readonly hasher: Hasher
  readonly origin: Origin
  readonly gate: FetchGate
  readonly budget: Budget
  readonly files: ShardFiles
  readonly clock: Clock
  readonly log: Log
  /** Stops everything that was started, last first. */
  close(): Promise<void>
}

/** The part of the configuration that volunteers and coordinators share. */
export type BaseConfig = Pick<
  NodeConfig,
  | 'dataDir'
  | 'rootPath'
  | 'peers'
  | 'originUrl'
  | 'contact'
  | 'mirrors'
  | 'archiveSite'
  | 'fromArchive'
  | 'webLimitBytesPerSecond'
  | 'quietHours'
  | 'monthlyBudgetBytes'
  | 'listen'
  | 'announceHost'
  | 'mapPorts'
  | 'relay'
  | 'bittorrent'
  | 'engine'
  | 'trackers'
  | 'dht'
  | 'lsd'
  | 'downloadLimitBytesPerSecond'
  | 'uploadLimitBytesPerSecond'
  | 'rereadLimitBytesPerSecond'
  | 'logLevel'
>

/** Rejects with an Error of one sentence: no root, a folder in use, a port in use, a disk too small. */
export async function startBase(config: BaseConfig, bytesWanted: number): Promise<Base> {
  boundGarbage()
  const stack: (() => Promise<void>)[] = []
  const close = async () => {
    for (const stop of stack.splice(0).reverse()) await stop()
  }
  try {
    const root = await loadRoot(config.rootPath)
    const layout = layoutOf(config.dataDir)
    for (const folder of [layout.mirror, layout.staging, layout.torrents, layout.log]) {
      await mkdir(folder, { recursive: true })
    }
    // The store's lock comes first: nothing else of a folder that another process uses is touched.
    const store = await openLevelStore(layout.store, layout.root)
    stack.push(() => store.close())
    await refuseSmallDisk(layout.root, bytesWanted)
    const identity = (await loadIdentity(layout.root)) ?? (await createIdentity(layout.root))
    const log = createLog({ level: config.logLevel, folder: layout.log }).child({
      node: identity.nodeId.slice(-8),
    })
    const clock = systemClock
    const hasher = new WorkerHasher()
    stack.push(() => hasher.close())
    const origin = createOrigin({
      baseUrl: config.originUrl,
      contact: config.contact,
      version: VERSION,
      nodeId: identity.nodeId,
      clock,
      random: Math.random,
      // The Archive sends who asks for a file to the machine that holds it.
      redirectHosts: ['archive.org', '*.archive.org'],
      ...paced(config),
      onPause: (host, ms) => log.warn({ host, ms }, 'a host asked for a pause'),
    })
    stack.push(() => origin.close())
    const budget = await Budget.open({ store, clock, log }, config.monthlyBudgetBytes)
    stack.push(() => budget.close())
    const gate = new FetchGate({
      clock,
      sleep,
      log,
      freeBytes: async () => (await diskSpace(layout.staging)).freeBytes,
      quiet: config.quietHours,
      budget,
    })
    const { engine, endpoints, dhtPort, about } = await startEngine(
      config,
      layout,
      log.child({ part: 'torrent' }),
    )
    stack.push(() => engine.stop())
    const network = new Libp2pNetwork({
      identity,
      federationId: root.federationId,
      listen: config.listen,
      remembered: [...config.peers, ...root.coordinators.flatMap((one) => one.multiaddrs)].filter(
        (address) => !address.endsWith(identity.nodeId),
      ),
      log: log.child({ part: 'net' }),
    })
    stack.push(() => network.stop())
    serveDialback(network)
    const files = new ShardFiles(layout)
    return {
      config,
      root,
      layout,
      identity,
      store,
      network,
      engine,
      endpoints,
      dhtPort,
      engineAbout: about,
      hasher,
      origin,
      gate,
      budget,
      files,
      clock,
      log,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Room that must stay free beside what the volunteer gives: the store and partial downloads live there too. */
const SPARE_BYTES = 64 * 1024 * 1024

async function refuseSmallDisk(folder: string, bytesWanted: number): Promise<void> {
  const { totalBytes } = await diskSpace(folder)
  if (bytesWanted + SPARE_BYTES <= totalBytes) return
  throw new Error(
    `the disk of ${folder} has ${gib(totalBytes)} in all, too small for a capacity of ${gib(bytesWanted)}; choose a smaller --capacity`,
  )
}

/** No cap is an absent option. */
function paced({ webLimitBytesPerSecond: limit }: BaseConfig): { pace?: Pace } {
  return limit === null ? {} : { pace: createPacer(limit, systemClock, sleep) }
}

const gib = (bytes: number): string => `${(bytes / 1024 ** 3).toFixed(1)} GiB`

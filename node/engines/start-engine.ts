/** From the configuration to a running engine: our own alone, or with another program that seeds. */
import { resolve } from 'node:path'
import type { BaseConfig } from '../base.ts'
import type { Layout } from '../files/layout.ts'
import type { EngineAbout, Log, TorrentEngine, TorrentPeer } from '../ports.ts'
import { EngineProcess } from '../transfer/engine-process.ts'
import type { WebTorrentEngineOptions } from '../transfer/torrent-client.ts'
import { VERSION } from '../version.ts'
import { OutsideEngine } from './outside-engine.ts'
import { QBittorrent } from './qbittorrent.ts'
import type { SeedClient } from './seed-client.ts'
import { Transmission } from './transmission.ts'

export interface StartedEngine {
  readonly engine: TorrentEngine
  /** Where others reach it, to be told: the seeds first. */
  readonly endpoints: readonly TorrentPeer[]
  /** UDP port of the DHT; null: it does not run. */
  readonly dhtPort: number | null
  readonly about: () => EngineAbout
}

/** Rejects with an Error of one sentence: a port in use, or a program that does not answer. */
export async function startEngine(config: BaseConfig, layout: Layout, log: Log): Promise<StartedEngine> {
  const { bittorrent, engine: choice } = config
  const own = new EngineProcess({
    host: bittorrent.host,
    port: bittorrent.port,
    // A program that seeds announces what it seeds by itself.
    ...(choice.kind === 'own' ? discovery(config, layout) : {}),
    ...(config.announceHost === null ? {} : { announceHost: config.announceHost }),
    ...limits(config),
    isDebug: config.logLevel === 'debug',
    log,
  })
  const host = config.announceHost ?? bittorrent.host
  if (choice.kind === 'own') {
    await own.start()
    const about = () => ({ name: 'own', version: VERSION, problem: own.problem })
    const { dht } = await own.discovery()
    return { engine: own, endpoints: [{ host, port: own.port }], dhtPort: dht.port, about }
  }
  const client: SeedClient =
    choice.kind === 'qbittorrent' ? new QBittorrent(choice) : new Transmission(choice)
  const from = resolve(config.dataDir)
  const engine = new OutsideEngine({ own, client, folders: { from, to: choice.folder ?? from }, log })
  await engine.start()
  // What seeds, and what fetches: a seed that cannot be dialled dials whoever fetches from it.
  const ports = [engine.port, own.port]
  const endpoints = ports.map((port) => ({ host, port }))
  return { engine, endpoints, dhtPort: null, about: () => engine.about }
}

/** No DHT is an absent option. */
function discovery(
  { trackers, dht, lsd }: BaseConfig,
  layout: Layout,
): Pick<WebTorrentEngineOptions, 'trackers' | 'dht' | 'lsd'> {
  return {
    trackers,
    lsd,
    ...(dht === null ? {} : { dht: { ...dht, nodesPath: layout.dht, nodes6Path: layout.dht6 } }),
  }
}

/** No limit is an absent option. */
function limits(config: BaseConfig): {
  downloadLimitBytesPerSecond?: number
  uploadLimitBytesPerSecond?: number
} {
  const { downloadLimitBytesPerSecond: down, uploadLimitBytesPerSecond: up } = config
  return {
    ...(down === null ? {} : { downloadLimitBytesPerSecond: down }),
    ...(up === null ? {} : { uploadLimitBytesPerSecond: up }),
  }
}

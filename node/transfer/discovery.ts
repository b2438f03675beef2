/** The places besides trackers where the engine announces: the DHT and the local network, each if it is wanted and makes sense. */
import type { Infohash } from '../../protocol/ids.ts'
import type { Discovery, DiscoveryStats, TorrentPeer } from '../ports.ts'
import type { AnnouncePlace } from './announce-place.ts'
import { Dht } from './dht.ts'
import { dhtOffBecause } from './dht-options.ts'
import { offStats } from './discovery-stats.ts'
import { Lsd } from './lsd.ts'
import type { WebTorrentEngineOptions } from './torrent-client.ts'

export interface RunningDiscovery {
  readonly places: readonly AnnouncePlace[]
  stats(): Discovery
  stop(): Promise<void>
}

/** Rejects with an Error of one plain sentence when a port is in use or forbidden. */
export async function startDiscovery(
  options: WebTorrentEngineOptions,
  onPeer: (infohashes: readonly Infohash[], peer: TorrentPeer) => void,
): Promise<RunningDiscovery> {
  const { host = '127.0.0.1', log } = options
  const around = { host, announceHost: options.announceHost ?? host, log }
  const dht = await startDht(options, around)
  const lsd = await startLsd(options, { host, log, onPeer })
  return {
    places: [dht, lsd].filter((one) => typeof one !== 'string'),
    stats: () => ({ dht: statsOf(dht), lsd: statsOf(lsd) }),
    stop: async () => {
      if (typeof dht !== 'string') await dht.stop()
      if (typeof lsd !== 'string') await lsd.stop()
    },
  }
}

/** Or why not, in words. */
async function startDht(
  { dht: options, port }: WebTorrentEngineOptions,
  around: Parameters<typeof Dht.start>[1],
): Promise<Dht | string> {
  if (options === undefined) return TURNED_OFF
  return dhtOffBecause(options, around) ?? Dht.start({ ...options, port: options.port ?? port }, around)
}

async function startLsd(
  { lsd: isWanted = false, log }: WebTorrentEngineOptions,
  options: Parameters<typeof Lsd.start>[0],
): Promise<Lsd | string> {
  if (!isWanted) return TURNED_OFF
  const off = Lsd.offBecause(options)
  if (off !== null) return off
  try {
    return await Lsd.start(options)
  } catch (error) {
    // A convenience of the local network; other programs of the machine may hold its one port for themselves.
    log?.warn({ error: String(error) }, 'no local service discovery')
    return error instanceof Error ? error.message : String(error)
  }
}

const TURNED_OFF = 'turned off'

const statsOf = (place: Dht | Lsd | string): DiscoveryStats =>
  typeof place === 'string' ? offStats(place) : place.stats()

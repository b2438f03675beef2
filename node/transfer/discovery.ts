/** The places besides trackers where the engine announces: the DHT and the local network, each if it is wanted and makes sense. */
import type { Infohash } from '../../protocol/ids.ts'
import type { Discovery, TorrentPeer } from '../ports.ts'
import type { AnnouncePlace } from './announce-place.ts'
import { Dht } from './dht.ts'
import type { Family } from './dht-addresses.ts'
import { dht6OffBecause, dhtOffBecause, type Surroundings } from './dht-options.ts'
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
  const off = dhtOff(options, around)
  const dht = await startDht(options, around, off)
  const lsd = await startLsd(options, { host, log, onPeer })
  return {
    places: [dht, lsd].filter((one) => one !== null && typeof one !== 'string'),
    stats: () => ({
      dht: dht === null || off.ipv4 !== null ? offStats(off.ipv4 ?? TURNED_OFF) : dht.stats('ipv4'),
      dht6: dht === null || off.ipv6 !== null ? offStats(off.ipv6 ?? TURNED_OFF) : dht.stats('ipv6'),
      lsd: typeof lsd === 'string' ? offStats(lsd) : lsd.stats(),
    }),
    stop: async () => {
      await dht?.stop()
      if (typeof lsd !== 'string') await lsd.stop()
    },
  }
}

/** Why a table does not run, in words; null: it does. */
type Off = Readonly<Record<Family, string | null>>

function dhtOff({ dht }: WebTorrentEngineOptions, around: Surroundings & { announceHost: string }): Off {
  if (dht === undefined) return { ipv4: TURNED_OFF, ipv6: TURNED_OFF }
  return { ipv4: dhtOffBecause(dht, around), ipv6: dht6OffBecause(dht, around) }
}

async function startDht(
  { dht: options, port }: WebTorrentEngineOptions,
  around: Surroundings,
  off: Off,
): Promise<Dht | null> {
  const families = FAMILIES.filter((family) => off[family] === null)
  if (options === undefined || families.length === 0) return null
  return Dht.start({ ...options, port: options.port ?? port }, around, families)
}

/** Or why not, in words. */
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
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6']

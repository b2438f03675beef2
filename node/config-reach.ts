/** What a volunteer can set about where a node listens, and how others get there. */
import { UserError } from './commands/user-error.ts'
import { isLoopback } from './net/addresses.ts'
import { list, orNull, port, type readSettings, type Settings, textLike, yesNo } from './settings.ts'

export interface ReachConfig {
  /** Multiaddrs. */
  readonly listen: readonly string[]
  /** Host by which others reach the BitTorrent port; null: the one it listens on. */
  readonly announceHost: string | null
  /** The home router is asked to forward the ports of libp2p and BitTorrent. */
  readonly mapPorts: boolean
  /** Requests are passed on for nodes that nobody can dial, or by others for this one. */
  readonly relay: boolean
  readonly bittorrent: { readonly host: string; readonly port: number }
}

export const multiaddr = textLike('a multiaddr such as /ip4/127.0.0.1/tcp/4811', (value) =>
  /^\/(ip4|ip6|dns|dns4|dns6)\/[^\s/]+\/(tcp|udp)\/\d{1,5}(\/[^\s]*)?$/.test(value),
)
const hostName = textLike('a host name or address', (value) => /^[0-9a-zA-Z.:_-]+$/.test(value))

/** Shared by volunteers and coordinators. */
export const REACH_SETTINGS = {
  listen: {
    value: '<multiaddr>',
    help: 'where other nodes can dial; /ip4/0.0.0.0/tcp/4811 for all networks',
    kind: list(multiaddr, 16),
    default: ['/ip4/127.0.0.1/tcp/4811'],
    repeat: true,
  },
  bittorrentHost: {
    value: '<host>',
    help: 'address that BitTorrent listens on',
    kind: hostName,
    default: '127.0.0.1',
  },
  bittorrentPort: {
    value: '<port>',
    help: 'port that BitTorrent listens on; 0 for any',
    kind: port,
    default: 6881,
  },
  announceHost: {
    value: '<host>',
    help: 'host under which others reach the BitTorrent port (default: the one it listens on)',
    kind: orNull(hostName),
    default: null,
  },
  mapPorts: {
    value: null,
    help: 'have the home router forward the ports of --listen, --bittorrent-port and the DHT, by NAT-PMP or UPnP',
    kind: yesNo,
    default: false,
  },
  relay: {
    value: null,
    help: 'pass no requests on to nodes that nobody can dial, and have none passed on to this one',
    kind: yesNo,
    default: true,
  },
} satisfies Settings

/** Throws UserError of one sentence. */
export function reachConfigOf(values: ReturnType<typeof readSettings<typeof REACH_SETTINGS>>): ReachConfig {
  const { listen, announceHost, mapPorts, relay, bittorrentHost, bittorrentPort } = values
  // `127.0.0.1` of `/ip4/127.0.0.1/tcp/4811`
  const hosts = [...listen.map((address) => address.split('/')[2] ?? ''), bittorrentHost]
  if (mapPorts && hosts.every(isLoopback))
    throw new UserError(
      '--map-ports: only this machine gets in; add --listen /ip4/0.0.0.0/tcp/4811 and --bittorrent-host 0.0.0.0',
    )
  return { listen, announceHost, mapPorts, relay, bittorrent: { host: bittorrentHost, port: bittorrentPort } }
}

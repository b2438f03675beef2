/** What a volunteer can set about how BitTorrent peers find each other: trackers, DHT, local network. */
import { list, orNull, port, type readSettings, type Settings, textLike, yesNo } from './settings.ts'
import { isTrackerUrl } from './transfer/tracker.ts'

export interface DiscoveryConfig {
  /** Announce URLs. */
  readonly trackers: readonly string[]
  /** null: not wanted. Whether it runs is also a matter of the address that others are told. */
  readonly dht: {
    /** `host:port` of those that are asked first. */
    readonly bootstrap: readonly string[]
    /** UDP; null: the number of the BitTorrent port. */
    readonly port: number | null
  } | null
  /** Local service discovery. */
  readonly lsd: boolean
}

const NO_TRACKER = 'none'
const tracker = textLike(
  'a tracker, http://host/announce or udp://host:port',
  (value) => value === NO_TRACKER || isTrackerUrl(value),
)
const router = textLike(
  'a host and a port such as router.bittorrent.com:6881 or [2001:db8::7]:6881',
  (value) => {
    const [, digits = ''] = /^(?:[0-9a-zA-Z._-]+|\[[0-9a-fA-F:]{2,39}\]):([0-9]{1,5})$/.exec(value) ?? []
    return Number(digits) > 0 && Number(digits) <= 65_535
  },
)

/** Shared by volunteers and coordinators. */
export const DISCOVERY_SETTINGS = {
  tracker: {
    value: '<url>',
    help: 'a BitTorrent tracker to announce to: http, https or udp with a port; none for no tracker',
    kind: list(tracker, 16),
    default: ['udp://tracker.opentrackr.org:1337/announce', 'udp://open.stealth.si:80/announce'],
    repeat: true,
  },
  dht: {
    value: null,
    help: "stay out of BitTorrent's DHT; without this it is used where others can reach the node",
    kind: yesNo,
    default: true,
  },
  dhtBootstrap: {
    value: '<host:port>',
    help: 'a node of the DHT that is asked first',
    kind: list(router, 16),
    default: ['router.bittorrent.com:6881', 'dht.transmissionbt.com:6881', 'router.utorrent.com:6881'],
    repeat: true,
  },
  dhtPort: {
    value: '<port>',
    help: 'UDP port of the DHT (default: the number of the BitTorrent port)',
    kind: orNull(port),
    default: null,
  },
  lsd: {
    value: null,
    help: 'do not announce to the local network; nothing is announced there by a node that listens on 127.0.0.1',
    kind: yesNo,
    default: true,
  },
} satisfies Settings

export function discoveryConfigOf(
  values: ReturnType<typeof readSettings<typeof DISCOVERY_SETTINGS>>,
): DiscoveryConfig {
  return {
    trackers: values.tracker.filter((one) => one !== NO_TRACKER),
    dht: values.dht ? { bootstrap: values.dhtBootstrap, port: values.dhtPort } : null,
    lsd: values.lsd,
  }
}

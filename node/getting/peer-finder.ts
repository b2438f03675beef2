/**
 * Who else has a torrent, for when the peers of a manifest do not answer. The DHT is asked as one that only reads (BEP 43). A tracker
 * names peers only to who says to be one: it is told so, although nobody can call us, and at the end that we are gone.
 */
import { randomBytes } from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Infohash } from '../../protocol/ids.ts'
import type { TorrentPeer } from '../ports.ts'
import { Dht } from '../transfer/dht.ts'
import { nodeOf } from '../transfer/dht-options.ts'
import { isPrivateHost } from '../transfer/told-hosts.ts'
import { announceTo } from '../transfer/tracker.ts'
import type { Announce } from '../transfer/tracker-answer.ts'

export interface PeerFinderOptions {
  /** `host:port` of those that are asked first; null: the DHT is not asked. */
  readonly bootstrap: readonly string[] | null
  /** Announce URLs. */
  readonly trackers: readonly string[]
}

export interface Search {
  /** Different ones that were named. */
  readonly peers: number
  /** Who did not answer, for people: `the DHT`, `tracker.example.org:1337`. */
  readonly silent: readonly string[]
}

/** Told to trackers by who cannot be called, here and elsewhere: RFC 863, discard. */
const NO_PORT = 9
/** Of one search, whoever answers. */
const SEARCH_MS_MAX = 60_000
/** Until somebody of a table answered. */
const ENTER_MS_MAX = 20_000
/** After one table had its look-up the other is waited for so long. */
const GRACE_MS = 3_000
/** All trackers together are told so long that we are gone. */
const LEAVE_MS_MAX = 2_000

export class PeerFinder {
  readonly #options: PeerFinderOptions
  readonly #peerId = randomBytes(20).toString('hex')
  readonly #stopping = new AbortController()
  /** One a family of addresses, begun with the first search: each finds its way in by itself. */
  #tables: readonly Promise<Dht>[] = []
  /** What trackers were told of, `url infohash`. */
  readonly #told = new Map<string, { readonly url: string; readonly infohash: Infohash }>()

  constructor(options: PeerFinderOptions) {
    this.#options = options
  }

  /** For people: `the DHT and 2 trackers`. */
  get places(): string {
    const { bootstrap, trackers } = this.#options
    const count = trackers.length === 1 ? 'a tracker' : `${trackers.length} trackers`
    const names = [...(bootstrap === null ? [] : ['the DHT']), ...(trackers.length === 0 ? [] : [count])]
    return names.join(' and ')
  }

  /**
   * Calls `onPeers` as they are named, perhaps also later. Resolves when all places have answered, or did not. Rejects with the
   * signal's reason.
   */
  async find(
    infohash: Infohash,
    onPeers: (peers: readonly TorrentPeer[]) => void,
    signal: AbortSignal,
  ): Promise<Search> {
    const { bootstrap, trackers } = this.#options
    const ending = AbortSignal.any([signal, this.#stopping.signal, AbortSignal.timeout(SEARCH_MS_MAX)])
    const found = new Set<string>()
    const take = (peers: readonly TorrentPeer[], isPrivate: boolean) => {
      // A public place that names private addresses would have us call machines of our own network.
      const good = peers.filter(({ host, port }) => port !== NO_PORT && (isPrivate || !isPrivateHost(host)))
      for (const { host, port } of good) found.add(`${host} ${port}`)
      if (good.length > 0) onPeers(good)
    }
    const silent: string[] = []
    const asked: Promise<unknown>[] = trackers.map((url) =>
      this.#askTracker(url, infohash, ending, take).catch(() => void silent.push(new URL(url).host)),
    )
    if (bootstrap !== null) {
      const tables = this.#tablesFrom(bootstrap).map((dht) => askDht(dht, infohash, ending, take))
      const all = Promise.allSettled(tables)
      const late = () => sleep(GRACE_MS, undefined, { signal: ending }).catch(() => {})
      // Over IPv6 nobody may be there: that is no failure while others are, and is not waited for.
      asked.push(
        Promise.any(tables).then(
          () => Promise.race([all, late()]),
          () => silent.unshift('the DHT'),
        ),
      )
    }
    await Promise.all(asked)
    signal.throwIfAborted()
    return { peers: found.size, silent }
  }

  async close(): Promise<void> {
    this.#stopping.abort()
    const signal = AbortSignal.timeout(LEAVE_MS_MAX)
    const leaving = [...this.#told.values()].map(({ url, infohash }) =>
      announceTo(url, { ...this.#announce(infohash), event: 'stopped' }, signal),
    )
    await Promise.allSettled(leaving)
    const started = await Promise.allSettled(this.#tables)
    await Promise.all(started.map((one) => (one.status === 'fulfilled' ? one.value.stop() : undefined)))
  }

  async #askTracker(url: string, infohash: Infohash, signal: AbortSignal, take: Take): Promise<void> {
    this.#told.set(`${url} ${infohash}`, { url, infohash })
    const { peers } = await announceTo(url, this.#announce(infohash), signal)
    take(peers, isPrivateHost(new URL(url).hostname))
  }

  #tablesFrom(bootstrap: readonly string[]): readonly Promise<Dht>[] {
    if (this.#tables.length > 0) return this.#tables
    const hosts = bootstrap.map((one) => nodeOf(one).host)
    const isPrivate = hosts.length > 0 && hosts.every(isPrivateHost)
    const around = { host: '::', announceHost: isPrivate ? '127.0.0.1' : '0.0.0.0', isReader: true }
    // Where all are addresses of one family, nobody is there to ask in the other.
    const isWanted = {
      ipv4: hosts.some((host) => !isIPv6(host)),
      ipv6: hosts.some((host) => !isIPv4(host)) && hasIpv6(isPrivate),
    }
    this.#tables = (['ipv4', 'ipv6'] as const)
      .filter((family) => isWanted[family])
      .map((family) => Dht.start({ port: 0, bootstrap, nodesPath: null }, around, [family]))
    return this.#tables
  }

  #announce(infohash: Infohash): Announce {
    const [ports, none] = [
      { port: NO_PORT, outsidePort: NO_PORT },
      { uploadedBytes: 0, downloadedBytes: 0 },
    ]
    // What is left is not known; it is not nothing.
    return { infohash, peerId: this.#peerId, ...ports, ...none, leftBytes: 1, event: 'started' }
  }
}

type Take = (peers: readonly TorrentPeer[], isPrivate: boolean) => void

async function askDht(
  starting: Promise<Dht>,
  infohash: Infohash,
  signal: AbortSignal,
  take: Take,
): Promise<void> {
  const dht = await starting
  await dht.entered(AbortSignal.any([signal, AbortSignal.timeout(ENTER_MS_MAX)]))
  await dht.find(infohash, signal, (peer) => take([peer], dht.isPrivate))
}

/** This machine has an address that others of this kind could answer to. */
function hasIpv6(isPrivate: boolean): boolean {
  const addresses = Object.values(networkInterfaces()).flatMap((one) => one ?? [])
  return addresses.some(({ family, address }) => family === 'IPv6' && isPrivateHost(address) === isPrivate)
}

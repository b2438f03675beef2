/**
 * Local service discovery (BEP 14, IPv4): torrents are named to the local network by multicast, many in one datagram, once a minute
 * at most. Ours, because the engine's package opens a socket for each torrent, announces each by itself and reads without a bound.
 */
import { randomBytes } from 'node:crypto'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Infohash } from '../../protocol/ids.ts'
import { isLoopback } from '../net/addresses.ts'
import type { DiscoveryStats, Log, TorrentPeer } from '../ports.ts'
import type { AnnouncePlace, PlaceAnswer } from './announce-place.ts'
import { AnnounceSchedule } from './announce-schedule.ts'
import { isPrivateHost } from './told-hosts.ts'
import type { Announce } from './tracker-answer.ts'

export interface LsdOptions {
  /** Where the BitTorrent port listens: an address of this machine, or all. */
  readonly host: string
  readonly log?: Log | undefined
  /** Somebody in the local network has these torrents, or some of them; one that we seed is named at our next turn, which is answer enough. */
  readonly onPeer: (infohashes: readonly Infohash[], peer: TorrentPeer) => void
}

const GROUP = '239.192.152.143'
const PORT = 6_771
/** BEP 14: no more than one announce a minute; of each torrent again after some minutes. */
const GAP_MS = 60_000
/** But a fetch that just began asks at once, and is answered at once, some times: a dump of this network need not come from outside. */
const EARLY_GAP_MS = 5_000
const EARLY_MAX = 10
const INTERVAL_MS = 5 * 60_000
/** So many fit into the 1,400 bytes that BEP 14 allows. */
const BATCH_MAX = 20
const DATAGRAM_BYTES_MAX = 1_400
/** Datagrams that are read in a second. */
const DATAGRAMS_MAX = 10
const INTERFACES_MAX = 16
const HEARD_MAX = 2_000
/** After that whoever is still there will have said it again. */
const HEARD_MS = 30 * 60_000

export class Lsd implements AnnouncePlace {
  readonly name = 'LSD'
  readonly schedule = new AnnounceSchedule({
    intervalMs: INTERVAL_MS,
    gapMsMin: GAP_MS,
    gapMsMax: GAP_MS,
    batchMax: BATCH_MAX,
    early: { gapMs: EARLY_GAP_MS, savedMax: EARLY_MAX },
  })
  readonly isPrivate = true
  readonly isUp = true
  readonly #options: LsdOptions
  readonly #receiver: Socket
  /** Tells our own datagrams apart. */
  readonly #cookie = randomBytes(8).toString('hex')
  readonly #joined = new Set<string>()
  /** Who spoke of a torrent last, and when; the latest last. */
  readonly #heardOf = new Map<Infohash, { readonly peer: TorrentPeer; readonly atMs: number }>()
  #secondMs = 0
  #heardCount = 0
  #announcedAtMs: number | null = null

  /** Why it should not run, in words; null when it may. */
  static offBecause({ host }: { readonly host: string }): string | null {
    if (isLoopback(host)) return `BitTorrent listens on ${host} only`
    return isAny(host) || isIPv4(host) ? null : `BitTorrent listens on ${host} only, and this needs IPv4`
  }

  /** Rejects with the system's error. */
  static async start(options: LsdOptions): Promise<Lsd> {
    // Every program of the machine listens on this port.
    const receiver = createSocket({ type: 'udp4', reuseAddr: true })
    await new Promise<void>((resolve, reject) => {
      receiver.once('error', reject)
      receiver.bind(PORT, () => {
        receiver.off('error', reject)
        resolve()
      })
    })
    return new Lsd(receiver, options)
  }

  private constructor(receiver: Socket, options: LsdOptions) {
    this.#receiver = receiver
    this.#options = options
    receiver.on('message', (bytes, from) => this.#hear(bytes, from))
    receiver.on('error', (error) => options.log?.warn({ error: String(error) }, 'LSD does not hear'))
    this.#join()
  }

  stats(): DiscoveryStats {
    return { off: null, port: null, nodes: 0, announcedAtMs: this.#announcedAtMs }
  }

  async announce(announces: readonly Announce[], signal: AbortSignal): Promise<PlaceAnswer> {
    for (const { infohash, leftBytes } of announces) {
      const heard = leftBytes > 0 ? this.#heardOf.get(infohash) : undefined
      if (heard !== undefined && performance.now() - heard.atMs < HEARD_MS)
        this.#options.onPeer([infohash], heard.peer)
    }
    const datagram = lsdDatagram(announces, this.#cookie)
    const sent = await Promise.all(this.#join().map((address) => this.#send(datagram, address)))
    signal.throwIfAborted()
    if (sent.includes(true)) this.#announcedAtMs = Date.now()
    return { intervalMs: INTERVAL_MS, seeds: 0, leeches: 0, peers: [] }
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.#receiver.close(resolve))
  }

  /** Addresses of this machine in the networks that are told, each joined. They come and go while it runs. */
  #join(): string[] {
    const { host, log } = this.#options
    const addresses = Object.values(networkInterfaces())
      .flatMap((one) => one ?? [])
      .filter((one) => one.family === 'IPv4' && !one.internal && (isAny(host) || one.address === host))
      .map((one) => one.address)
      .slice(0, INTERFACES_MAX)
    for (const address of addresses) {
      if (this.#joined.has(address)) continue
      try {
        this.#receiver.addMembership(GROUP, address)
        this.#joined.add(address)
      } catch (error) {
        log?.debug({ address, error: String(error) }, 'LSD cannot hear this network')
      }
    }
    for (const address of this.#joined) if (!addresses.includes(address)) this.#joined.delete(address)
    return addresses
  }

  /** Whether it left. */
  async #send(datagram: Uint8Array, address: string): Promise<boolean> {
    const socket = createSocket('udp4')
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject)
        socket.bind(0, address, () => {
          try {
            socket.setMulticastInterface(address)
            socket.send(datagram, PORT, GROUP, (error) => (error === null ? resolve() : reject(error)))
          } catch (error) {
            reject(error)
          }
        })
      })
      return true
    } catch (error) {
      this.#options.log?.debug({ address, error: String(error) }, 'LSD cannot tell this network')
      return false
    } finally {
      socket.close()
    }
  }

  #hear(bytes: Buffer, from: RemoteInfo): void {
    const nowMs = performance.now()
    if (nowMs - this.#secondMs >= 1_000) {
      this.#secondMs = nowMs
      this.#heardCount = 0
    }
    // The port can be reached from anywhere; who is far away has other ways to be found.
    if (++this.#heardCount > DATAGRAMS_MAX || !isPrivateHost(from.address)) return
    const said = readLsd(bytes)
    if (said === null || said.cookie === this.#cookie) return
    const peer = { host: from.address, port: said.port }
    for (const infohash of said.infohashes) {
      this.schedule.wanted(infohash, nowMs)
      this.#heardOf.delete(infohash)
      this.#heardOf.set(infohash, { peer, atMs: nowMs })
      const [oldest] = this.#heardOf.keys()
      if (this.#heardOf.size > HEARD_MAX && oldest !== undefined) this.#heardOf.delete(oldest)
    }
    this.#options.onPeer(said.infohashes, peer)
  }
}

/** BEP 14. All are of one port. */
export function lsdDatagram(announces: readonly Announce[], cookie: string): Uint8Array {
  const lines = [
    'BT-SEARCH * HTTP/1.1',
    `Host: ${GROUP}:${PORT}`,
    `Port: ${announces[0]?.port ?? 0}`,
    ...announces.map(({ infohash }) => `Infohash: ${infohash}`),
    `cookie: ${cookie}`,
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n\r\n`, 'latin1')
}

/** Null when it is none. */
export function readLsd(
  bytes: Uint8Array,
): { readonly port: number; readonly infohashes: readonly Infohash[]; readonly cookie: string } | null {
  if (bytes.length > DATAGRAM_BYTES_MAX) return null
  const [first, ...lines] = Buffer.from(bytes).toString('latin1').split('\r\n')
  if (first !== 'BT-SEARCH * HTTP/1.1') return null
  const fields = lines.map((line) => /^([A-Za-z]+): *([\x21-\x7e]+) *$/.exec(line))
  const named = (name: string) =>
    fields.flatMap((field) => (field?.[1]?.toLowerCase() === name ? [field[2] ?? ''] : []))
  const port = Number(named('port')[0])
  const infohashes = named('infohash').map((text) => text.toLowerCase() as Infohash)
  const isGood = Number.isInteger(port) && port > 0 && port <= 65_535
  if (!isGood || infohashes.length === 0 || infohashes.some((one) => !/^[0-9a-f]{40}$/.test(one))) return null
  return { port, infohashes, cookie: named('cookie')[0] ?? '' }
}

const isAny = (host: string): boolean => host === '0.0.0.0' || host === '::'

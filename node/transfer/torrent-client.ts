/**
 * The engine's package, listening: its settings and what they avoid. uTP off (dialled first, slow); its DHT, LSD and trackers off
 * (our announcer tells them, for all torrents together); NAT mapping off; PEX off (peers come from signed manifests); web seeds off (archives are read over HTTP by another
 * part); no encryption, no WebRTC (but what is called comes to it in that shape, see `called-socket`).
 */
import WebTorrent from 'webtorrent'
import type { Log } from '../ports.ts'
import type { DhtOptions } from './dht-options.ts'
import { startError } from './torrent-errors.ts'
import type { ThrottleGroup } from './wire.ts'

export interface WebTorrentEngineOptions {
  /** Address to listen on. @default 127.0.0.1 */
  readonly host?: string
  /** TCP port; 0 = the system chooses. */
  readonly port: number
  /** BitTorrent's mainline DHT, by our own client. @default none */
  readonly dht?: DhtOptions
  /** Local service discovery, by our own client. @default false */
  readonly lsd?: boolean
  /** Announce URLs (http, udp), told by our own announcer. @default none */
  readonly trackers?: readonly string[]
  /** By which others reach us; decides who may be told of it. @default `host` */
  readonly announceHost?: string
  /** For the whole engine. @default no limit */
  readonly downloadLimitBytesPerSecond?: number
  readonly uploadLimitBytesPerSecond?: number
  /** Connections a torrent. @default 55 */
  readonly maxConns?: number
  /** Open files of all torrents together. @default 64 */
  readonly openFilesMax?: number
  /** Seeds that run at once; the others are dormant. @default 128 */
  readonly seedsAwakeMax?: number
  /** A seed without a peer for so long goes to sleep. @default 60 s */
  readonly sleepAfterMs?: number
  /** An incoming handshake must be whole by then. @default 10 s */
  readonly handshakeMs?: number
  readonly log?: Log
}

/** Rejects with an Error of one plain sentence when the port is in use or forbidden. */
export async function listen(options: WebTorrentEngineOptions): Promise<WebTorrent> {
  const { host = '127.0.0.1', port, maxConns = 55 } = options
  const client = new WebTorrent({
    torrentPort: { port, host },
    maxConns,
    dht: false,
    tracker: false,
    lsd: false,
    utp: false,
    utPex: false,
    natUpnp: false,
    natPmp: false,
    webSeeds: false,
    secure: 0,
    downloadLimit: options.downloadLimitBytesPerSecond ?? -1,
    uploadLimit: options.uploadLimitBytesPerSecond ?? -1,
  })
  const { down, up } = client.throttleGroups
  for (const group of [down, up]) shortenBursts(group)
  await new Promise<void>((resolve, reject) => {
    client.once('listening', resolve)
    client.once('error', (error: NodeJS.ErrnoException) => reject(startError(error, host, port)))
  })
  return client
}

/** Shares of a second. Each step costs a timer. */
const STEPS = 20
const BURSTS = 10

/** By itself the package lets a whole second's worth through at once after a silence, which is twice the limit in that second. */
function shortenBursts(group: ThrottleGroup): void {
  const rate = group.getRate()
  if (!group.getEnabled() || rate === 0) return
  group.setRate(rate, Math.max(Math.floor(rate / STEPS), 1))
  group.bucket.bucketSize = Math.max(Math.floor(rate / BURSTS), 1)
}

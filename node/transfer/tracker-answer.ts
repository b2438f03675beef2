/** What is told to a tracker and what it answers, whatever carries it. */
import type { Bencoded } from '../../protocol/codec/bencode.ts'
import type { Infohash } from '../../protocol/ids.ts'
import type { TorrentPeer } from '../ports.ts'

export interface Announce {
  readonly infohash: Infohash
  /** 40 hex digits. */
  readonly peerId: string
  /** Where we listen; told to those inside our own network, and over IPv6. */
  readonly port: number
  /** Where others get in over IPv4: `port`, unless a router maps another. */
  readonly outsidePort: number
  readonly uploadedBytes: number
  readonly downloadedBytes: number
  /** 0 = we have all of it. */
  readonly leftBytes: number
  /** Of its first and its last one; null between them. */
  readonly event: 'started' | 'stopped' | null
}

export interface TrackerAnswer {
  readonly intervalMs: number
  /** Peers that have all of it, and that do not. */
  readonly seeds: number
  readonly leeches: number
  readonly peers: readonly TorrentPeer[]
}

/** What a tracker refused, or that it did not answer as one; for the log. */
export class TrackerError extends Error {
  constructor(detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'TrackerError'
  }
}

export const PEERS_WANTED = 50
const PEERS_MAX = 200

/** BEP 23 and 7: compact lists. The long form of BEP 3 was not asked for and is not read. */
export function peersOf(value: Bencoded | undefined, addressBytes: 4 | 16): TorrentPeer[] {
  if (!(value instanceof Uint8Array)) return []
  const peers: TorrentPeer[] = []
  const step = addressBytes + 2
  for (let at = 0; at + step <= value.length && peers.length < PEERS_MAX; at += step) {
    const address = Buffer.from(value.subarray(at, at + addressBytes))
    const port = ((value[at + addressBytes] ?? 0) << 8) | (value[at + addressBytes + 1] ?? 0)
    peers.push({ host: addressBytes === 4 ? address.join('.') : groupsOf(address), port })
  }
  return peers
}

function groupsOf(address: Buffer): string {
  return Array.from({ length: 8 }, (_, i) => address.readUInt16BE(2 * i).toString(16)).join(':')
}

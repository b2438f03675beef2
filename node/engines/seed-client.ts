/**
 * What is asked of another BitTorrent program: to seed whole torrents from files that are there, and to say how they are. It
 * never fetches for us, never writes below the data folder, and never deletes data. Only torrents under MARK are ours; no other
 * is changed.
 */
import type { Infohash } from '../../protocol/ids.ts'
import type { TorrentPeer } from '../ports.ts'

/** Category (qBittorrent) or label (Transmission) of all torrents that we add. */
export const MARK = 'wikiseed'

/**
 * `checking`: it reads or moves the files. `missing`: it does not find them. `damaged`: some bytes are not those of the torrent, or
 * cannot be read.
 */
export type ClientState = 'checking' | 'seeding' | 'stopped' | 'missing' | 'damaged'

export interface ClientTorrent {
  readonly infohash: Infohash
  /** It carries our mark. */
  readonly isOurs: boolean
  /** The folder that holds the torrent's own folder, as the program names it. */
  readonly folder: string
  readonly state: ClientState
  /** The program's own word for it, for people. */
  readonly detail: string
  readonly sizeBytes: number
  /** Payload that passed its check. */
  readonly doneBytes: number
  readonly uploadedBytes: number
  /** Connected. */
  readonly peers: number
}

export interface SeedClient {
  readonly name: 'qBittorrent' | 'Transmission'
  /** Logs in. Rejects with TorrentError `engine` of one sentence. `port`: where it takes BitTorrent connections. */
  connect(): Promise<{ readonly version: string; readonly port: number }>
  /** All of ours. This and all that follows reject with TorrentError `engine`. */
  list(): Promise<ClientTorrent[]>
  /** Ours or somebody's; null: it has no such torrent. */
  find(infohash: Infohash): Promise<ClientTorrent | null>
  /** Takes a whole .torrent file, marked and stopped: `start` follows once it is `stopped` and not `missing` or `damaged`. */
  add(torrent: Uint8Array, infohash: Infohash, folder: string): Promise<void>
  /** Seeds what is whole, past any queue. */
  start(infohashes: readonly Infohash[]): Promise<void>
  /** Forgets them; files stay. Unknown ones are no error. */
  remove(infohashes: readonly Infohash[]): Promise<void>
  /** Peers to dial; a program that cannot be told ignores them. */
  addPeers(infohash: Infohash, peers: readonly TorrentPeer[]): Promise<void>
}

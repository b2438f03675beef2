/**
 * One interface for every BitTorrent program that ours is held against: started by the test on a loopback port with a folder of
 * its own, without DHT, LSD, PEX and port mapping, and stopped by its pid.
 */
import type { TorrentPeer } from '../../../node/ports.ts'

export interface TorrentClient {
  readonly name: string
  /** The process that moves the bytes. */
  readonly pid: number
  /** Where it listens. */
  readonly peer: TorrentPeer
  /** False: it calls no peer on loopback, so that the peers of a `leech` have to call it. */
  readonly dials: boolean
  /** False: a download leaves files of no bytes out. */
  readonly makesEmptyFiles: boolean
  /** Resolves when it says that it seeds. `root` holds the torrent's name folder, with every file complete. */
  seed(torrent: Uint8Array, root: string): Promise<void>
  /**
   * `what`: a .torrent file, or a magnet link. Resolves when the program says that all is there. `onAdded` is called when it has
   * taken the torrent on, from when on others can call it for it.
   */
  leech(
    what: Uint8Array | string,
    root: string,
    peers: readonly TorrentPeer[],
    onAdded?: () => void,
  ): Promise<void>
  stop(): Promise<void>
}

export interface ClientDriver {
  readonly name: string
  /** What is not installed here, or null. With CI=true it throws instead. */
  missing(): string | null
  start(options?: ClientOptions): Promise<TorrentClient>
}

export interface ClientOptions {
  /** Address to listen on: 127.0.0.2 and the like make two programs on one machine two peers. @default 127.0.0.1 */
  readonly host?: string
}

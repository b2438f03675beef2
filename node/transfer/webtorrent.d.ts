/**
 * The part of webtorrent 3 that the adapter uses. The published types are of an older release and lack most of these
 * options.
 */
declare module 'webtorrent' {
  import type { EventEmitter } from 'node:events'

  export interface ClientOptions {
    /** Given to net.Server.listen as it is, so an object names the address too; the package has no option for that. */
    readonly torrentPort: { readonly port: number; readonly host: string }
    /** Connections a torrent. */
    readonly maxConns: number
    readonly dht: false
    readonly tracker: false
    readonly lsd: false
    readonly utp: boolean
    readonly utPex: boolean
    readonly natUpnp: boolean
    readonly natPmp: boolean
    readonly webSeeds: boolean
    /** 0 = no protocol encryption. */
    readonly secure: 0 | 1 | 2
    /** Bytes a second; -1 = no limit. */
    readonly downloadLimit: number
    readonly uploadLimit: number
  }

  export interface TorrentOptions {
    readonly path?: string
    readonly store?: new (chunkLength: number) => import('./wire.ts').EngineStore
    /** Whole pieces kept in memory; 0 = none. */
    readonly storeCacheSlots?: number
    /** Claims every piece, whatever is on disk. */
    readonly skipVerify?: boolean
    /** Starts with no piece selected. */
    readonly deselect?: boolean
  }

  export default class WebTorrent extends EventEmitter {
    constructor(options: ClientOptions)
    /** What it listens on, once it does. */
    readonly torrentPort: number
    readonly destroyed: boolean
    /** 40 hex digits. */
    readonly peerId: string
    /** Not public. */
    readonly throttleGroups: {
      readonly down: import('./wire.ts').ThrottleGroup
      readonly up: import('./wire.ts').ThrottleGroup
    }
    /** Not public. */
    readonly _connPool: {
      readonly tcpServer: import('node:net').Server
      readonly _onTCPConnectionBound: (socket: import('node:net').Socket) => void
    }
    /** A hex infohash or a whole .torrent file. */
    add(torrent: string | Uint8Array, options: TorrentOptions): import('./wire.ts').EngineTorrent
    destroy(callback: () => void): void
  }
}

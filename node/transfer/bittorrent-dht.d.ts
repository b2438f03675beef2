/** The part of bittorrent-dht 11 that the adapter uses; it has no types. */
declare module 'bittorrent-dht' {
  import type { EventEmitter } from 'node:events'

  export interface DhtNode {
    readonly id: Uint8Array
    readonly host: string
    readonly port: number
  }

  export interface DhtClientOptions {
    /** 20 bytes in hex; random without it. */
    readonly nodeId?: string
    /** `false`: the package asks no router by itself. */
    readonly bootstrap: false
    /** Of node:dgram, or what behaves like one. */
    readonly socket: EventEmitter
    /** Nodes in one bucket of the table; also how many are asked for a look-up. */
    readonly k: number
    /** Queries under way at once. */
    readonly concurrency: number
    /** Look-ups whose nodes are remembered. */
    readonly maxTables: number
    /** Peers that others told us of, and how long one is kept at most: ms. */
    readonly maxPeers: number
    readonly maxAge: number
  }

  export class Client extends EventEmitter {
    constructor(options: DhtClientOptions)
    readonly nodeId: Uint8Array
    readonly nodes: { count(): number; toArray(): DhtNode[] }
    /** Pings it, and takes it into the table when it answers. */
    addNode(node: { readonly host: string; readonly port: number }): void
    removeNode(id: Uint8Array): void
    /** get_peers at ever nearer nodes; how many answered. What is returned ends it at the next answer. */
    lookup(infohash: Uint8Array, done: (error: Error | null, answered?: number) => void): () => void
    /** announce_peer at those that the last look-up of it found; how many took it. */
    announce(infohash: Uint8Array, port: number, done: (error: Error | null, taken?: number) => void): void
    destroy(done: () => void): void
  }
}

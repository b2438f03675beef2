/** What goes between a node and the process of its BitTorrent engine: plain data only, copied by structured clone. */
import type { Infohash } from '../../protocol/ids.ts'
import type { Discovery, TorrentEngine, TorrentPeer, TorrentStats } from '../ports.ts'
import type { PlainError } from './engine-channel.ts'
import type { WebTorrentEngineOptions } from './torrent-client.ts'

export interface EngineProcessOptions extends Omit<WebTorrentEngineOptions, 'log'> {
  /** Also tells what only `debug` would write. @default false */
  readonly isDebug?: boolean
}

/** A transfer, by the node's own number for it; the same one in the calls back. */
export interface Job {
  readonly job: number
  readonly infohash: Infohash
  readonly peers: readonly TorrentPeer[]
}

export interface SeedRequest {
  readonly infohash: Infohash
  readonly sizeBytes: number
  readonly root: string
}

export type Fetched = Awaited<ReturnType<TorrentEngine['fetch']>>

/** What the process answers. */
export interface EngineCalls {
  /** Once, first. Rejects with an Error of one plain sentence. */
  start(options: EngineProcessOptions): { readonly port: number }
  /** One answer a seed: null is well. */
  seed(seeds: readonly SeedRequest[]): readonly (PlainError | null)[]
  fetch(request: Job & { readonly root: string }): Fetched
  fetchFile(request: Job & { readonly file: number; readonly path: string }): Fetched
  open(request: Job & { readonly info: Uint8Array | null; readonly patienceMs: number | null }): {
    readonly info: Uint8Array
  }
  read(request: {
    readonly job: number
    readonly file: number
    readonly start: number
    readonly end: number
  }): {
    readonly bytes: Uint8Array
    readonly downloadedBytes: number
  }
  close(request: { readonly job: number }): void
  addPeers(request: { readonly infohash: Infohash; readonly peers: readonly TorrentPeer[] }): void
  setOutside(request: { readonly endpoint: TorrentPeer | null }): void
  remove(request: { readonly infohash: Infohash }): void
  stats(request: null): TorrentStats[]
  discovery(request: null): Discovery
  /** Answered at once as long as its loop turns. */
  ping(request: null): void
  stop(request: null): void
}

/** What the node answers. */
export interface NodeCalls {
  /** Of a seed: the whole .torrent file. */
  torrent(request: { readonly infohash: Infohash }): Uint8Array
  /** Of a seed: what is not as it was when it was verified. */
  changed(request: { readonly infohash: Infohash }): readonly string[]
  accept(request: { readonly job: number; readonly info: Uint8Array }): boolean
  progress(request: { readonly job: number; readonly stats: TorrentStats }): void
  seedFailed(request: { readonly infohash: Infohash; readonly error: PlainError }): void
  log(entry: {
    readonly level: 'debug' | 'info' | 'warn' | 'error'
    readonly fields: object
    readonly message: string
  }): void
}

// Longer than 300 lines: the interfaces between the parts, read together.
/**
 * The interfaces between a node's parts (HOUSE: ports). An adapter implements one of them and is the only file that
 * names its library. Each port has a conformance suite under test/conformance, run on the adapter and on its twin.
 */

import type { ListingEntry } from '../protocol/dump/listing.ts'
import type { Infohash, NodeId } from '../protocol/ids.ts'
import type { FullDigests, Shard } from '../protocol/shard/shard.ts'
import type { ByteRange } from '../protocol/torrent/spans.ts'
import type { Finding } from './structure/finding.ts'

/** Time as an argument: wall clock for what others see, monotonic for how long something took. */
export interface Clock {
  /** Unix time in ms. */
  wallMs(): number
  /** Monotonic ms since an arbitrary start. */
  monotonicMs(): number
}

/** Structured log; implemented by pino. Never pass secrets. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): Log
}

// ---------------------------------------------------------------- identity and network

/** The node's Ed25519 key = its libp2p identity (PROTOCOL 3). */
export interface Identity {
  readonly nodeId: NodeId
  /** 32 raw bytes. */
  readonly publicKey: Uint8Array
  /** Seals a payload in a libp2p signed envelope (RFC 0002) under a domain. */
  seal(domain: string, payloadType: string, payload: Uint8Array): Uint8Array
  /** Raw Ed25519 signature, 64 bytes. */
  sign(message: Uint8Array): Uint8Array
}

/** What a gossip handler thinks of a message; reject costs the sender score (PROTOCOL 4). */
export type Verdict = 'accept' | 'ignore' | 'reject'

export interface Peer {
  readonly nodeId: NodeId
  /** The address seen on the connection, as text: `127.0.0.1`. */
  readonly address: string
}

/** A request protocol: bytes in, bytes out, both <= STREAM_MESSAGE_BYTES_MAX. Throwing closes the stream. */
export type RequestHandler = (request: Uint8Array, from: Peer) => Promise<Uint8Array>

export type Topic = 'manifests' | 'catalogs' | 'observations'
export type RequestProtocol = 'manifest' | 'catalog' | 'audit' | 'receipt' | 'promise' | 'dialback'

/**
 * What a router makes of the one port from which a node dials (RFC 4787, section 4.1), as peers see it. `same`: one address outside
 * for all of them. `changing`: another for each, so nobody can be told where to meet it. `unknown`: too few peers said so.
 */
export type NatMapping = 'unknown' | 'same' | 'changing'

export interface Network {
  readonly nodeId: NodeId
  /** Multiaddrs with /p2p/ id that others can dial. */
  addresses(): string[]
  /** Where it listens itself, by TCP: each address of this machine. */
  listens(): readonly { readonly host: string; readonly port: number }[]
  /** Multiaddrs that lead here from outside, as a router or peers say: among `addresses` from now on, instead of those given before. */
  setExternal(multiaddrs: readonly string[]): void
  /**
   * Whether others reach it from outside. True: it passes on requests for those who are not reached. False: it asks such peers
   * to pass on to it, and tells addresses through them.
   */
  setReachable(isReachable: boolean): Promise<void>
  /** Of what is connected now. */
  natMapping(): NatMapping
  /** Called when `addresses` may have changed. */
  onAddresses(handler: () => void): void
  peers(): Peer[]
  /** Starts listening; the handler of a topic validates before anything is forwarded. */
  start(): Promise<void>
  onGossip(topic: Topic, handler: (data: Uint8Array, from: NodeId) => Verdict): void
  /** Number of peers it went to; throws RangeError above GOSSIP_BYTES_MAX. */
  publish(topic: Topic, data: Uint8Array): Promise<number>
  handle(protocol: RequestProtocol, handler: RequestHandler): void
  request(
    to: NodeId,
    protocol: RequestProtocol,
    request: Uint8Array,
    options: { timeoutMs: number },
  ): Promise<Uint8Array>
  /**
   * Dials and remembers; kept connected. Resolves false when it cannot be reached now. Addresses through a relay are only
   * remembered, for `request`: what is asked over one is no connection of a peer.
   */
  connect(multiaddrs: string[]): Promise<boolean>
  onPeer(handler: (event: { kind: 'connected' | 'disconnected'; peer: Peer }) => void): void
  /** Score of a peer as our gossip router sees it, for status and tests. */
  score(nodeId: NodeId): number
  stop(): Promise<void>
}

// ---------------------------------------------------------------- the home router

/** One of our ports that others should reach. */
export interface OwnPort {
  readonly name: 'libp2p' | 'bittorrent' | 'dht'
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

/** A port of the router's outside address that leads to one of ours. */
export interface PortMapping {
  readonly protocol: OwnPort['protocol']
  readonly internalPort: number
  /** IPv4 as the router says it: behind another router it is a private one. */
  readonly externalHost: string
  /** Not always the one that was asked for. */
  readonly externalPort: number
  /** After this the router forgets it; null: never. */
  readonly lifetimeMs: number | null
}

/** A way to ask a router to forward ports. Both reject with RouterError, or with the signal's reason; each try ends by itself. */
export interface Router {
  /** `NAT-PMP`, `UPnP` */
  readonly name: string
  /** Asks for the same number outside, or for `externalPort`. Asked again for a mapping that stands, it renews it. */
  map(own: OwnPort, options: { externalPort?: number; signal: AbortSignal }): Promise<PortMapping>
  /** Takes a mapping away; one that is gone already is no error. */
  unmap(mapping: PortMapping, signal: AbortSignal): Promise<void>
}

/** `absent`: nobody answered, or who did offers no such thing. `refused`: the router said no. */
export type RouterErrorCode = 'absent' | 'refused' | 'malformed'

export class RouterError extends Error {
  readonly code: RouterErrorCode
  constructor(code: RouterErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'RouterError'
    this.code = code
  }
}

// ---------------------------------------------------------------- origin

/** Why a download from origin failed; `detail` is for people. `no-ranges`: only whole files may be had there. */
export type OriginErrorCode =
  | 'not-found'
  | 'refused'
  | 'busy'
  | 'changed'
  | 'no-ranges'
  | 'wrong-size'
  | 'wrong-piece'
  | 'not-json'
  | 'too-large'
  | 'network'
  | 'aborted'

export class OriginError extends Error {
  readonly code: OriginErrorCode
  constructor(code: OriginErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'OriginError'
    this.code = code
  }
}

/** Wikimedia's dumps over HTTP, politely: <= 2 connections per host for the whole process, Retry-After pauses the host. */
export interface Origin {
  /** Newest run of every wiki, from index.json: dbname -> `YYYYMMDD` and the raw status object. Retries half-written JSON. */
  index(signal?: AbortSignal): Promise<Map<string, { date: string; status: unknown }>>
  /** Raw, parsed dumpstatus.json of one run; `date` is `YYYYMMDD`. */
  dumpStatus(wiki: string, date: string, signal?: AbortSignal): Promise<unknown>
  /** Text of a checksum list (`md5sums.txt` or `sha1sums.txt`), or null when upstream has none. */
  checksums(
    wiki: string,
    date: string,
    algorithm: 'md5' | 'sha1',
    signal?: AbortSignal,
  ): Promise<string | null>
  /** What stands in a folder, `other/mediawiki_content_current`; null where there is none, or where folders are not listed. */
  list(folder: string, signal?: AbortSignal): Promise<readonly ListingEntry[] | null>
  /** A small text, `.../SHA256SUMS`; null when there is none. */
  text(
    path: string,
    signal?: AbortSignal,
  ): Promise<{ readonly text: string; readonly changedMs: number | null } | null>
  /**
   * Size and date of a file without its bytes; null when there is none, or when the server does not say how long it is. `from`: at
   * another place.
   */
  facts(
    path: string,
    signal?: AbortSignal,
    from?: DownloadPlace,
  ): Promise<{ readonly sizeBytes: number; readonly changedMs: number | null } | null>
  /**
   * Downloads one dump file of a shard to `toPath`, continuing a partial file (Range with If-Range from a side file).
   * A file there with the whole size is left as it is: verify it, and remove it when its digests are wrong. Rejects with
   * OriginError, or with the file system's own error (ENOSPC). `onBytes` gets increments of body bytes received. `from`: another
   * place that has the file; it goes on with what a place before it gave. `anew`: what is there and did not come by a download is
   * replaced, once somebody begins to give the file. Resolves with the labels of all who gave bytes.
   */
  download(
    file: OriginFile,
    toPath: string,
    options: {
      from?: DownloadPlace
      anew?: boolean
      onBytes?: (count: number) => void
      signal?: AbortSignal
    },
  ): Promise<readonly string[]>
  /**
   * Bytes `start` up to (not with) `end` of a dump file, handed to `use` as they come: in order, each once, over retries. Nothing is
   * written. Rejects with OriginError, or with what `use` threw.
   */
  range(
    file: OriginFile,
    range: ByteRange,
    use: (chunk: Uint8Array) => Promise<void>,
    options: { from?: DownloadPlace; onBytes?: (count: number) => void; signal?: AbortSignal },
  ): Promise<void>
  /** Names the origin among those who give bytes: its host. */
  readonly label: string
  /** Body bytes received from origin since start. */
  readonly bytesReceived: number
  /** Of dump files, from other places. */
  readonly bytesElsewhere: number
  close(): Promise<void>
}

/** A place besides the origin where a file may be had. */
export interface DownloadPlace {
  readonly baseUrl: string
  /** Names it in logs and status; also what the file's givers are called. */
  readonly label: string
}

export interface OriginFile {
  /** Path below the base: `tenwiki/20260101/tenwiki-20260101-....bz2`. */
  readonly path: string
  readonly sizeBytes: number
}

// ---------------------------------------------------------------- bytes: verify, torrent

/** What one read of a file yields. */
export interface FileFacts {
  readonly sizeBytes: number
  readonly digests: FullDigests
}

/** Reads files once, in worker threads: all digests, the v1 piece hashes over their concatenation, and what their form says. */
export interface Hasher {
  /**
   * Digests of each file, and piece SHA-1s over all of them in this order when `pieceLengthBytes` is given.
   * Rejects with the file system's error, and with the signal's reason.
   */
  hash(
    files: readonly string[],
    options?: HashOptions,
  ): Promise<{ files: HashedFile[]; pieces: Uint8Array | null }>
  /** The piece SHA-1s alone, in a third of the processor time: for what was verified once. Rejects as `hash` does. */
  pieces(files: readonly string[], options: PieceOptions): Promise<Uint8Array>
  close(): Promise<void>
}

interface ReadOptions {
  readonly onBytes?: (count: number) => void
  readonly signal?: AbortSignal
}

export interface PieceOptions extends ReadOptions {
  readonly pieceLengthBytes: number
}

export interface HashOptions extends ReadOptions {
  readonly pieceLengthBytes?: number
  /** Also look at the form of each file, by its name. @default false */
  readonly structure?: boolean
}

export interface HashedFile extends FileFacts {
  /** null unless `structure` was asked for. */
  readonly finding: Finding | null
}

/** Where a BitTorrent peer listens. */
export interface TorrentPeer {
  readonly host: string
  readonly port: number
}

export interface TorrentStats {
  readonly infohash: Infohash
  readonly state: 'seeding' | 'fetching-metadata' | 'fetching' | 'failed'
  /** A seed that costs nothing until somebody asks for it. @default false */
  readonly dormant?: boolean
  readonly sizeBytes: number
  readonly doneBytes: number
  /** Payload bytes since it was added. */
  readonly downloadedBytes: number
  readonly uploadedBytes: number
  readonly peers: number
  /** Why a seed failed, where the engine knows. `disk`: its bytes are in doubt; `engine`: it is not seeded, but they need not be. */
  readonly failure?: { readonly code: 'disk' | 'engine'; readonly detail: string }
}

/** `silent`: no peer sent what was asked for in time. */
export type TorrentErrorCode = 'metadata-mismatch' | 'engine' | 'disk' | 'aborted' | 'silent'

export class TorrentError extends Error {
  readonly code: TorrentErrorCode
  constructor(code: TorrentErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'TorrentError'
    this.code = code
  }
}

/** What is verified and may be seeded whenever somebody asks. Both are called each time that the seed wakes. */
export interface SeedSource {
  readonly infohash: Infohash
  /** Of all its files. */
  readonly sizeBytes: number
  /** The whole .torrent file. Rejects with the file system's error. */
  torrent(): Promise<Uint8Array>
  /** What is not as it was when it was verified, by sizes and times alone: a text for each file. Nothing of it is served then. */
  changed?(): Promise<readonly string[]>
}

/** A torrent of which parts are read; nothing of it is kept on disk. */
export interface TorrentReader {
  /** Raw info dictionary. */
  readonly info: Uint8Array
  /** Payload bytes that came. */
  readonly downloadedBytes: number
  /**
   * Bytes `start` up to (not with) `end` of one file, an index into the torrent's files. Every piece that overlaps them passed its
   * SHA-1; pieces read lately are not asked for again. Rejects with TorrentError, or RangeError when there are no such bytes or
   * more than READ_BYTES_MAX.
   */
  read(file: number, start: number, end: number, signal?: AbortSignal): Promise<Uint8Array>
  close(): Promise<void>
}

/** Longest range of one `read`. */
export const READ_BYTES_MAX = 256 * 1024 * 1024

/** A BitTorrent engine: WebTorrent, alone or with another program that seeds (node/engines). */
export interface TorrentEngine {
  start(): Promise<void>
  /** TCP port where its seeds are reached, after start. */
  readonly port: number
  /**
   * Seeds what is complete and verified: `root` is the folder that holds the torrent's name folder (mirror layout).
   * `torrent` is a whole .torrent file, whose files' sizes are looked at now; or where to get it, then they are when somebody asks.
   * Nothing is read again. One that failed begins anew; one that is seeded already is left as it is.
   */
  seed(torrent: Uint8Array | SeedSource, root: string): Promise<void>
  /** Called when a seed stopped because its files or its .torrent are not what was verified, or cannot be read. */
  onSeedFailed(handler: (infohash: Infohash, error: TorrentError) => void): void
  /**
   * Fetches by infohash from peers into `root` (same layout). As soon as the info dictionary is known, `accept` judges its
   * raw bytes; false rejects with `metadata-mismatch` before any payload is written. Resolves with the raw info bytes when every
   * piece passed its hash and is on disk. Pieces already on disk in `root` are checked and kept (resume).
   * After it resolved the torrent is no longer active: call `seed` once the files stand at their final place.
   */
  fetch(
    infohash: Infohash,
    root: string,
    options: {
      peers: readonly TorrentPeer[]
      accept: (info: Uint8Array) => boolean | Promise<boolean>
      onProgress?: (stats: TorrentStats) => void
      signal?: AbortSignal
    },
  ): Promise<{ info: Uint8Array; downloadedBytes: number }>
  /**
   * Writes one file of a torrent, an index into its files, to `path` as the given peers send it: only they are asked, over
   * connections that this engine dialled, and nothing is held against the torrent's hashes. Resolves when all of it came and is
   * written, not durably.
   */
  fetchFile(
    infohash: Infohash,
    file: number,
    path: string,
    options: {
      peers: readonly TorrentPeer[]
      accept: (info: Uint8Array) => boolean | Promise<boolean>
      signal?: AbortSignal
    },
  ): Promise<{ info: Uint8Array; downloadedBytes: number }>
  /**
   * Opens a torrent for reading parts of it, from the given peers and those that are added. The info dictionary is not asked for when
   * `info` is given. A read rejects with `silent` when no block came for `patienceMs` (default 30 s). Open until it is closed or removed.
   */
  open(
    infohash: Infohash,
    options: {
      peers: readonly TorrentPeer[]
      accept: (info: Uint8Array) => boolean | Promise<boolean>
      info?: Uint8Array
      patienceMs?: number
      signal?: AbortSignal
    },
  ): Promise<TorrentReader>
  /** Adds peers to an active fetch of a whole torrent, to one that is read, or to a seed, which wakes for them; else a no-op. */
  addPeers(infohash: Infohash, peers: readonly TorrentPeer[]): void
  /** Where a router lets others in by IPv4, which trackers and the DHT are told; null: it maps nothing. Before or after start. */
  setOutside(endpoint: TorrentPeer | null): void
  /** Stops and forgets one torrent; files stay. */
  remove(infohash: Infohash): Promise<void>
  /** Of all that it has. While it starts again, what it had. */
  stats(): Promise<TorrentStats[]>
  /** How it finds peers besides trackers. */
  discovery(): Promise<Discovery>
  stop(): Promise<void>
}

/** How peers are found besides trackers, for status. */
export interface Discovery {
  /** BitTorrent's mainline DHT (BEP 5). */
  readonly dht: DiscoveryStats
  /** The same over IPv6 (BEP 32), a network of its own. */
  readonly dht6: DiscoveryStats
  /** Local service discovery (BEP 14). */
  readonly lsd: DiscoveryStats
}

export interface DiscoveryStats {
  /** Why it does not run, in words; null: it runs. */
  readonly off: string | null
  /** UDP port where others ask us, of one that has its own; null while it does not run. */
  readonly port: number | null
  /** Others that are known, where it has a table of them. */
  readonly nodes: number
  /** Unix ms when a torrent was announced there last; null: not yet. */
  readonly announcedAtMs: number | null
}

/** Which program seeds, for status. */
export interface EngineAbout {
  /** `own`, `qBittorrent`, `Transmission` */
  readonly name: string
  readonly version: string
  /** Why it cannot be asked now, in a sentence; null: all is well. */
  readonly problem: string | null
}

// ---------------------------------------------------------------- store

export type StoreOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

/** Ordered key-value store; values are checksummed by the adapter. Keys are ASCII. */
export interface Store {
  get(key: string): Promise<Uint8Array | null>
  /** All or nothing; durable (synced) when it resolves. */
  batch(operations: readonly StoreOperation[]): Promise<void>
  /** Entries whose key starts with the prefix, in key order. */
  list(prefix: string): AsyncIterable<{ key: string; value: Uint8Array }>
  close(): Promise<void>
}

/** A shard together with where it came from, for status. */
export interface KnownShard {
  readonly shard: Shard
  readonly catalogIssuedAtMs: number
}

/**
 * The shapes that the engine's package hands out: a torrent, its chunk store, and a wire (one connection to a peer after the
 * BitTorrent handshake). Only what we use.
 */
import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { CalledSocket } from './called-socket.ts'

/** A limit that all connections share, one way. */
export interface ThrottleGroup {
  getEnabled(): boolean
  /** Bytes a second; 0: nothing passes. */
  getRate(): number
  /** `stepBytes`: what one connection takes at a time. */
  setRate(bytesPerSecond: number, stepBytes: number): void
  /** `bucketSize`: what may pass at once after a silence, no less than a step. `setRate` makes it a second's worth. */
  readonly bucket: { bucketSize: number }
}

export interface EngineTorrent extends EventEmitter {
  readonly numPeers: number
  readonly wires: readonly Wire[]
  readonly bitfield: { get(piece: number): boolean; set(piece: number): void }
  /** null: it is there. */
  readonly pieces: unknown[]
  /** Who was asked for which block of a piece; null: it is there. Not public. */
  readonly _reservations: unknown[]
  /** What a seed does instead of looking at the disk. Not public. */
  _markAllVerified: () => void
  readonly ready: boolean
  readonly destroyed: boolean
  /** Peers by `host:port`, dialled and connected ones; null once destroyed. Not public. */
  readonly _peers: ReadonlyMap<string, EnginePeer> | null
  /** How many peers have each piece; only asked for what to fetch. Not public. */
  _rarityMap: { destroy(): void } | null
  /** Not public. */
  readonly client: {
    readonly maxConns: number
    readonly throttleGroups: { readonly down: ThrottleGroup }
  }
  /** A connection that is not made yet. False when there is one to the same `id` already. */
  addPeer(connection: CalledSocket): boolean
  /** Looks what may be asked of whom. Not public. */
  _update: () => void
  /** From now on the piece is offered. Emits `verified`. Not public. */
  _markVerified(piece: number): void
  destroy(options: { readonly destroyStore: boolean }, callback: () => void): void
}

/** Emits `upload` with the bytes of whatever goes from its wire to its socket. */
export interface EnginePeer extends EventEmitter {
  addr: string | null
  readonly conn: Socket | null
  readonly wire: Wire | null
}

type Callback<T> = (error: Error | null, value?: T) => void

/** abstract-chunk-store. */
export interface EngineStore {
  readonly chunkLength: number
  get(
    piece: number,
    options: { offset?: number; length?: number } | null | undefined,
    callback: Callback<Uint8Array>,
  ): void
  put(piece: number, bytes: Uint8Array, callback: Callback<void>): void
  close(callback: Callback<void>): void
  destroy(callback: Callback<void>): void
}

export interface PeerRequest {
  readonly piece: number
  readonly offset: number
  readonly length: number
}

export interface Wire extends EventEmitter {
  readonly destroyed: boolean
  readonly peerChoking: boolean
  readonly amChoking: boolean
  choke(): void
  /** Set once the peer said that it has everything. */
  readonly isSeeder?: boolean
  /** Which pieces the peer says it has. */
  readonly peerPieces: { get(piece: number): boolean; set(piece: number): void }
  /** Payload bytes received. */
  readonly downloaded: number
  /** Payload bytes sent. */
  uploaded: number
  uploadSpeed(sentBytes: number): void
  /** What we say in the extended handshake (BEP 10). */
  readonly extendedHandshake: Record<string, unknown>
  /** The peer's number for an extension's messages. */
  /** As the peer sent it (BEP 10); empty before. */
  readonly peerExtendedHandshake: { readonly reqq?: unknown }
  readonly peerExtendedMapping: Readonly<Record<string, number | undefined>>
  /** Requests of the peer that we have not answered. */
  readonly peerRequests: PeerRequest[]
  readonly hasFast: boolean
  use(extension: ExtensionClass): void
  extended(extension: string, message: Uint8Array): void
  /** Says so once; a peer that is not asked to send does not. */
  interested(): void
  request(
    piece: number,
    offset: number,
    length: number,
    callback: (error: Error | null, bytes?: Uint8Array) => void,
  ): void
  /** Requests that the peer has not answered. */
  readonly requests: readonly { readonly piece: number; readonly offset: number; readonly length: number }[]
  cancel(piece: number, offset: number, length: number): void
  reject(piece: number, offset: number, length: number): void
  have(piece: number): void
  destroy(): void
  /** Sends a message. */
  _push(message: Uint8Array): void
  /** Makes a line for a log that nobody reads, some six times a block. */
  _debug: () => void
  /** What the wire waits for, in bytes, and who takes them. */
  readonly _parserSize: number
  readonly _parser: (bytes: Uint8Array) => void
  /** What came and is no whole message yet, and its length. */
  _buffer: Uint8Array[]
  _bufferSize: number
  /** Hands out the messages in `_buffer`. */
  _processBuffer(): void
  _write(data: Uint8Array, callback: (error: Error | null) => void): void
  /** Inner steps that the guard wraps, because the package leaves them without a bound. */
  _parse(sizeBytes: number, parser: (bytes: Uint8Array) => void): void
  _onRequest(piece: number, offset: number, length: number): void
  _onHave(piece: number): void
  _onCancel(piece: number, offset: number, length: number): void
  /** State of the outgoing stream: bytes that wait for the socket. */
  readonly _readableState: { readonly buffered: number }
}

export interface Extension {
  onExtendedHandshake(handshake: Readonly<Record<string, unknown>>): void
  onMessage(message: Uint8Array): void
}

/** The wire reads `prototype.name`, which must be the extension's name. */
export type ExtensionClass = new (wire: Wire) => Extension

/** ByteSource over one file of a torrent, read piece by piece from its peers: nothing is written to disk. */
import type { Infohash } from '../../protocol/ids.ts'
import { decodeInfo, type InfoKind } from '../../protocol/torrent/info.ts'
import {
  READ_BYTES_MAX,
  type TorrentEngine,
  TorrentError,
  type TorrentPeer,
  type TorrentReader,
} from '../ports.ts'
import { type ByteSource, checkRange, SourceError } from './byte-source.ts'
import { type FindPeers, MorePeers } from './more-peers.ts'

export interface SwarmTorrent {
  readonly infohash: Infohash
  /** The raw info dictionary, whose SHA-1 is the infohash; null: the peers are asked for it. */
  readonly info: Uint8Array | null
  /** Whether an info dictionary has the files that are expected. @default any is taken: the infohash names it */
  readonly accept?: (info: Uint8Array) => boolean
  readonly peers: readonly TorrentPeer[]
  /** @default a shard */
  readonly kind?: InfoKind
}

/** A torrent whose files are opened one by one; its connections are shared. */
export interface SwarmReader {
  /** `path` as in the info dictionary. Throws RangeError when the torrent has no such file. */
  file(path: string): ByteSource
  /** The raw info dictionary. */
  readonly info: Uint8Array
  /** Payload bytes that came. */
  readonly downloadedBytes: number
  close(): Promise<void>
}

export interface SwarmOptions {
  /** A read fails after so long without a block. @default 30 s */
  readonly patienceMs?: number
  /** Asked when nobody gives anything. @default only the torrent's peers are called */
  readonly findPeers?: FindPeers | undefined
}

/** Rejects with SourceError. */
export async function openSwarm(
  engine: TorrentEngine,
  torrent: SwarmTorrent,
  { findPeers, ...options }: SwarmOptions & { readonly signal?: AbortSignal } = {},
): Promise<SwarmReader> {
  const { infohash, peers, accept = () => true, kind = 'shard' } = torrent
  const known = torrent.info === null ? {} : { info: torrent.info }
  const patienceMs = options.patienceMs ?? PATIENCE_MS
  const late = AbortSignal.timeout(patienceMs)
  const signal = options.signal === undefined ? late : AbortSignal.any([late, options.signal])
  let reader: TorrentReader | null = null
  const afterMs = Math.min(SEARCH_AFTER_MS, patienceMs / 2)
  const more =
    findPeers === undefined
      ? null
      : new MorePeers({
          search: (stop) => findPeers(infohash, (found) => engine.addPeers(infohash, found), stop),
          cameBytes: () => reader?.downloadedBytes ?? 0,
          firstAfterMs: peers.length === 0 ? 0 : afterMs,
          afterMs,
        })
  const during = <T>(work: Promise<T>): Promise<T> => more?.during(work) ?? work
  try {
    const opening = engine.open(infohash, { peers, accept, kind, ...known, ...options })
    reader = await during(orLeft(opening, signal))
  } catch (error) {
    await more?.stop()
    if (late.aborted)
      throw new SourceError('unreachable', 'no peer gave the list of files in time', { cause: error })
    throw asSourceError(error)
  }
  const opened = reader
  const info = decodeInfo(opened.info, kind)
  if (info === null) throw new TypeError('the engine gives only info dictionaries that can be read')
  return {
    file(path) {
      const index = info.files.findIndex((file) => file.path === path)
      const sizeBytes = info.files[index]?.sizeBytes
      if (sizeBytes === undefined) throw new RangeError(`no file ${path}`)
      return {
        sizeBytes,
        async read(start, end, signal) {
          checkRange(start, end, sizeBytes, READ_BYTES_MAX)
          try {
            return await during(opened.read(index, start, end, signal))
          } catch (error) {
            throw asSourceError(error)
          }
        },
        close: async () => {},
      }
    },
    info: opened.info,
    get downloadedBytes() {
      return opened.downloadedBytes
    },
    close: async () => {
      await more?.stop()
      await opened.close()
    },
  }
}

/** How long peers have for the info dictionary, and for the next block. */
const PATIENCE_MS = 30_000
/** Others are looked for when nothing came for so long: two dials of each peer. */
const SEARCH_AFTER_MS = 5_000

/** What opens after nobody waits for it is closed again. */
async function orLeft(opening: Promise<TorrentReader>, signal: AbortSignal): Promise<TorrentReader> {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(new TorrentError('aborted', 'reading was stopped'))
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([opening, promise])
  } catch (error) {
    opening.then(
      (reader) => reader.close(),
      () => {},
    )
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function asSourceError(error: unknown): unknown {
  if (!(error instanceof TorrentError)) return error
  const code = error.code === 'aborted' ? 'aborted' : 'unreachable'
  return new SourceError(code, error.message, { cause: error })
}

/** ByteSource over one file of a torrent, read piece by piece from its peers: nothing is written to disk. */
import type { Infohash } from '../../protocol/ids.ts'
import { decodeInfo } from '../../protocol/torrent/info.ts'
import {
  READ_BYTES_MAX,
  type TorrentEngine,
  TorrentError,
  type TorrentPeer,
  type TorrentReader,
} from '../ports.ts'
import { type ByteSource, checkRange, SourceError } from './byte-source.ts'

export interface SwarmTorrent {
  readonly infohash: Infohash
  /** The raw info dictionary, whose SHA-1 is the infohash. */
  readonly info: Uint8Array
  readonly peers: readonly TorrentPeer[]
}

/** A torrent whose files are opened one by one; its connections are shared. */
export interface SwarmReader {
  /** `path` as in the info dictionary. Throws RangeError when the torrent has no such file. */
  file(path: string): ByteSource
  /** Payload bytes that came. */
  readonly downloadedBytes: number
  close(): Promise<void>
}

/** Rejects with SourceError. `patienceMs`: a read fails after so long without a block. */
export async function openSwarm(
  engine: TorrentEngine,
  torrent: SwarmTorrent,
  options: { patienceMs?: number; signal?: AbortSignal } = {},
): Promise<SwarmReader> {
  const info = decodeInfo(torrent.info)
  if (info === null) throw new RangeError(`${torrent.infohash}: not an info dictionary`)
  const { infohash, peers } = torrent
  const reader: TorrentReader = await engine
    .open(infohash, { peers, info: torrent.info, accept: () => true, ...options })
    .catch((error: unknown) => Promise.reject(asSourceError(error)))
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
            return await reader.read(index, start, end, signal)
          } catch (error) {
            throw asSourceError(error)
          }
        },
        close: async () => {},
      }
    },
    get downloadedBytes() {
      return reader.downloadedBytes
    },
    close: () => reader.close(),
  }
}

function asSourceError(error: unknown): unknown {
  if (!(error instanceof TorrentError)) return error
  const code = error.code === 'aborted' ? 'aborted' : 'unreachable'
  return new SourceError(code, error.message, { cause: error })
}

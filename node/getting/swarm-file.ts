/** Files from the swarm, each by its own pieces: what is there is held against the pieces' hashes and gone on from. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { equalBytes } from '../../protocol/codec/bytes.ts'
import type { Infohash } from '../../protocol/ids.ts'
import type { MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'
import { decodeInfo, type Info, PIECE_HASH_BYTES } from '../../protocol/torrent/info.ts'
import { layoutOf } from '../../protocol/torrent/spans.ts'
import type { TorrentEngine } from '../ports.ts'
import { type ByteSource, SourceError } from '../reading/byte-source.ts'
import type { SwarmShard } from '../reading/swarm-run.ts'
import { openSwarm, type SwarmReader } from '../reading/swarm-source.ts'
import { type FileSource, GetError } from './file-source.ts'

/** Read at once, and the next while these are written. */
const WINDOW_BYTES = 8 * 1024 * 1024

export interface SwarmOptions {
  readonly engine: TorrentEngine
  readonly shard: (shard: MergedManifestShard) => SwarmShard
  /** A read fails after so long without a block. @default 30 s */
  readonly patienceMs?: number
}

export function swarmSource({ engine, shard: of, ...options }: SwarmOptions): FileSource {
  const readers = new Map<Infohash, Promise<SwarmReader>>()
  /** Torrents that nobody gave: they are not waited for with every file. */
  const silent = new Set<Infohash>()
  const readerOf = (shard: MergedManifestShard, signal: AbortSignal | undefined): Promise<SwarmReader> => {
    const known = readers.get(shard.infohash)
    if (known !== undefined) return known
    const opening = (async () => {
      const swarm = of(shard)
      const torrent = { ...swarm, info: await swarm.info() }
      return openSwarm(engine, torrent, { ...options, ...(signal === undefined ? {} : { signal }) })
    })()
    readers.set(shard.infohash, opening)
    opening.catch(() => readers.delete(shard.infohash))
    return opening
  }
  return {
    kind: 'swarm',
    name: 'the swarm',
    offers: (shard) => !silent.has(shard.infohash) && of(shard).peers.length > 0,
    async fetch(shard, file, path, { onBytes, signal }) {
      try {
        const reader = await readerOf(shard, signal)
        const handle = await open(path, 'a+').then(async (made) => {
          await made.close()
          return open(path, 'r+')
        })
        try {
          const from = await wholeBytes(handle, reader.info, file.path)
          await copy(reader.file(file.path), handle, from, onBytes, signal)
          await handle.truncate(file.size)
          await handle.sync()
        } finally {
          await handle.close()
        }
      } catch (error) {
        if (!(error instanceof SourceError)) throw error
        if (error.code === 'unreachable') silent.add(shard.infohash)
        throw new GetError(error.message, { cause: error })
      }
    },
    close: async () => {
      const open = await Promise.allSettled(readers.values())
      await Promise.all(open.map((one) => (one.status === 'fulfilled' ? one.value.close() : undefined)))
    },
  }
}

async function copy(
  source: ByteSource,
  handle: FileHandle,
  from: number,
  onBytes: (count: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const window = (at: number) =>
    at < source.sizeBytes
      ? source.read(at, Math.min(at + WINDOW_BYTES, source.sizeBytes), signal)
      : Promise.resolve(new Uint8Array())
  let coming = window(from)
  for (let at = from; at < source.sizeBytes; ) {
    const bytes = await coming
    coming = window(at + bytes.length)
    // It is waited for in the next turn; a failure before that is not lost.
    coming.catch(() => {})
    for (let done = 0; done < bytes.length; ) {
      done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten
    }
    at += bytes.length
    onBytes(bytes.length)
  }
}

/** How many bytes at the beginning of a partial file are right, as far as pieces that lie in it tell. */
async function wholeBytes(handle: FileHandle, infoBytes: Uint8Array, path: string): Promise<number> {
  const info: Info | null = decodeInfo(infoBytes)
  const index = info?.files.findIndex((file) => file.path === path) ?? -1
  const start = info === null ? undefined : layoutOf(info.files).starts[index]
  const { size } = await handle.stat()
  if (info === null || start === undefined || size === 0) return 0
  const length = info.pieceLengthBytes
  const first = Math.ceil(start / length)
  const buffer = new Uint8Array(length)
  let whole = 0
  for (let piece = first; (piece + 1) * length - start <= size; piece++) {
    const position = piece * length - start
    for (let at = 0; at < length; ) {
      const { bytesRead } = await handle.read(buffer, at, length - at, position + at)
      if (bytesRead === 0) return whole
      at += bytesRead
    }
    const hash = info.pieces.subarray(piece * PIECE_HASH_BYTES, (piece + 1) * PIECE_HASH_BYTES)
    if (!equalBytes(createHash('sha1').update(buffer).digest(), hash)) return whole
    whole = position + length
  }
  // What lies before the first whole piece is believed with it, and held against the file's digest in the end.
  return whole
}

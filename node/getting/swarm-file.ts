/** Files from the swarm, each by its own pieces: what is there is held against the pieces' hashes and gone on from. */
import { rm } from 'node:fs/promises'
import type { Infohash } from '../../protocol/ids.ts'
import type { MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'
import { decodeInfo } from '../../protocol/torrent/info.ts'
import type { ByteRange } from '../../protocol/torrent/spans.ts'
import { metaPath } from '../origin/partial-file.ts'
import type { TorrentEngine } from '../ports.ts'
import { type ByteSource, SourceError } from '../reading/byte-source.ts'
import type { SwarmShard } from '../reading/swarm-run.ts'
import { openSwarm, type SwarmOptions, type SwarmReader } from '../reading/swarm-source.ts'
import { PieceFiles } from '../transfer/piece-files.ts'
import { type FileSource, GetError } from './file-source.ts'

/** Read at once: a piece, or this if that is more. */
const WINDOW_BYTES_MIN = 1024 * 1024
/** Asked for before it is written. */
const AHEAD_BYTES = 16 * 1024 * 1024

export interface SwarmSourceOptions extends SwarmOptions {
  readonly engine: TorrentEngine
  readonly shard: (shard: MergedManifestShard) => SwarmShard
}

export function swarmSource({ engine, shard: of, ...options }: SwarmSourceOptions): FileSource {
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
    offers: (shard) =>
      !silent.has(shard.infohash) && (options.findPeers !== undefined || of(shard).peers.length > 0),
    async fetch(shard, file, path, { before, onBytes, signal }) {
      try {
        const reader = await readerOf(shard, signal)
        const info = decodeInfo(reader.info)
        const index = info?.files.findIndex((one) => one.path === file.path) ?? -1
        if (info === null || index < 0) throw new GetError('its torrent has no such file')
        const files = new PieceFiles(
          info,
          info.files.map((_, at) => (at === index ? path : null)),
        )
        try {
          const doubt = before !== 'believe'
          const { ranges } = await files.missing(files.rangeOf(index), { doubt, signal })
          // From here on the file is not what a download began, but pieces.
          await rm(metaPath(path), { force: true })
          await copy(reader.file(file.path), files, index, ranges, onBytes, signal)
          await files.seal(index)
        } finally {
          await files.close()
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

/** Writes in order, so that what is there when it stops is a beginning to go on from. */
async function copy(
  source: ByteSource,
  files: PieceFiles,
  file: number,
  ranges: readonly ByteRange[],
  onBytes: (count: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fileStart = files.rangeOf(file).start
  const windowBytes = Math.max(WINDOW_BYTES_MIN, files.info.pieceLengthBytes)
  const windows = ranges.flatMap(({ start, end }) => windowsOf(start, end, windowBytes))
  const coming: Promise<Uint8Array>[] = []
  let asked = 0
  for (const [index, { start }] of windows.entries()) {
    for (; asked < windows.length; asked++) {
      const { [asked]: next, [asked - 1]: last } = windows
      const isFar = asked > index + 1 && last !== undefined && last.end - start >= AHEAD_BYTES
      if (next === undefined || isFar) break
      const window = source.read(next.start - fileStart, next.end - fileStart, signal)
      // It is waited for in its turn; a failure before that is not lost.
      window.catch(() => {})
      coming.push(window)
    }
    const bytes = (await coming.shift()) ?? new Uint8Array()
    await files.write(start, bytes)
    onBytes(bytes.length)
  }
}

function windowsOf(start: number, end: number, bytesMax: number): ByteRange[] {
  const windows: ByteRange[] = []
  for (let at = start; at < end; at += bytesMax)
    windows.push({ start: at, end: Math.min(at + bytesMax, end) })
  return windows
}

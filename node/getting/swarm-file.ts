/**
 * Files from the swarm, each by its own pieces: what is there is held against the pieces' hashes and gone on from. The torrent is the
 * shard's own, or a bundle that holds it.
 */
import { rm } from 'node:fs/promises'
import type { Infohash } from '../../protocol/ids.ts'
import type { MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'
import { decodeInfo, type Info, type InfoKind } from '../../protocol/torrent/info.ts'
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

/** A torrent that holds the files of a shard. */
export interface FileTorrent extends Pick<SwarmShard, 'infohash' | 'peers' | 'info'> {
  /** @default a shard */
  readonly kind?: InfoKind
  /** What stands before a path of the shard: `tenwiki/`. @default nothing */
  readonly folder?: string
}

export interface SwarmSourceOptions extends SwarmOptions {
  readonly engine: TorrentEngine
  readonly torrent: (shard: MergedManifestShard) => FileTorrent
  /** For people. @default the swarm */
  readonly name?: string
}

interface OpenTorrent {
  readonly reader: SwarmReader
  readonly info: Info
  /** Where each file stands in it. */
  readonly indexes: ReadonlyMap<string, number>
}

export function swarmSource({
  engine,
  torrent: of,
  name = 'the swarm',
  ...options
}: SwarmSourceOptions): FileSource {
  const readers = new Map<Infohash, Promise<OpenTorrent>>()
  /** Torrents that nobody gave: they are not waited for with every file. */
  const silent = new Set<Infohash>()
  const open = async (swarm: FileTorrent, signal: AbortSignal | undefined): Promise<OpenTorrent> => {
    const torrent = { ...swarm, info: await swarm.info() }
    const reader = await openSwarm(engine, torrent, {
      ...options,
      ...(signal === undefined ? {} : { signal }),
    })
    const info = decodeInfo(reader.info, swarm.kind)
    if (info === null) throw new TypeError('the engine gives only info dictionaries that can be read')
    return { reader, info, indexes: new Map(info.files.map((file, index) => [file.path, index])) }
  }
  const opened = (swarm: FileTorrent, signal: AbortSignal | undefined): Promise<OpenTorrent> => {
    const known = readers.get(swarm.infohash)
    if (known !== undefined) return known
    const opening = open(swarm, signal)
    readers.set(swarm.infohash, opening)
    opening.catch(() => readers.delete(swarm.infohash))
    return opening
  }
  return {
    kind: 'swarm',
    name,
    offers: (shard) => {
      const { infohash, peers } = of(shard)
      return !silent.has(infohash) && (options.findPeers !== undefined || peers.length > 0)
    },
    async fetch(shard, file, path, { before, onBytes, signal }) {
      const swarm = of(shard)
      const inTorrent = `${swarm.folder ?? ''}${file.path}`
      try {
        const { reader, info, indexes } = await opened(swarm, signal)
        const index = indexes.get(inTorrent)
        if (index === undefined) throw new GetError('its torrent has no such file')
        const files = new PieceFiles(
          info,
          info.files.map((_, at) => (at === index ? path : null)),
        )
        try {
          const doubt = before !== 'believe'
          const { ranges } = await files.missing(files.rangeOf(index), { doubt, signal })
          // From here on the file is not what a download began, but pieces.
          await rm(metaPath(path), { force: true })
          await copy(reader.file(inTorrent), files, index, ranges, onBytes, signal)
          await files.seal(index)
        } finally {
          await files.close()
        }
      } catch (error) {
        if (!(error instanceof SourceError)) throw error
        if (error.code === 'unreachable') silent.add(swarm.infohash)
        throw new GetError(error.message, { cause: error })
      }
    },
    close: async () => {
      const open = await Promise.allSettled(readers.values())
      await Promise.all(
        open.map((one) => (one.status === 'fulfilled' ? one.value.reader.close() : undefined)),
      )
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

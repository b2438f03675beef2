/** RunSource over the torrents of one run: nothing is fetched but what is read. */
import type { Dataset, Infohash } from '../../protocol/ids.ts'
import { fileNameOf } from '../../protocol/shard/paths.ts'
import { decodeInfo } from '../../protocol/torrent/info.ts'
import type { TorrentEngine, TorrentPeer } from '../ports.ts'
import type { RunSource } from './byte-source.ts'
import { openSwarm, type SwarmOptions, type SwarmReader } from './swarm-source.ts'

export interface SwarmShard {
  readonly infohash: Infohash
  /** Inside the torrent, without its name. */
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[]
  readonly peers: readonly TorrentPeer[]
  /** The raw info dictionary, if it is known; else the peers are asked. */
  readonly info: () => Promise<Uint8Array | null>
}

export interface SwarmRun extends RunSource {
  /** Payload bytes that came, of all torrents. */
  readonly downloadedBytes: number
}

/** A torrent is opened when a file of it is. */
export function openSwarmRun(
  engine: TorrentEngine,
  run: {
    readonly dataset: Dataset
    readonly wiki: string
    readonly date: string
    readonly shards: readonly SwarmShard[]
  },
  options: SwarmOptions = {},
): SwarmRun {
  const readers = new Map<Infohash, Promise<SwarmReader>>()
  const open: SwarmReader[] = []
  const byName = new Map<string, { shard: SwarmShard; path: string; sizeBytes: number }>()
  for (const shard of run.shards) {
    for (const { path, sizeBytes } of shard.files) byName.set(fileNameOf(path), { shard, path, sizeBytes })
  }
  const start = async (shard: SwarmShard, signal: AbortSignal | undefined): Promise<SwarmReader> => {
    const torrent = { ...shard, info: await shard.info(), accept: (info: Uint8Array) => isOf(info, shard) }
    const reader = await openSwarm(engine, torrent, {
      ...options,
      ...(signal === undefined ? {} : { signal }),
    })
    open.push(reader)
    return reader
  }
  return {
    dataset: run.dataset,
    wiki: run.wiki,
    date: run.date,
    files: [...byName].map(([name, { sizeBytes }]) => ({ name, sizeBytes })),
    async open(name, signal) {
      const found = byName.get(name)
      if (found === undefined) throw new RangeError(`no file ${name}`)
      const { shard, path } = found
      let reader = readers.get(shard.infohash)
      if (reader === undefined) {
        reader = start(shard, signal)
        readers.set(shard.infohash, reader)
        reader.catch(() => readers.delete(shard.infohash))
      }
      return (await reader).file(path)
    },
    get downloadedBytes() {
      return open.reduce((sum, reader) => sum + reader.downloadedBytes, 0)
    },
    close: async () => {
      await Promise.all(open.map((reader) => reader.close()))
    },
  }
}

/** An info dictionary with the files that a signed manifest names. */
function isOf(bytes: Uint8Array, shard: SwarmShard): boolean {
  const info = decodeInfo(bytes)
  return (
    info !== null &&
    info.files.length === shard.files.length &&
    info.files.every(
      (file, index) =>
        file.path === shard.files[index]?.path && file.sizeBytes === shard.files[index]?.sizeBytes,
    )
  )
}

/** A held shard as the engine seeds it: its .torrent on disk, and whether its files are still those that were verified. */
import { readFile, stat } from 'node:fs/promises'
import type { Infohash } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { torrentFiles, totalBytes } from '../../protocol/torrent/info.ts'
import { type FileTime, fileTime } from '../files/file-time.ts'
import type { SeedSource } from '../ports.ts'
import type { HeldFiles } from '../store/held-files.ts'
import { dumpPath } from './build-shard.ts'
import type { ShardFiles } from './shard-files.ts'

export class HeldTorrent implements SeedSource {
  readonly infohash: Infohash
  readonly #shard: Shard
  readonly #files: ShardFiles
  readonly #held: HeldFiles

  constructor(shard: Shard, infohash: Infohash, files: ShardFiles, held: HeldFiles) {
    this.infohash = infohash
    this.#shard = shard
    this.#files = files
    this.#held = held
  }

  get sizeBytes(): number {
    return totalBytes(torrentFiles(this.#shard))
  }

  torrent(): Promise<Uint8Array> {
    return readFile(this.#files.torrentPath(this.infohash))
  }

  /** By `stat` alone. Without a record (a folder of an older version) sizes must do. Rejects when the machine lacks descriptors. */
  async changed(): Promise<readonly string[]> {
    const record = await this.#held.get(this.infohash)
    const wrong: string[] = []
    for (const [i, file] of torrentFiles(this.#shard).entries()) {
      const seen = await timeOf(dumpPath(this.#shard, this.#files.mirror, file.path))
      const then = record?.files[i]
      if (typeof seen === 'string') wrong.push(`${file.path}: ${seen}`)
      else if (seen.sizeBytes !== file.sizeBytes)
        wrong.push(`${file.path}: ${seen.sizeBytes} bytes, should be ${file.sizeBytes}`)
      else if (then !== undefined && then.changedUs !== seen.changedUs)
        wrong.push(`${file.path}: changed on disk since it was verified`)
    }
    return wrong
  }
}

/** Of all files of a shard, in the torrent's order; null when one is not there. */
export async function timesOf(shard: Shard, root: string): Promise<FileTime[] | null> {
  const times: FileTime[] = []
  for (const file of torrentFiles(shard)) {
    const time = await timeOf(dumpPath(shard, root, file.path))
    if (typeof time === 'string') return null
    times.push(time)
  }
  return times
}

/** The text is why there is none: an error code of the file system. */
async function timeOf(path: string): Promise<FileTime | string> {
  try {
    return fileTime(await stat(path))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM') throw error
    return code ?? 'unreadable'
  }
}

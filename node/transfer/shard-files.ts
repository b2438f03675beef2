/**
 * A shard's files on this disk: `staging/<digest>/` while they come, the mirror folder once they are verified. Moving is by
 * rename, so a crash leaves each file in one of the two places, and `adopt` brings them together again.
 */
import { readdir, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Infohash } from '../../protocol/ids.ts'
import { INFO_BYTES_MAX } from '../../protocol/limits.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { infoMatchesShard, torrentFiles } from '../../protocol/torrent/info.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { exists, sizeOf } from '../files/disk.ts'
import { makeFolder, moveFile, moveTree, writeFileAtomic } from '../files/durable.ts'
import { type Layout, safeJoin } from '../files/layout.ts'
import type { OnStep } from '../files/steps.ts'
import { type BuiltShard, dumpPath } from './build-shard.ts'

export class ShardFiles {
  readonly #layout: Layout
  readonly #onStep: OnStep

  constructor(layout: Layout, onStep: OnStep = () => {}) {
    this.#layout = layout
    this.#onStep = onStep
  }

  /** The folder that holds verified shards in mirror layout. */
  get mirror(): string {
    return this.#layout.mirror
  }

  /** Not verified yet: the `.part` of a whole shard. */
  staging(shard: Shard): string {
    return safeJoin(this.#layout.staging, shard.digest)
  }

  /** Where a file of a shard that is not held here comes to be audited (PROTOCOL 7). */
  auditing(shard: Shard): string {
    return safeJoin(this.#layout.staging, `audit-${shard.digest}`)
  }

  torrentPath(infohash: Infohash): string {
    return safeJoin(this.#layout.torrents, `${infohash}.torrent`)
  }

  /** Makes the staging folder and moves there what lies in the mirror: an install that a crash cut, or a damaged replica. */
  async adopt(shard: Shard): Promise<void> {
    const staging = this.staging(shard)
    for (const file of torrentFiles(shard)) {
      const to = dumpPath(shard, staging, file.path)
      await makeFolder(dirname(to))
      const from = dumpPath(shard, this.mirror, file.path)
      if ((await exists(from)) && !(await exists(to))) await moveFile(from, to)
    }
    this.#onStep('staged')
  }

  /**
   * Keeps the raw info dictionary by whose pieces a fetch from the swarm writes, beside what it writes: whoever goes on knows by it what
   * is there, also after a restart. A stranger's word until the shard is verified.
   */
  async keepInfo(shard: Shard, info: Uint8Array): Promise<void> {
    await writeFileAtomic(this.#infoPath(shard), info)
  }

  /** Null when no fetch from the swarm is to be gone on with. */
  async keptInfo(shard: Shard): Promise<Uint8Array | null> {
    const path = this.#infoPath(shard)
    const sizeBytes = await sizeOf(path)
    if (sizeBytes === 0 || sizeBytes > INFO_BYTES_MAX) return null
    const info = await readFile(path)
    return infoMatchesShard(info, shard) ? info : null
  }

  /** It does not stand for the shard's bytes. */
  async forgetInfo(shard: Shard): Promise<void> {
    await rm(this.#infoPath(shard), { force: true })
  }

  /** No wiki and no dataset has a dot in its name, so this is no torrent's folder. */
  #infoPath(shard: Shard): string {
    return safeJoin(this.staging(shard), 'info.bencode')
  }

  /** Puts a verified shard into the mirror, its metadata files and .torrent with it. Returns the .torrent's bytes. */
  async install(shard: Shard, built: BuiltShard): Promise<Uint8Array> {
    const staging = this.staging(shard)
    const paths = shard.files.map((file) => `${shard.name}/${file.path}`)
    await moveTree(staging, this.mirror, paths, () => this.#onStep('moved'))
    for (const file of built.metadata)
      await writeFileAtomic(dumpPath(shard, this.mirror, file.path), file.bytes)
    this.#onStep('metadata-written')
    const torrent = encodeMetainfo({ info: built.info })
    await writeFileAtomic(this.torrentPath(built.infohash), torrent)
    this.#onStep('torrent-written')
    await this.discard(shard)
    this.#onStep('staging-removed')
    return torrent
  }

  /** Removes staging folders that no claim needs any more, left by a crash. */
  async sweep(claimed: readonly Shard[]): Promise<void> {
    const needed = new Set<string>(claimed.map((shard) => shard.digest))
    for (const name of await readdir(this.#layout.staging)) {
      if (!needed.has(name)) await rm(safeJoin(this.#layout.staging, name), { recursive: true, force: true })
    }
  }

  /** Removes a replica that others keep (PROTOCOL 8). */
  async remove(shard: Shard, infohash: Infohash | null): Promise<void> {
    for (const file of torrentFiles(shard)) await rm(dumpPath(shard, this.mirror, file.path), { force: true })
    if (infohash !== null) await rm(this.torrentPath(infohash), { force: true })
    await this.discard(shard)
  }

  /** Forgets what came so far. */
  async discard(shard: Shard): Promise<void> {
    await rm(this.staging(shard), { recursive: true, force: true })
  }
}

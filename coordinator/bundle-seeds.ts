/**
 * Seeds of cycle bundles: from the mirror's own files, by a link of the bundle's name to the mirror, and only while every shard of the
 * bundle is held whole.
 */
import { readFile, rm, symlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { type Clock, type Log, type SeedSource, type TorrentEngine, TorrentError } from '../node/ports.ts'
import { isSystemError } from '../node/system-error.ts'
import type { ShardFiles } from '../node/transfer/shard-files.ts'
import type { CoreState, Own } from '../protocol/core/state.ts'
import type { Infohash, ShardKey } from '../protocol/ids.ts'
import type { Shard } from '../protocol/shard/shard.ts'
import { decodeMetainfo } from '../protocol/torrent/metainfo.ts'
import type { MadeBundle } from './bundle-records.ts'

export interface BundleSeedsParts {
  readonly state: Pick<CoreState, 'own'>
  readonly engine: Pick<TorrentEngine, 'seed' | 'remove' | 'stats'>
  readonly copies: {
    /** Files of our copy that changed since they were verified, by sizes and times. */
    changed(shard: Shard): Promise<readonly string[]>
    /** Reads our copy; what is damaged is repaired. */
    check(shard: Shard): Promise<readonly string[]>
  }
  readonly files: Pick<ShardFiles, 'mirror' | 'torrentPath'>
  /** The folder of links to the mirror. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Log
}

/** What fails again and again is tried less and less. */
const WAIT_MS = 60_000
const WAIT_MS_MAX = 3_600_000

interface Seeding {
  isSeeded: boolean
  /** Monotonic ms: not before. */
  againAtMs: number
  waitMs: number
}

export class BundleSeeds {
  readonly #parts: BundleSeedsParts
  readonly #seeding = new Map<Infohash, Seeding>()

  constructor(parts: BundleSeedsParts) {
    this.#parts = parts
  }

  /** Our copy of a shard, if it is held now. */
  held(key: ShardKey): Own | null {
    const own = this.#parts.state.own.get(key)
    return own?.state === 'held' && own.infohash !== null ? own : null
  }

  isWhole(bundle: MadeBundle): boolean {
    return bundle.shards.every((key) => this.held(key) !== null)
  }

  /** Begins to seed what is whole, and stops what is not any more. */
  async look(bundles: Iterable<MadeBundle>): Promise<void> {
    const { engine, clock, log } = this.#parts
    for (const bundle of bundles) {
      const seeding = this.#seedingOf(bundle.infohash)
      if (this.isWhole(bundle)) {
        if (!seeding.isSeeded && clock.monotonicMs() >= seeding.againAtMs) await this.#seed(bundle, seeding)
      } else if (seeding.isSeeded) {
        seeding.isSeeded = false
        await engine.remove(bundle.infohash)
        log.warn({ bundle: bundle.name }, 'a bundle is not seeded while shards of it are repaired')
      }
    }
  }

  /**
   * Looks at the shards of bundles whose seed failed; one that changed is read, and so repaired. Returns the bundles whose .torrent
   * is gone or damaged.
   */
  async mend(bundles: readonly MadeBundle[]): Promise<MadeBundle[]> {
    if (bundles.length === 0) return []
    const { engine, copies, log } = this.#parts
    const failed = (await engine.stats()).filter((one) => one.state === 'failed')
    const names = new Set(failed.map((one) => one.infohash))
    const lost: MadeBundle[] = []
    for (const bundle of bundles) {
      const { name, infohash, shards } = bundle
      const seeding = this.#seedingOf(infohash)
      if (!names.has(infohash) || !seeding.isSeeded) continue
      log.warn({ bundle: name }, 'a bundle is not served any more')
      seeding.isSeeded = false
      this.#postpone(seeding)
      if ((await this.torrent(bundle)) === null) lost.push(bundle)
      for (const key of shards) {
        const shard = this.held(key)?.shard
        if (shard !== undefined && (await copies.changed(shard)).length > 0) await copies.check(shard)
      }
    }
    return lost
  }

  /** The whole .torrent file; null when it is not there any more, or not right. */
  async torrent({ infohash }: MadeBundle): Promise<Uint8Array | null> {
    const path = this.#parts.files.torrentPath(infohash)
    const torrent = await readFile(path).catch((error: unknown) => {
      if (!isSystemError(error)) throw error
      return null
    })
    return torrent !== null && decodeMetainfo(torrent)?.infohash === infohash ? torrent : null
  }

  /** Nothing of a bundle stays but the files of its shards. */
  async drop({ infohash, name }: MadeBundle): Promise<void> {
    const { engine, files, folder } = this.#parts
    this.#seeding.delete(infohash)
    await engine.remove(infohash)
    await rm(files.torrentPath(infohash), { force: true })
    await rm(join(folder, name), { force: true })
  }

  async #seed(bundle: MadeBundle, seeding: Seeding): Promise<void> {
    const { engine, folder, log } = this.#parts
    const { name } = bundle
    try {
      await this.#link(name)
      await engine.seed(this.#source(bundle), folder)
      seeding.isSeeded = true
      log.info({ bundle: name, infohash: bundle.infohash }, 'a bundle is seeded')
    } catch (error) {
      if (!(error instanceof TorrentError) && !isSystemError(error)) throw error
      this.#postpone(seeding)
      log.warn({ bundle: name, error: error.message }, 'a bundle is not seeded')
    }
  }

  /** Below it lies what is below the mirror, so no byte is kept twice. */
  async #link(name: string): Promise<void> {
    const { folder, files } = this.#parts
    const path = join(folder, name)
    await symlink(relative(folder, files.mirror), path, 'junction').catch((error: unknown) => {
      if (!isSystemError(error) || error.code !== 'EEXIST') throw error
    })
  }

  #source({ infohash, sizeBytes, shards }: MadeBundle): SeedSource {
    const { files, copies } = this.#parts
    return {
      infohash,
      sizeBytes,
      torrent: () => readFile(files.torrentPath(infohash)),
      changed: async () => {
        for (const key of shards) {
          const shard = this.held(key)?.shard
          const changed = shard === undefined ? ['it is not held'] : await copies.changed(shard)
          if (changed.length > 0) return changed.map((text) => `${key}: ${text}`)
        }
        return []
      },
    }
  }

  #seedingOf(infohash: Infohash): Seeding {
    const known = this.#seeding.get(infohash) ?? { isSeeded: false, againAtMs: 0, waitMs: WAIT_MS }
    this.#seeding.set(infohash, known)
    return known
  }

  #postpone(seeding: Seeding): void {
    seeding.againAtMs = this.#parts.clock.monotonicMs() + seeding.waitMs
    seeding.waitMs = Math.min(2 * seeding.waitMs, WAIT_MS_MAX)
  }
}

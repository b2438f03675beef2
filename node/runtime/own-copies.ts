/**
 * The shards that this node holds: seeded again at start, looked at by sizes and times, read again when somebody doubts them
 * or the engine found one changed.
 */
import { readFile } from 'node:fs/promises'
import type { Event } from '../../protocol/core/event.ts'
import type { CoreState } from '../../protocol/core/state.ts'
import type { Infohash, ShardKey } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { exists } from '../files/disk.ts'
import type { FileTime } from '../files/file-time.ts'
import { type Clock, type Hasher, type Log, type TorrentEngine, TorrentError } from '../ports.ts'
import type { HeldFiles } from '../store/held-files.ts'
import { checkShard } from '../transfer/check-shard.ts'
import { HeldTorrent, timesOf } from '../transfer/held-torrent.ts'
import type { ShardFiles } from '../transfer/shard-files.ts'

export interface OwnCopiesParts {
  readonly state: Pick<CoreState, 'own'>
  readonly files: ShardFiles
  readonly held: HeldFiles
  readonly engine: TorrentEngine
  readonly hasher: Hasher
  readonly clock: Clock
  readonly log: Log
  readonly dispatch: (event: Event) => void
}

/** Told to the engine together at start. */
const SEEDS_AT_ONCE = 512

export class OwnCopies {
  readonly #parts: OwnCopiesParts
  readonly #checks = new Map<ShardKey, Promise<readonly string[]>>()
  readonly #shards = new Map<Infohash, Shard>()
  /** What the engine or the look at start doubted is read one after the other. */
  #doubted: Promise<unknown> = Promise.resolve()
  #looking: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(parts: OwnCopiesParts) {
    this.#parts = parts
    parts.engine.onSeedFailed((infohash, error) => this.#seedFailed(infohash, error))
  }

  /** The shard if this node holds it now. */
  held(key: ShardKey): Shard | null {
    const own = this.#parts.state.own.get(key)
    return own?.state === 'held' ? own.shard : null
  }

  /**
   * Seeds everything that was held before. Nothing is read: files are looked at beside the rest of the start, and each time before one
   * is served. What does not fit is read again, and repaired.
   */
  async resume(): Promise<void> {
    const { state } = this.#parts
    const torrents: HeldTorrent[] = []
    for (const own of [...state.own.values()]) {
      if (own.state !== 'held' || own.infohash === null) continue
      torrents.push(this.#torrent(own.shard, own.infohash))
    }
    for (let at = 0; at < torrents.length; at += SEEDS_AT_ONCE) {
      const some = torrents.slice(at, at + SEEDS_AT_ONCE)
      await Promise.all(some.map((torrent) => this.#seedHeld(torrent)))
    }
    this.#looking = this.#look(torrents)
  }

  /** A shard whose bytes were verified just now: what its files look like is kept, and it is seeded. */
  async hold(shard: Shard, infohash: Infohash): Promise<void> {
    await this.#record(shard, infohash, this.#parts.clock.wallMs())
    await this.#parts.engine.seed(this.#torrent(shard, infohash), this.#parts.files.mirror)
  }

  /** All that is held now. */
  *list(): Generator<{ shard: Shard; infohash: Infohash }> {
    for (const { state, shard, infohash } of this.#parts.state.own.values()) {
      if (state === 'held' && infohash !== null) yield { shard, infohash }
    }
  }

  async forget(infohash: Infohash): Promise<void> {
    this.#shards.delete(infohash)
    await this.#parts.held.forget(infohash)
  }

  /** Every file, and the .torrent, is as it was when it was verified, by sizes and times. */
  async looksWhole(shard: Shard): Promise<boolean> {
    const { infohash } = this.#parts.state.own.get(shard.key) ?? { infohash: null }
    if (infohash === null || !(await this.#hasTorrent(infohash))) return false
    return (await this.#torrent(shard, infohash).changed()).length === 0
  }

  /**
   * Seeds a held shard again whose seed failed, once its files are found whole: by sizes and times, and with `isDoubted` by every byte.
   * False when it is damaged, of which the core is told. Rejects with TorrentError.
   */
  async seedAgain(shard: Shard, { isDoubted }: { isDoubted: boolean }): Promise<boolean> {
    const { state, files, engine } = this.#parts
    const own = state.own.get(shard.key)
    if (own?.state !== 'held' || own.infohash === null) return false
    // A copy that is read and found whole is seeded by that.
    if (isDoubted || !(await this.looksWhole(shard))) return (await this.check(shard)).length === 0
    await engine.seed(this.#torrent(shard, own.infohash), files.mirror)
    return true
  }

  /**
   * Reads our copy again; the damaged files with reasons. A damaged copy is no longer seeded and the core is told, before
   * this resolves. One reading a shard at a time.
   */
  check(shard: Shard): Promise<readonly string[]> {
    const running = this.#checks.get(shard.key)
    if (running !== undefined) return running
    const check = this.#check(shard).finally(() => this.#checks.delete(shard.key))
    this.#checks.set(shard.key, check)
    return check
  }

  /** Resolves when nothing is looked at any more. What is read is left to whoever closes the hasher. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#looking
  }

  async #check(shard: Shard): Promise<readonly string[]> {
    const { state, files, engine, hasher, log, dispatch } = this.#parts
    const own = state.own.get(shard.key)
    // Under repair: already known to be damaged.
    if (own === undefined || own.state !== 'held' || own.infohash === null) return ['under repair']
    const { infohash } = own
    let damaged: readonly string[]
    // Taken before the reading: what changes meanwhile is seen the next time.
    const times = await timesOf(shard, files.mirror).catch(() => null)
    try {
      damaged = await checkShard(shard, files.mirror, infohash, hasher)
      if (damaged.length === 0 && !(await this.#hasTorrent(infohash))) damaged = ['the .torrent is gone']
    } catch (error) {
      if (this.#stopped) return ['stopped while it was read']
      damaged = [`cannot be read: ${error instanceof Error ? error.message : String(error)}`]
    }
    if (damaged.length > 0) {
      log.warn({ shard: shard.key, damaged }, 'our copy is damaged')
      await engine.remove(infohash)
    } else if (times !== null && !this.#stopped) {
      await this.#resume(shard, infohash, times)
    }
    dispatch({ kind: 'checked', shard: shard.key, damaged })
    return damaged
  }

  /** It was read and is whole; the engine may have stopped it when it doubted it. */
  async #resume(shard: Shard, infohash: Infohash, times: readonly FileTime[]): Promise<void> {
    const { held, engine, files, clock, log } = this.#parts
    try {
      await held.put(infohash, { verifiedAtMs: clock.wallMs(), files: times, rereadPieces: 0 })
      await engine.seed(this.#torrent(shard, infohash), files.mirror)
    } catch (error) {
      log.error({ shard: shard.key, error: String(error) }, 'a whole shard could not be seeded again')
    }
  }

  #seedFailed(infohash: Infohash, error: TorrentError): void {
    const shard = this.#shards.get(infohash)
    const own = shard === undefined ? undefined : this.#parts.state.own.get(shard.key)
    if (shard === undefined || own?.infohash !== infohash || error.code === 'aborted') return
    this.#parts.log.warn({ shard: shard.key, error: error.message }, 'a held shard is not served any more')
    this.#doubt(shard)
  }

  #doubt(shard: Shard): void {
    const read = async () => {
      if (!this.#stopped) await this.check(shard)
    }
    this.#doubted = this.#doubted.then(read).catch((error: unknown) => {
      this.#parts.log.error({ shard: shard.key, error: String(error) }, 'a held shard could not be looked at')
    })
  }

  async #seedHeld(torrent: HeldTorrent): Promise<void> {
    const { engine, files, log } = this.#parts
    await engine.seed(torrent, files.mirror).catch((error: unknown) => {
      if (!(error instanceof TorrentError)) throw error
      // What is wrong with its files the look finds; what is wrong with the engine, SeedWatch.
      log.warn({ infohash: torrent.infohash, error: error.message }, 'a held shard is not seeded')
    })
  }

  /** Sizes and times of all that is held, one shard after the other: no disk is kept busy by it. */
  async #look(torrents: readonly HeldTorrent[]): Promise<void> {
    for (const torrent of torrents) {
      const shard = this.#shards.get(torrent.infohash)
      if (this.#stopped) return
      if (shard === undefined) continue
      try {
        await this.#lookAt(shard, torrent)
      } catch (error) {
        this.#parts.log.error(
          { shard: shard.key, error: String(error) },
          'a held shard could not be looked at',
        )
      }
    }
  }

  async #lookAt(shard: Shard, torrent: HeldTorrent): Promise<void> {
    const { files, log, held } = this.#parts
    const hasTorrent = await exists(files.torrentPath(torrent.infohash))
    const changed = hasTorrent ? await torrent.changed() : ['the .torrent is gone']
    if (changed.length > 0) {
      log.warn({ shard: shard.key, changed }, 'a held shard is not as it was when it was verified')
      this.#doubt(shard)
    } else if (held.verifiedAtMs(torrent.infohash) === null && this.held(shard.key) !== null) {
      // From before there were records: its bytes are read when its turn comes.
      await this.#record(shard, torrent.infohash, 0)
    }
  }

  async #record(shard: Shard, infohash: Infohash, verifiedAtMs: number): Promise<void> {
    const times = await timesOf(shard, this.#parts.files.mirror)
    if (times !== null) await this.#parts.held.put(infohash, { verifiedAtMs, files: times, rereadPieces: 0 })
  }

  #torrent(shard: Shard, infohash: Infohash): HeldTorrent {
    this.#shards.set(infohash, shard)
    return new HeldTorrent(shard, infohash, this.#parts.files, this.#parts.held)
  }

  async #hasTorrent(infohash: Infohash): Promise<boolean> {
    const bytes = await readFile(this.#parts.files.torrentPath(infohash)).catch(() => null)
    return bytes !== null && decodeMetainfo(bytes)?.infohash === infohash
  }
}

/** The shards that this node holds: seeded again at start, read again when somebody doubts them. */
import { readFile } from 'node:fs/promises'
import type { Event } from '../../protocol/core/event.ts'
import type { CoreState } from '../../protocol/core/state.ts'
import type { Infohash, ShardKey } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import type { Hasher, Log, TorrentEngine } from '../ports.ts'
import { checkShard, wrongSizes } from '../transfer/check-shard.ts'
import type { ShardFiles } from '../transfer/shard-files.ts'

export interface OwnCopiesParts {
  readonly state: CoreState
  readonly files: ShardFiles
  readonly engine: TorrentEngine
  readonly hasher: Hasher
  readonly log: Log
  readonly dispatch: (event: Event) => void
}

export class OwnCopies {
  readonly #parts: OwnCopiesParts
  readonly #checks = new Map<ShardKey, Promise<readonly string[]>>()

  constructor(parts: OwnCopiesParts) {
    this.#parts = parts
  }

  /** The shard if this node holds it now. */
  held(key: ShardKey): Shard | null {
    const own = this.#parts.state.own.get(key)
    return own?.state === 'held' ? own.shard : null
  }

  /** Seeds everything that was held before, after a look at sizes; what does not fit is repaired. */
  async resume(): Promise<void> {
    const { state, files, engine, log } = this.#parts
    for (const own of [...state.own.values()]) {
      if (own.state !== 'held' || own.infohash === null) continue
      const torrent = await readTorrent(files.torrentPath(own.infohash), own.infohash)
      const damaged = torrent === null ? ['the .torrent is gone'] : await wrongSizes(own.shard, files.mirror)
      if (torrent !== null && damaged.length === 0) {
        await engine.seed(torrent, files.mirror).catch((error: unknown) => {
          // An engine that keeps it as failed lets SeedWatch go on from there.
          const { infohash } = own
          const isKept = engine.stats().some((one) => one.infohash === infohash && one.state === 'failed')
          if (!isKept) throw error
          log.warn({ shard: own.shard.key, error: String(error) }, 'a held shard is not seeded')
        })
        continue
      }
      log.warn({ shard: own.shard.key, damaged }, 'a held shard is not whole any more')
      this.#parts.dispatch({ kind: 'checked', shard: own.shard.key, damaged })
    }
  }

  /** Every file is there with its size. */
  async looksWhole(shard: Shard): Promise<boolean> {
    return (await wrongSizes(shard, this.#parts.files.mirror)).length === 0
  }

  /**
   * Seeds a held shard again whose seed failed, once its files are found whole: by their sizes, and with `isDoubted` by every byte.
   * False when it is damaged, of which the core is told. Rejects with TorrentError.
   */
  async seedAgain(shard: Shard, { isDoubted }: { isDoubted: boolean }): Promise<boolean> {
    const { state, files, engine } = this.#parts
    const mustRead = isDoubted || !(await this.looksWhole(shard))
    if (mustRead && (await this.check(shard)).length > 0) return false
    const own = state.own.get(shard.key)
    if (own?.state !== 'held' || own.infohash === null) return false
    const torrent = await readTorrent(files.torrentPath(own.infohash), own.infohash)
    if (torrent === null) {
      this.#parts.dispatch({ kind: 'checked', shard: shard.key, damaged: ['the .torrent is gone'] })
      return false
    }
    await engine.seed(torrent, files.mirror)
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

  async #check(shard: Shard): Promise<readonly string[]> {
    const { state, files, engine, hasher, log, dispatch } = this.#parts
    const own = state.own.get(shard.key)
    // Under repair: already known to be damaged.
    if (own === undefined || own.state !== 'held' || own.infohash === null) return ['under repair']
    let damaged: readonly string[]
    try {
      damaged = await checkShard(shard, files.mirror, own.infohash, hasher)
    } catch (error) {
      damaged = [`cannot be read: ${error instanceof Error ? error.message : String(error)}`]
    }
    if (damaged.length > 0) {
      log.warn({ shard: shard.key, damaged }, 'our copy is damaged')
      await engine.remove(own.infohash)
    }
    dispatch({ kind: 'checked', shard: shard.key, damaged })
    return damaged
  }
}

async function readTorrent(path: string, infohash: Infohash): Promise<Uint8Array | null> {
  const bytes = await readFile(path).catch(() => null)
  return bytes !== null && decodeMetainfo(bytes)?.infohash === infohash ? bytes : null
}

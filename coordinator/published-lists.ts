/**
 * How often a published .torrent may become another file: trackers and web seeds change with a configuration, an upload or a mirror
 * that fails, and each change gives every reader of the publication new bytes under a new name.
 */
import type { Clock, Store } from '../node/ports.ts'
import { integer, list, optional, type Reader, record, text } from '../protocol/codec/shape.ts'
import type { ShardKey } from '../protocol/ids.ts'
import { type TorrentLists, WEB_SEEDS_MAX } from './publish/torrent-lists.ts'
import { Records } from './records.ts'

interface Row extends TorrentLists {
  /** Of the last change; absent: they are still those of the first publication. */
  readonly changedAtMs?: number
}

const CHANGE_EVERY_MS = 86_400_000
const TRACKERS_MAX = 64
const URL_LENGTH_MAX = 2_048

export class PublishedLists {
  readonly #rows: Records<Row>
  readonly #clock: Clock

  private constructor(rows: Records<Row>, clock: Clock) {
    this.#rows = rows
    this.#clock = clock
  }

  /** Throws ShapeError when a stored row is not one of ours. */
  static async open(store: Store, clock: Clock): Promise<PublishedLists> {
    return new PublishedLists(await Records.open(store, 'torrentLists', readRow), clock)
  }

  /**
   * The lists to publish now: those that are wanted, or the old ones if they changed within a day. The first change is free, since a
   * shard is published before the Archive shows it. Stored before anybody sees them.
   */
  async of(shard: ShardKey, wanted: TorrentLists): Promise<TorrentLists> {
    const row = this.#rows.get(shard)
    const nowMs = this.#clock.wallMs()
    if (row !== undefined) {
      const { trackers, webSeeds, changedAtMs } = row
      const isEarly = changedAtMs !== undefined && nowMs - changedAtMs < CHANGE_EVERY_MS
      if (isEarly || isSame(row, wanted)) return { trackers, webSeeds }
    }
    await this.#rows.set(shard, row === undefined ? wanted : { ...wanted, changedAtMs: nowMs })
    return wanted
  }
}

const isSame = (a: TorrentLists, b: TorrentLists): boolean =>
  JSON.stringify([a.trackers, a.webSeeds]) === JSON.stringify([b.trackers, b.webSeeds])

const readRow: Reader<Row> = (value, path) => {
  const fields = record(value, path)
  const url = (one: unknown, at: string) => text(one, at, URL_LENGTH_MAX)
  const changedAtMs = optional(fields.changedAtMs, `${path}.changedAtMs`, (one, at) => integer(one, at))
  return {
    trackers: list(fields.trackers, `${path}.trackers`, TRACKERS_MAX, url),
    webSeeds: list(fields.webSeeds, `${path}.webSeeds`, WEB_SEEDS_MAX, url),
    ...(changedAtMs === undefined ? {} : { changedAtMs }),
  }
}

/**
 * BitTorrent's mainline DHT as a place to announce at: a table for IPv4, one for IPv6, or both, from one schedule. A turn of a torrent
 * is a look-up in each.
 */
import type { Infohash } from '../../protocol/ids.ts'
import type { DiscoveryStats, TorrentPeer } from '../ports.ts'
import type { AnnouncePlace, PlaceAnswer } from './announce-place.ts'
import { AnnounceSchedule } from './announce-schedule.ts'
import type { Family } from './dht-addresses.ts'
import type { DhtOptions, Surroundings } from './dht-options.ts'
import { DhtTable } from './dht-table.ts'
import { offStats } from './discovery-stats.ts'
import { type Announce, TrackerError } from './tracker-answer.ts'

/** Programs forget a peer that was not announced for half an hour. */
const INTERVAL_MS = 15 * 60_000
/** Of all torrents together. */
const LOOKUP_GAP_MS = 1_000

export class Dht implements AnnouncePlace {
  readonly name = 'DHT'
  readonly schedule = new AnnounceSchedule({
    intervalMs: INTERVAL_MS,
    gapMsMin: LOOKUP_GAP_MS,
    gapMsMax: LOOKUP_GAP_MS,
  })
  readonly #tables: readonly DhtTable[]
  readonly #announcedAtMs = new Map<Family, number>()

  /** Rejects with an Error of one plain sentence when a port is in use or forbidden. */
  static async start(
    options: DhtOptions & { readonly port: number },
    around: Surroundings,
    families: readonly Family[] = ['ipv4'],
  ): Promise<Dht> {
    const tables: DhtTable[] = []
    try {
      for (const family of families) tables.push(await DhtTable.start(family, options, around))
    } catch (error) {
      for (const table of tables) await table.stop()
      throw error
    }
    return new Dht(tables)
  }

  private constructor(tables: readonly DhtTable[]) {
    this.#tables = tables
  }

  get isPrivate(): boolean {
    return this.#tables.some((table) => table.isPrivate)
  }

  get isUp(): boolean {
    return this.#tables.some((table) => table.isUp)
  }

  /** Of the first family. */
  get port(): number {
    return this.#tables[0]?.port ?? 0
  }

  stats(family: Family = 'ipv4'): DiscoveryStats {
    const table = this.#tables.find((one) => one.family === family)
    if (table === undefined) return offStats('not running')
    const { port, nodes } = table
    return { off: null, port, nodes, announcedAtMs: this.#announcedAtMs.get(family) ?? null }
  }

  /** Rejects when no table has an answer. */
  async announce([one]: readonly Announce[], signal: AbortSignal): Promise<PlaceAnswer> {
    if (one === undefined) throw new TrackerError('nothing to announce')
    const answers = await this.#all(signal, async (table) => {
      const answer = await table.announce(one, signal)
      if (answer.taken > 0) this.#announcedAtMs.set(table.family, Date.now())
      return answer
    })
    const peers = answers.flatMap((answer) => answer.peers)
    return {
      intervalMs: INTERVAL_MS,
      seeds: peers.length,
      // Unknown. Those who lack something find us there as we find them.
      leeches: 0,
      peers,
      isPoor: answers.every(({ taken }) => taken === 0) || (one.leftBytes > 0 && peers.length === 0),
    }
  }

  /** Resolves when somebody answered. Rejects with the signal's reason. */
  entered(signal: AbortSignal): Promise<void> {
    return Promise.race(this.#tables.map((table) => table.entered(signal)))
  }

  /** Who announced this torrent, each told as soon as it is found. Rejects with TrackerError, or with the signal's reason. */
  async find(
    infohash: Infohash,
    signal: AbortSignal,
    onPeer: (peer: TorrentPeer) => void = () => {},
  ): Promise<TorrentPeer[]> {
    return (await this.#all(signal, (table) => table.find(infohash, signal, onPeer))).flat()
  }

  /** Somebody who may be a node. */
  meet(node: TorrentPeer): void {
    for (const table of this.#tables) table.meet(node)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#tables.map((table) => table.stop()))
  }

  /** What the tables that know somebody answer. */
  async #all<T>(signal: AbortSignal, ask: (table: DhtTable) => Promise<T>): Promise<T[]> {
    const settled = await Promise.allSettled(this.#tables.filter((table) => table.isUp).map(ask))
    signal.throwIfAborted()
    const answers = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const failure = settled.find((one) => one.status === 'rejected')
    if (answers.length === 0) throw failure?.reason ?? new TrackerError('no node of the DHT is known')
    return answers
  }
}

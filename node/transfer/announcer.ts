/** Announces everything that is seeded or fetched, from one timer a place, and tells who else was found. */
import type { Infohash } from '../../protocol/ids.ts'
import type { Log, TorrentPeer } from '../ports.ts'
import type { AnnouncePlace } from './announce-place.ts'
import { AnnounceSchedule, type Turn } from './announce-schedule.ts'
import { isPrivateHost } from './told-hosts.ts'
import { announceTo, mayAnnounce } from './tracker.ts'
import { type Announce, TrackerError } from './tracker-answer.ts'

export interface AnnouncerOptions {
  readonly trackers: readonly string[]
  /** The host by which others reach us; a private one is told to private trackers only. */
  readonly host: string
  readonly log?: Log | undefined
  /** Null when it is gone meanwhile. */
  readonly describe: (
    infohash: Infohash,
  ) => Pick<
    Announce,
    'peerId' | 'port' | 'outsidePort' | 'uploadedBytes' | 'downloadedBytes' | 'leftBytes'
  > | null
  readonly onPeers: (
    infohash: Infohash,
    peers: readonly TorrentPeer[],
    answer: { readonly leeches: number },
  ) => void
}

/** Under way at once at one place. */
const UNDER_WAY_MAX = 8
/** Between two looks at a place where announces are rarer. */
const TICK_MS_MAX = 1_000

export class Announcer {
  readonly #options: AnnouncerOptions
  readonly #places: Place[] = []
  readonly #abort = new AbortController()

  constructor(options: AnnouncerOptions) {
    this.#options = options
    for (const url of options.trackers) {
      if (mayAnnounce(url, options.host)) this.#places.push(placeOf(trackerAt(url)))
      else options.log?.info({ url, host: options.host }, 'a public tracker is not told of a private address')
    }
  }

  /** `others`: places besides trackers, that run already. */
  start(others: readonly AnnouncePlace[]): void {
    this.#places.push(...others.map(placeOf))
    for (const place of this.#places) this.#tick(place)
  }

  add(infohash: Infohash, isFetch: boolean): void {
    for (const { at } of this.#places) at.schedule.add(infohash, { isFetch, nowMs: performance.now() })
  }

  /** Where others reach us changed. */
  again(): void {
    for (const { at } of this.#places) at.schedule.again(performance.now())
  }

  delete(infohash: Infohash): void {
    for (const { at } of this.#places) at.schedule.delete(infohash)
  }

  /** Resolves when no announce is under way. */
  async stop(): Promise<void> {
    this.#abort.abort()
    for (const place of this.#places) {
      if (place.timer !== undefined) clearTimeout(place.timer)
      await Promise.all(place.underWay)
    }
  }

  #tick(place: Place): void {
    const { at, underWay } = place
    const turns = at.isUp && underWay.size < UNDER_WAY_MAX ? at.schedule.next(performance.now()) : []
    if (turns.length > 0) {
      const work = this.#announce(at, turns).finally(() => underWay.delete(work))
      underWay.add(work)
    }
    place.timer = setTimeout(() => this.#tick(place), Math.min(at.schedule.gapMs, TICK_MS_MAX))
    place.timer.unref()
  }

  async #announce(at: AnnouncePlace, turns: readonly Turn[]): Promise<void> {
    const { describe, onPeers, log } = this.#options
    const { schedule } = at
    const announces = turns.flatMap(({ infohash, isFirst }) => {
      const own = describe(infohash)
      return own === null ? [] : [{ ...own, infohash, event: isFirst ? ('started' as const) : null }]
    })
    if (announces.length === 0) return
    try {
      const answer = await at.announce(announces, this.#abort.signal)
      // A public place that names private addresses would have us call machines of our own network.
      const peers = answer.peers.filter(({ host }) => at.isPrivate || !isPrivateHost(host))
      for (const { infohash } of announces) {
        if (answer.isPoor === true) schedule.missed(infohash, performance.now())
        else schedule.answered(infohash, answer, performance.now())
        if (peers.length > 0) onPeers(infohash, peers, answer)
      }
    } catch (error) {
      if (this.#abort.signal.aborted) return
      const infohashes = announces.map((one) => one.infohash)
      schedule.failed(infohashes, performance.now())
      log?.debug({ place: at.name, infohashes, error: String(error) }, 'an announce was not taken')
    }
  }
}

interface Place {
  readonly at: AnnouncePlace
  readonly underWay: Set<Promise<void>>
  timer?: NodeJS.Timeout
}

const placeOf = (at: AnnouncePlace): Place => ({ at, underWay: new Set() })

function trackerAt(url: string): AnnouncePlace {
  return {
    name: url,
    schedule: new AnnounceSchedule(),
    isPrivate: isPrivateHost(new URL(url).hostname),
    isUp: true,
    announce: ([one], signal) => {
      if (one === undefined) throw new TrackerError('nothing to announce')
      return announceTo(url, one, signal)
    },
  }
}

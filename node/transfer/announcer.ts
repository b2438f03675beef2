/** Announces everything that is seeded or fetched to the trackers, from one timer a tracker, and tells who else was found. */
import type { Infohash } from '../../protocol/ids.ts'
import type { Log, TorrentPeer } from '../ports.ts'
import { AnnounceSchedule } from './announce-schedule.ts'
import { announceTo, isPrivateHost, mayAnnounce } from './tracker.ts'
import type { Announce, TrackerAnswer } from './tracker-answer.ts'

export interface AnnouncerOptions {
  readonly trackers: readonly string[]
  /** The host by which others reach us; a private one is told to private trackers only. */
  readonly host: string
  readonly log?: Log | undefined
  /** Null when it is gone meanwhile. */
  readonly describe: (
    infohash: Infohash,
  ) => Pick<Announce, 'peerId' | 'port' | 'uploadedBytes' | 'downloadedBytes' | 'leftBytes'> | null
  readonly onPeers: (infohash: Infohash, peers: readonly TorrentPeer[], answer: TrackerAnswer) => void
}

/** Under way at once at one tracker. */
const UNDER_WAY_MAX = 8

export class Announcer {
  readonly #options: AnnouncerOptions
  readonly #places: Place[]
  readonly #abort = new AbortController()

  constructor(options: AnnouncerOptions) {
    this.#options = options
    this.#places = options.trackers.flatMap((url) => {
      if (mayAnnounce(url, options.host))
        return [{ url, schedule: new AnnounceSchedule(), underWay: new Set() }]
      options.log?.warn({ url, host: options.host }, 'a public tracker is not told of a private address')
      return []
    })
  }

  start(): void {
    for (const place of this.#places) this.#tick(place)
  }

  add(infohash: Infohash, isFetch: boolean): void {
    for (const { schedule } of this.#places) schedule.add(infohash, { isFetch, nowMs: performance.now() })
  }

  delete(infohash: Infohash): void {
    for (const { schedule } of this.#places) schedule.delete(infohash)
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
    const turn = place.underWay.size < UNDER_WAY_MAX ? place.schedule.next(performance.now()) : null
    if (turn !== null) {
      const work = this.#announce(place, turn).finally(() => place.underWay.delete(work))
      place.underWay.add(work)
    }
    place.timer = setTimeout(() => this.#tick(place), place.schedule.gapMs)
    place.timer.unref()
  }

  async #announce({ url, schedule }: Place, { infohash, isFirst }: { infohash: Infohash; isFirst: boolean }) {
    const { describe, onPeers, log } = this.#options
    const own = describe(infohash)
    if (own === null) return
    try {
      const answer = await announceTo(url, { ...own, infohash, isFirst }, this.#abort.signal)
      schedule.answered(infohash, answer, performance.now())
      // A public tracker that names private addresses would have us call machines of our own network.
      const peers = answer.peers.filter(
        ({ host }) => !isPrivateHost(host) || isPrivateHost(new URL(url).hostname),
      )
      if (peers.length > 0) onPeers(infohash, peers, answer)
    } catch (error) {
      if (this.#abort.signal.aborted) return
      schedule.failed(infohash, performance.now())
      log?.debug({ url, infohash, error: String(error) }, 'a tracker did not take an announce')
    }
  }
}

interface Place {
  readonly url: string
  readonly schedule: AnnounceSchedule
  readonly underWay: Set<Promise<void>>
  timer?: NodeJS.Timeout
}

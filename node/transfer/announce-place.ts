/** Where torrents are announced and peers asked for, whatever it is: a tracker, the DHT, the local network. */
import type { AnnounceSchedule } from './announce-schedule.ts'
import type { Announce, TrackerAnswer } from './tracker-answer.ts'

export interface AnnouncePlace {
  /** For the log. */
  readonly name: string
  readonly schedule: AnnounceSchedule
  /** It is of a private network itself, so the private addresses that it names are called. */
  readonly isPrivate: boolean
  /** False: nobody could be told now, so nobody's turn is used up. */
  readonly isUp: boolean
  /** As many torrents as the schedule gives at once. Rejects with TrackerError, the system's error, or the signal's reason. */
  announce(announces: readonly Announce[], signal: AbortSignal): Promise<PlaceAnswer>
}

export interface PlaceAnswer extends TrackerAnswer {
  /** Nothing came of it: it should be tried again soon. @default false */
  readonly isPoor?: boolean
}

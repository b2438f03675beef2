/** Who takes part: machines drawn from a plausible fleet of home servers and hired ones, honest or not. */
import { PROJECTS, type Project } from '../../protocol/dump/project.ts'
import type { FaultName, SimOptions } from './options.ts'
import type { Prng } from './prng.ts'

export type Kind =
  | 'honest'
  /** Holds only half of the shards that it says it holds. */
  | 'liar'
  /** Holds half of the bytes of each shard. */
  | 'half-liar'
  | 'forger'
  | 'replayer'
  | 'equivocator'
  /** Its id was ground; claims and fetches nothing. */
  | 'sybil'
  | 'hog'
  | 'free-rider'

export interface Profile {
  readonly kind: Kind
  readonly operator: string
  /** What its owner gives. */
  readonly bytesTotal: number
  /** What there really is. */
  readonly diskBytes: number
  readonly downBytesPerSecond: number
  readonly upBytesPerSecond: number
  /** Takes inbound connections. */
  readonly reachable: boolean
  readonly skewMs: number
  /** Off at night; local time is UTC plus this. */
  readonly offAtNight: boolean
  readonly timezoneHours: number
  readonly languages: readonly string[]
  readonly projects: readonly Project[]
  /** Tells a public address, in a network that it shares with its neighbours of the same kind. */
  readonly isPublic: boolean
}

const GB = 1_000_000_000
const MB = 1_000_000

/** Of a hundred nodes, so many are of this kind when the fault is on. */
const ATTACKERS: readonly (readonly [FaultName, Kind, number])[] = [
  ['liars', 'liar', 2],
  ['liars', 'half-liar', 2],
  ['forgers', 'forger', 1],
  ['replayers', 'replayer', 1],
  ['equivocators', 'equivocator', 2],
  ['hogs', 'hog', 2],
  ['free-riders', 'free-rider', 4],
]

/** The kinds of `count` machines: attackers are spread evenly, one of each kind at least. */
export function drawKinds(count: number, options: SimOptions, rng: Prng): Kind[] {
  const kinds: Kind[] = []
  for (const [fault, kind, share] of ATTACKERS) {
    if (!options.faults.has(fault)) continue
    const wanted = Math.max(1, Math.floor((count * share) / 100))
    for (let i = 0; i < wanted && kinds.length < count / 3; i++) kinds.push(kind)
  }
  while (kinds.length < count) kinds.push('honest')
  return rng.shuffle(kinds)
}

export function drawProfile(index: number, kind: Kind, options: SimOptions, rng: Prng): Profile {
  const { faults } = options
  const has = (name: FaultName) => faults.has(name)
  const slow = has('slow')
  const metered = slow && rng.chance({ of: 1, in: 10 })
  const bytesTotal = drawCapacity(rng)
  const greedy = kind === 'hog' || kind === 'sybil'
  const upBytesPerSecond = metered ? MB / 10 : slow ? rng.pick([MB / 2, MB, 2.5 * MB, 12 * MB]) : 12 * MB
  return {
    kind,
    // One home in ten runs a second node.
    operator: `operator-${rng.chance({ of: 1, in: 10 }) && index > 1 ? index - 1 : index}`,
    bytesTotal: greedy ? 20_000 * GB : bytesTotal,
    diskBytes: has('disk-full') && rng.chance({ of: 1, in: 20 }) ? Math.floor(bytesTotal / 3) : bytesTotal,
    downBytesPerSecond: slow ? rng.pick([2 * MB, 6 * MB, 12 * MB, 30 * MB]) : 12 * MB,
    upBytesPerSecond: kind === 'free-rider' ? 0 : upBytesPerSecond,
    reachable: !has('unreachable') || rng.chance({ of: 3, in: 10 }),
    skewMs: has('skew') ? rng.between(0, 480_000) - 240_000 : rng.between(0, 2_000) - 1_000,
    offAtNight: has('churn') && rng.chance({ of: 3, in: 10 }),
    timezoneHours: rng.between(0, 23) - 11,
    languages: rng.chance({ of: 1, in: 4 }) ? [rng.pick(['en', 'de', 'fr', 'hi', 'sw', 'es'])] : [],
    isPublic: rng.chance({ of: 1, in: 2 }),
    projects: rng.chance({ of: 1, in: 4 }) ? [rng.pick(PROJECTS)] : [],
  }
}

function drawCapacity(rng: Prng): number {
  const class_ = rng.below(10)
  if (class_ < 6) return rng.between(200, 1_000) * GB
  return class_ < 9 ? rng.between(1_000, 4_000) * GB : rng.between(4_000, 16_000) * GB
}

/**
 * Wikimedia as the simulator has it: which runs there are, when each is settled and when upstream deletes it. Runs become
 * shards by the product's own `makeRun` and `cutRun`. Monthly runs; three of a wiki are kept (docs/PROTOCOL.md, section 9).
 */
import { makeRun } from '../../protocol/dump/run.ts'
import type { Infohash, ShardKey } from '../../protocol/ids.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { DAY_MS, HOUR_MS } from './clock.ts'
import { DUMP_SIZES, enwikiStatus, statusOf, wholeRunBytes } from './dump-sizes.ts'
import type { SimOptions } from './options.ts'
import type { Prng } from './prng.ts'

export interface SimShard {
  readonly index: number
  readonly shard: Shard
  /** The infohash of the true bytes: what every honest node must come to. */
  readonly infohash: Infohash
  /** Virtual ms when upstream has settled it, and when upstream deletes it. */
  readonly settledAtMs: number
  readonly deletedAtMs: number
  /** False: upstream never had it, liars only say so. */
  readonly isReal: boolean
}

/** Upstream keeps this many runs of a wiki. */
const RUNS_KEPT = 3
/** Liars make up runs of so many wikis, on a day on which upstream made none. */
const INVENTED_WIKIS = 4
export const INVENTED_DATE = '20261115'
const BENT_BYTES = 4_096
/** enwiki alone makes over 80 shards: it comes in when it is not the whole world. */
const ENWIKI_FROM_SHARDS = 900
/** The first of the months around `START_WALL_MS` = 2026-11-22T12:00Z, in virtual ms. */
const MONTHS: readonly { readonly date: string; readonly startsAtMs: number }[] = [
  { date: '20260901', startsAtMs: -82 * DAY_MS - 12 * HOUR_MS },
  { date: '20261001', startsAtMs: -52 * DAY_MS - 12 * HOUR_MS },
  { date: '20261101', startsAtMs: -21 * DAY_MS - 12 * HOUR_MS },
  { date: '20261201', startsAtMs: 8 * DAY_MS + 12 * HOUR_MS },
  { date: '20270101', startsAtMs: 39 * DAY_MS + 12 * HOUR_MS },
]

export class Upstream {
  readonly shards: readonly SimShard[]
  readonly byKey: ReadonlyMap<ShardKey, SimShard>

  constructor(shards: readonly SimShard[]) {
    this.shards = shards
    this.byKey = new Map(shards.map((one) => [one.shard.key, one]))
  }

  get real(): readonly SimShard[] {
    return this.shards.filter((one) => one.isReal)
  }

  get(key: ShardKey): SimShard {
    const found = this.byKey.get(key)
    if (found === undefined) throw new RangeError(`no such shard: ${key}`)
    return found
  }
}

/** About `options.shards` shards in all, of the runs that exist within the days of the run. */
export function drawUpstream({ shards, days, faults }: SimOptions, rng: Prng): Upstream {
  const real = draw(shards, days, rng)
  return new Upstream(faults.has('coordinator') && faults.has('liars') ? [...real, ...invented(real)] : real)
}

/**
 * What liars say that upstream has, while no coordinator is heard of: runs of some small wikis on a day when there was none, and other
 * bytes in the place of their coming runs.
 */
export function invented(real: readonly SimShard[]): SimShard[] {
  const out: SimShard[] = []
  const wikis = [...new Set(real.map((one) => one.shard.wiki))].filter((wiki) =>
    real.every((one) => one.shard.wiki !== wiki || !one.shard.id.includes('~')),
  )
  for (const wiki of wikis.slice(0, INVENTED_WIKIS)) {
    const runs = real.filter((one) => one.shard.wiki === wiki)
    const dates = runs.filter((one) => one.settledAtMs > 0).map((one) => one.shard.date)
    for (const date of [INVENTED_DATE, ...dates]) {
      const bytes = (runs[0] as SimShard).shard.sizeBytes + BENT_BYTES
      for (const shard of cutRun(makeRun({ wiki, date }, statusOf(wiki, date, bytes)))) {
        const index = real.length + out.length
        const never = { settledAtMs: Number.POSITIVE_INFINITY, deletedAtMs: Number.NEGATIVE_INFINITY }
        out.push({ index, shard, infohash: infohashOf(shard), ...never, isReal: false })
      }
    }
  }
  return out
}

function draw(shardsMax: number, days: number, rng: Prng): SimShard[] {
  const months = MONTHS.filter((month) => month.startsAtMs < days * DAY_MS)
  const perMonth = Math.max(1, Math.floor(shardsMax / months.length))
  const out: SimShard[] = []
  for (const { wiki, rank, count } of wikisFor(perMonth, rng.fork('wikis'))) {
    for (const month of months) {
      if (out.length >= shardsMax) return out
      const wholeBytes = wholeRunBytes(rank, count)
      // Small wikis are done in hours, the largest after two weeks; a day later they are settled.
      const madeInMs = HOUR_MS + Math.floor((wholeBytes / 1e12) * DAY_MS) + rng.below(2 * DAY_MS)
      const settledAtMs = month.startsAtMs + Math.min(madeInMs, 13 * DAY_MS) + DAY_MS
      const at = MONTHS.indexOf(month)
      const deletedAtMs = MONTHS[at + RUNS_KEPT]?.startsAtMs ?? Number.POSITIVE_INFINITY
      const status =
        wiki === 'enwiki'
          ? enwikiStatus(month.date, rng.fork(month.date))
          : statusOf(wiki, month.date, wholeBytes)
      for (const shard of cutRun(makeRun({ wiki, date: month.date }, status))) {
        if (out.length >= shardsMax) return out
        out.push({
          index: out.length,
          shard,
          infohash: infohashOf(shard),
          settledAtMs,
          deletedAtMs,
          isReal: true,
        })
      }
    }
  }
  return out
}

interface DrawnWiki {
  readonly wiki: string
  readonly rank: number
  readonly count: number
}

/** Wikis of every size until a month's runs make about so many shards; no wiki takes more than a third of them. */
function wikisFor(perMonth: number, rng: Prng): DrawnWiki[] {
  const names = rng.shuffle(DUMP_SIZES.wikis.filter((wiki) => wiki !== 'enwiki'))
  const count = names.length
  const ranks = rng.shuffle(names.map((_, rank) => rank))
  const drawn: DrawnWiki[] = []
  let shards = 0
  if (perMonth * 3 >= ENWIKI_FROM_SHARDS) {
    drawn.push({ wiki: 'enwiki', rank: count - 1, count })
    shards += 110
  }
  for (const rank of ranks) {
    const wiki = names[drawn.length]
    if (wiki === undefined || shards >= perMonth) break
    const parts = Math.max(1, Math.ceil(wholeRunBytes(rank, count) / 20e9))
    if (parts > 1 && parts * 3 > perMonth) continue
    drawn.push({ wiki, rank, count })
    shards += parts
  }
  return drawn
}

export function infohashOf(shard: Shard): Infohash {
  return shard.digest.slice(0, 40) as Infohash
}

/**
 * Our engine beside libtorrent on loopback, each in a process of its own; aria2 takes from both, and both take from Transmission. Every figure is a ratio of two
 * things measured in turn in the same run. WIKISEED_BENCH_RUNS sets how often (5); TMPDIR where the files lie.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { type BigTorrent, bigTorrent } from '../support/big-torrents.ts'
import { aria2 } from '../support/clients/aria2.ts'
import type { ClientDriver } from '../support/clients/client.ts'
import { libtorrent } from '../support/clients/libtorrent.ts'
import { type Race, type RaceResult, race } from '../support/clients/race.ts'
import { transmission } from '../support/clients/transmission.ts'
import { wikiseedDriver } from '../support/clients/wikiseed.ts'
import type { Bench, Measure } from './bench.ts'

const RUNS = Number(process.env.WIKISEED_BENCH_RUNS ?? 5)
const MIB = 1024 ** 2
const SMALL_TORRENTS = 300

interface Pair {
  readonly what: string
  readonly ours: Omit<Race, 'root'>
  readonly theirs: Omit<Race, 'root'>
  /** Which side of the transfer is ours. */
  readonly side: 'seeder' | 'leecher'
  readonly goal?: string
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** In turn, so that what else the machine does meets both alike. */
async function inTurn(pair: Pair, root: string): Promise<{ ours: RaceResult[]; theirs: RaceResult[] }> {
  const ours: RaceResult[] = []
  const theirs: RaceResult[] = []
  for (let run = 0; run < RUNS; run++) {
    theirs.push(await race({ ...pair.theirs, root }))
    ours.push(await race({ ...pair.ours, root }))
  }
  return { ours, theirs }
}

async function compare(pair: Pair, root: string): Promise<Measure[]> {
  const { ours, theirs } = await inTurn(pair, root)
  const both = (pick: (result: RaceResult) => number) => [median(ours.map(pick)), median(theirs.map(pick))]
  const ratio = (pick: (result: RaceResult) => number) => {
    const [a = Number.NaN, b = Number.NaN] = both(pick)
    return a / b
  }
  const { what, side, goal } = pair
  const cpu = (result: RaceResult) =>
    side === 'seeder' ? result.seederCpuSecondsPerGib : result.leecherCpuSecondsPerGib
  const memory = (result: RaceResult) =>
    side === 'seeder' ? result.seederPrivateBytes : result.leecherPrivateBytes
  const speed = both((result) => result.mibPerSecond).map((value) => Math.round(value))
  const times = both(cpu).map((value) => value.toFixed(1))
  return [
    {
      what: `${what}: speed (${speed.join(' and ')} MiB/s)`,
      value: ratio((result) => result.mibPerSecond),
      unit: 'x libtorrent',
      ...(goal === undefined ? {} : { goal }),
    },
    {
      what: `... processor (${times.join(' and ')} s/GiB)`,
      value: ratio(cpu),
      unit: 'x libtorrent',
      goal: '<= 2',
    },
    {
      what: `... private memory, the most (${Math.round(median(theirs.map(memory)) / MIB)} MiB)`,
      value: median(ours.map(memory)) / MIB,
      unit: 'MiB',
      goal: '<= 100',
    },
  ]
}

interface Torrents {
  readonly one: BigTorrent
  readonly half: BigTorrent
  readonly short: BigTorrent
  readonly small: readonly BigTorrent[]
  readonly others: readonly BigTorrent[]
}

function pairsOf(wikiseed: ClientDriver, { one, half, short, small, others }: Torrents): Pair[] {
  const seeding = (
    what: string,
    torrents: readonly BigTorrent[],
    leecher: ClientDriver,
    goal?: string,
    before: readonly BigTorrent[] = [],
  ): Pair => ({
    what,
    side: 'seeder',
    ours: { seeder: wikiseed, leecher, torrents, before },
    theirs: { seeder: libtorrent, leecher, torrents, before },
    ...(goal === undefined ? {} : { goal }),
  })
  const four = seeding('four libtorrents take 512 MiB from ours at once', [half], libtorrent, '>= 0.8')
  return [
    seeding('seeding 1 GiB to libtorrent', [one], libtorrent, '>= 0.95'),
    seeding(`seeding ${SMALL_TORRENTS} x 1 MiB to libtorrent`, small, libtorrent, '>= 0.95'),
    seeding(
      `... ${SMALL_TORRENTS} x 1 MiB after ${SMALL_TORRENTS} others`,
      small,
      libtorrent,
      undefined,
      others,
    ),
    {
      what: 'leeching 1 GiB from libtorrent',
      side: 'leecher',
      ours: { seeder: libtorrent, leecher: wikiseed, torrents: [one] },
      theirs: { seeder: libtorrent, leecher: libtorrent, torrents: [one] },
      goal: '>= 0.75, aim 0.9',
    },
    { ...four, ours: { ...four.ours, leechers: 4 }, theirs: { ...four.theirs, leechers: 4 } },
    seeding('seeding 1 GiB to aria2', [one], aria2),
    {
      // It sends every half second, and first gives an upload slot, for which each waits ten seconds.
      what: 'leeching 64 MiB from Transmission',
      side: 'leecher',
      ours: { seeder: transmission, leecher: wikiseed, torrents: [short] },
      theirs: { seeder: transmission, leecher: libtorrent, torrents: [short] },
    },
  ]
}

export const bench: Bench = {
  group: 'torrent',
  async run() {
    for (const driver of [libtorrent, aria2, transmission]) {
      const missing = driver.missing()
      if (missing !== null) throw new Error(`${missing} is not installed`)
    }
    const hasher = new WorkerHasher()
    const root = await mkdtemp(join(tmpdir(), 'wikiseed-bench-'))
    try {
      const one = await bigTorrent(root, 'onewiki', [700 * MIB, 300 * MIB, 24 * MIB], hasher)
      const half = await bigTorrent(root, 'halfwiki', [512 * MIB], hasher)
      const short = await bigTorrent(root, 'shortwiki', [64 * MIB], hasher)
      const small: BigTorrent[] = []
      const others: BigTorrent[] = []
      const wanted = process.env.WIKISEED_BENCH_ONLY
      const wikiseed = wikiseedDriver(join(root, 'compiled'))
      const pairs = pairsOf(wikiseed, { one, half, short, small, others }).filter(
        ({ what }) => wanted === undefined || what.includes(wanted),
      )
      if (pairs.some(({ ours }) => ours.torrents === small)) {
        for (let i = 0; i < SMALL_TORRENTS; i++) {
          small.push(await bigTorrent(root, `small${i}wiki`, [MIB], hasher))
          others.push(await bigTorrent(root, `other${i}wiki`, [MIB], hasher))
        }
      }
      const measures: Measure[] = []
      for (const pair of pairs) measures.push(...(await compare(pair, root)))
      return measures
    } finally {
      await hasher.close()
      await rm(root, { recursive: true, force: true })
    }
  },
}

/** The announcer with places that say what a test wants. */
import { afterEach, describe, expect, it } from 'vitest'
import type { AnnouncePlace, PlaceAnswer } from '../../node/transfer/announce-place.ts'
import { AnnounceSchedule } from '../../node/transfer/announce-schedule.ts'
import { Announcer } from '../../node/transfer/announcer.ts'
import type { Infohash } from '../../protocol/ids.ts'

const hash = (number: number) => number.toString(16).padStart(40, '0') as Infohash
const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanUp.splice(0)) await clean()
})

interface Told {
  readonly isPrivate?: boolean
  readonly isUp?: () => boolean
  readonly gone?: readonly Infohash[]
}

function start({ isPrivate = false, isUp = () => true, gone = [] }: Told) {
  const told: (readonly Infohash[])[] = []
  const found: string[] = []
  const place: AnnouncePlace = {
    name: 'a place',
    schedule: new AnnounceSchedule({ gapMsMin: 20, gapMsMax: 20, batchMax: 3 }),
    isPrivate,
    get isUp() {
      return isUp()
    },
    announce: async (announces) => {
      told.push(announces.map((one) => one.infohash))
      return ANSWER
    },
  }
  const announcer = new Announcer({
    trackers: [],
    host: '0.0.0.0',
    describe: (infohash) => (gone.includes(infohash) ? null : OWN),
    onPeers: (infohash, peers) => {
      for (const { host, port } of peers) found.push(`${infohash.slice(-1)} ${host}:${port}`)
    },
  })
  announcer.start([place])
  cleanUp.push(() => announcer.stop())
  return { announcer, told, found }
}

const OWN = {
  peerId: 'ab'.repeat(20),
  port: 1,
  outsidePort: 1,
  uploadedBytes: 0,
  downloadedBytes: 0,
  leftBytes: 0,
}
const ANSWER: PlaceAnswer = {
  intervalMs: 60_000,
  seeds: 0,
  leeches: 0,
  peers: [
    { host: '10.0.0.7', port: 1 },
    { host: '127.0.0.1', port: 2 },
    { host: '93.184.216.34', port: 3 },
  ],
}

describe('the announcer', () => {
  it('does not call private addresses that a public place names', async () => {
    const { announcer, found } = start({})
    announcer.add(hash(1), true)
    await expect.poll(() => found).toEqual(['1 93.184.216.34:3'])
  })

  it('calls those that a place of a private network names', async () => {
    const { announcer, found } = start({ isPrivate: true })
    announcer.add(hash(1), true)
    await expect.poll(() => found).toEqual(['1 10.0.0.7:1', '1 127.0.0.1:2', '1 93.184.216.34:3'])
  })

  it('tells as many at once as the place takes, without those that are gone', async () => {
    const { announcer, told } = start({ gone: [hash(2)] })
    for (let i = 1; i <= 5; i++) announcer.add(hash(i), false)
    await expect
      .poll(() => told)
      .toEqual([
        [hash(1), hash(3)],
        [hash(4), hash(5)],
      ])
  })

  it('tells everything anew when another port leads to us', async () => {
    const { announcer, told } = start({})
    announcer.add(hash(1), false)
    await expect.poll(() => told).toHaveLength(1)
    announcer.again()
    await expect.poll(() => told).toEqual([[hash(1)], [hash(1)]])
  })

  it('uses up nobody’s turn while a place is down', async () => {
    let isUp = false
    let looks = 0
    const { announcer, told } = start({ isUp: () => looks++ >= 0 && isUp })
    announcer.add(hash(1), false)
    await expect.poll(() => looks).toBeGreaterThan(3)
    expect(told).toEqual([])
    isUp = true
    await expect.poll(() => told).toEqual([[hash(1)]])
  })
})

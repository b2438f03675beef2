import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { verifyEd25519 } from '../../node/net/signature.ts'
import {
  decodeObservation,
  describeRun,
  encodeObservation,
  OBSERVATION_DOMAIN,
  OBSERVATION_TYPE,
  type Observation,
  openRun,
  type RunReference,
} from '../../protocol/catalog/observation.ts'
import { ObservationBook } from '../../protocol/catalog/observation-book.ts'
import { basisOf, observerDelayMs, observersDigest, type Witness } from '../../protocol/catalog/observers.ts'
import { type Glimpse, knownAmong, runsToRead } from '../../protocol/catalog/runs-to-read.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { type NodeId, type RunId, seriesOf } from '../../protocol/ids.ts'
import {
  OBSERVATION_BYTES_MAX,
  OBSERVATION_RUNS_MAX,
  OBSERVATIONS_A_DAY_MAX,
  OBSERVATIONS_MAX,
  OBSERVED_RUN_BYTES_MAX,
} from '../../protocol/limits.ts'
import { type Opened, openObservation } from '../../protocol/manifest/trust.ts'
import { score } from '../../protocol/placement/rank.ts'
import { makeShard } from '../../protocol/shard/make-shard.ts'
import { testShard } from '../support/cores.ts'
import { NOW, testIdentity } from '../support/records.ts'

const DAY = 86_400_000
const RUN = testShard('tenwiki', 1_000, '20261101')
const described = describeRun([RUN]) as NonNullable<ReturnType<typeof describeRun>>

const observation = (fields: Partial<Observation> = {}): Observation => ({
  node: testIdentity(1).nodeId,
  operator: 'ann',
  atMs: NOW,
  runs: [described.reference],
  ...fields,
})

/** Sealed by the node's own key, as it goes over the wire. */
function sealed(number: number, fields: Partial<Observation> = {}): Uint8Array {
  const identity = testIdentity(number)
  const payload = encodeObservation(observation({ node: identity.nodeId, ...fields }))
  return identity.seal(OBSERVATION_DOMAIN, OBSERVATION_TYPE, payload)
}

function newBook(fields: { classOf?: (node: NodeId) => number } = {}): ObservationBook {
  return new ObservationBook({
    open: (bytes) => openObservation(bytes, verifyEd25519),
    parameters: () => ({ clockSkewMs: 300_000, goneMs: 14 * DAY, observeEveryMs: DAY }),
    classOf: fields.classOf ?? (() => 2),
  })
}

describe('an observation', () => {
  it('is within its bounds when it names as many of the longest names as it may', () => {
    const runs = Array.from({ length: OBSERVATION_RUNS_MAX }, (_, at) => ({
      run: `content_history/${'w'.repeat(60)}${String(at).padStart(4, '0')}/20261101` as RunId,
      sha256: 'ab'.repeat(32),
      sizeBytes: OBSERVED_RUN_BYTES_MAX,
    }))
    const whole = sealed(1, { runs, operator: 'o'.repeat(256) })
    expect(whole.length).toBeLessThanOrEqual(OBSERVATION_BYTES_MAX)
    expect(openObservation(whole, verifyEd25519)).toMatchObject({ ok: true })
    const more = [...runs, { ...(runs[0] as RunReference), run: 'dumps/zuwiki/20261101' as RunId }]
    expect(() => decodeObservation(encodeObservation(observation({ runs: more })))).toThrow(ShapeError)
  })

  it('names each run once, in order, of a day that there is', () => {
    const of = (...names: string[]) =>
      encodeObservation(
        observation({ runs: names.map((run) => ({ ...described.reference, run: run as RunId })) }),
      )
    expect(decodeObservation(of('dumps/awiki/20261101', 'dumps/bwiki/20261101')).runs).toHaveLength(2)
    for (const wrong of [
      ['dumps/bwiki/20261101', 'dumps/awiki/20261101'],
      ['dumps/awiki/20261101', 'dumps/awiki/20261101'],
      ['dumps/awiki/20261301'],
      ['dumps/awiki/20261101~1'],
    ])
      expect(() => decodeObservation(of(...wrong))).toThrow(ShapeError)
  })

  it('opens for nobody but under the key of the node that it names, and not when signed for another use', () => {
    const identity = testIdentity(1)
    const payload = encodeObservation(observation({ node: testIdentity(2).nodeId }))
    const borrowed = identity.seal(OBSERVATION_DOMAIN, OBSERVATION_TYPE, payload)
    expect(openObservation(borrowed, verifyEd25519).ok).toBe(false)
    const own = encodeObservation(observation())
    const other = identity.seal('wikiseed/promise/1', OBSERVATION_TYPE, own)
    expect(openObservation(other, verifyEd25519).ok).toBe(false)
    expect(openObservation(new Uint8Array(OBSERVATION_BYTES_MAX + 1), verifyEd25519).ok).toBe(false)
  })
})

describe("an observed run's document", () => {
  it('is the same bytes from everybody who read the same status', () => {
    const { files, statusJson } = RUN
    const parts = [2, 1].map((part) => makeShard({ ...RUN, files, statusJson, part }))
    const one = describeRun(parts)
    const other = describeRun([...parts].reverse())
    expect(one?.reference).toEqual(other?.reference)
    expect(one === null ? [] : openRun(one.bytes, one.reference)).toHaveLength(2)
  })

  it('is refused when it has other bytes than were named, or shards of another run', () => {
    const { bytes, reference } = described
    const bent = bytes.slice()
    bent[40] = (bent[40] ?? 0) ^ 1
    expect(() => openRun(bent, reference)).toThrow(ShapeError)
    const other = { ...reference, run: 'dumps/tenwiki/20261102' as RunId }
    expect(() => openRun(bytes, other)).toThrow(ShapeError)
  })
})

describe('the book of observations', () => {
  it('keeps one of each node and day, and ignores what is repeated, from the future, or old', () => {
    const book = newBook()
    const first = sealed(1)
    expect(book.hear(first, NOW, false).kind).toBe('new')
    expect(book.hear(first, NOW, false).kind).toBe('known')
    expect(book.hear(sealed(1, { runs: [] }), NOW, false).kind).toBe('second')
    expect(book.hear(sealed(1, { atMs: NOW + 301_000 }), NOW, false).kind).toBe('future')
    const old = sealed(1, { atMs: NOW - 15 * DAY })
    expect(book.hear(old, NOW, false).kind).toBe('old')
    // Who was asked what it knows may tell of what was long ago: a node that comes late must hear of it.
    expect(book.hear(old, NOW, true).kind).toBe('new')
    expect(book.hear(sealed(1, { atMs: NOW - DAY }), NOW, false).kind).toBe('new')
    expect([...book.all()]).toHaveLength(3)
  })

  it('refuses forged bytes, and nothing changes', () => {
    const book = newBook()
    const { digest } = book
    const genuine = sealed(1)
    fc.assert(
      fc.property(fc.nat(genuine.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const forged = genuine.slice()
        forged[at] = ((forged[at] ?? 0) + by) & 255
        expect(book.hear(forged, NOW, false).kind).toBe('refused')
      }),
      { numRuns: 100 },
    )
    expect(book.digest).toBe(digest)
  })

  it('comes to the same digest in whatever order it hears the same', () => {
    const all = [1, 2, 3, 4, 5].map((number) => sealed(number, { atMs: NOW - number * DAY }))
    const digests = new Set<string>()
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (order) => {
        const book = newBook()
        for (const one of order) book.hear(one, NOW, false)
        digests.add(book.digest)
      }),
      { numRuns: 20 },
    )
    expect(digests.size).toBe(1)
  })

  it('keeps a bounded number of a day: those whom a coordinator lists, then those who come first in its order', () => {
    const day = Math.floor(NOW / DAY)
    const listed = testIdentity(OBSERVATIONS_A_DAY_MAX + 5).nodeId
    const book = newBook({ classOf: (node) => (node === listed ? 0 : 2) })
    const numbers = Array.from({ length: OBSERVATIONS_A_DAY_MAX + 6 }, (_, at) => at)
    for (const number of numbers) book.hear(sealed(number), NOW, false)
    const kept = [...book.all()].map((one) => one.observation.node)
    expect(kept).toHaveLength(OBSERVATIONS_A_DAY_MAX)
    expect(kept).toContain(listed)
    const ranked = numbers
      .map((number) => testIdentity(number).nodeId)
      .filter((node) => node !== listed)
      .map((node) => ({ node, rank: Buffer.from(score(observersDigest(day), node, 1)).toString('hex') }))
      .sort((a, b) => (a.rank > b.rank ? -1 : 1))
    const best = ranked.slice(0, OBSERVATIONS_A_DAY_MAX - 1).map((one) => one.node)
    expect(new Set(kept)).toEqual(new Set([listed, ...best]))
  })

  it('does not ask again for what it did not want', () => {
    const book = newBook()
    book.hear(sealed(1), NOW, false)
    const second = sealed(1, { runs: [] })
    const asked = newBook()
    asked.hear(second, NOW, false)
    const names = [...asked.all()].map((one) => one.sha256)
    expect(book.missing(names)).toEqual(names)
    expect(book.hear(second, NOW, true).kind).toBe('second')
    expect(book.missing(names)).toEqual([])
  })

  it('gives up the oldest days for new ones when it is full, not new ones for old', () => {
    // As many signatures as these would take too long: here the bytes are the day.
    const open = (bytes: Uint8Array): Opened<Observation> => {
      const atMs = new DataView(bytes.buffer).getUint32(0) * DAY
      const node = testIdentity(bytes[4] ?? 0).nodeId
      return { ok: true, value: observation({ node, atMs }), signer: node } as Opened<Observation>
    }
    const said = (day: number, who: number) => {
      const bytes = new Uint8Array(5)
      new DataView(bytes.buffer).setUint32(0, day)
      bytes[4] = who
      return bytes
    }
    const today = Math.floor(NOW / DAY)
    const parameters = () => ({ clockSkewMs: 0, goneMs: 14 * DAY, observeEveryMs: DAY })
    const book = new ObservationBook({ open, parameters, classOf: () => 2 })
    const days = OBSERVATIONS_MAX / OBSERVATIONS_A_DAY_MAX
    for (let back = 1; back <= days; back++)
      for (let who = 0; who < OBSERVATIONS_A_DAY_MAX; who++) book.hear(said(today - back, who), NOW, true)
    expect([...book.all()]).toHaveLength(OBSERVATIONS_MAX)
    expect(book.hear(said(today - days - 1, 0), NOW, true).kind).toBe('full')
    const heard = book.hear(said(today, 0), NOW, false)
    expect(heard).toMatchObject({ kind: 'new', replaced: { day: today - days } })
    expect([...book.all()]).toHaveLength(OBSERVATIONS_MAX)
  })
})

describe('what counts', () => {
  const witness = (fields: Partial<Witness> = {}): Witness => ({
    isSelf: false,
    operator: 1,
    listedOperator: -1,
    network: -1,
    ...fields,
  })

  it.each([
    ['nobody', [], null],
    ['one stranger', [witness()], null],
    ['two nodes of one operator', [witness(), witness()], null],
    ['two operators in one network', [witness({ network: 7 }), witness({ operator: 2, network: 7 })], null],
    ['two strangers', [witness(), witness({ operator: 2 })], 'open'],
    [
      'one who is listed and one stranger',
      [witness({ listedOperator: 1 }), witness({ operator: 2 })],
      'open',
    ],
    [
      'two who are listed as one operator, whatever they declare',
      [witness({ listedOperator: 1 }), witness({ operator: 2, listedOperator: 1 })],
      'open',
    ],
    [
      'two who are listed',
      [witness({ listedOperator: 1 }), witness({ operator: 2, listedOperator: 2 })],
      'listed',
    ],
    ['this node itself', [witness({ isSelf: true })], 'own'],
  ] as const)('of the word of %s', (_who, witnesses, basis) => {
    expect(basisOf(witnesses, true)).toBe(basis)
    // While those who are listed are there, strangers count for nothing.
    expect(basisOf(witnesses, false)).toBe(basis === 'open' ? null : basis)
  })
})

describe('who reads upstream', () => {
  it('does not ask in one moment', () => {
    const nodes = Array.from({ length: 50 }, (_, number) => testIdentity(number).nodeId)
    const delays = nodes.map((node) => observerDelayMs(20_000, node, 3_600_000))
    expect(new Set(delays).size).toBe(nodes.length)
    expect(Math.min(...delays)).toBeLessThan(600_000)
    expect(Math.max(...delays)).toBeGreaterThan(3_000_000)
    expect(Math.max(...delays)).toBeLessThan(3_600_000)
    expect(nodes.map((node) => observerDelayMs(20_000, node, 1))).toEqual(nodes.map(() => 0))
  })

  it('reads the same runs as another who looks at the same index', () => {
    const dumpsOf = (wiki: string) => seriesOf({ dataset: 'dumps', wiki })
    const glimpse = (wiki: string, updatedMs: number): Glimpse => ({
      dataset: 'dumps',
      wiki,
      date: '20261101',
      updatedMs,
      shards: [testShard(wiki, 1_000, '20261101')],
    })
    const all = [glimpse('awiki', 3), glimpse('bwiki', 1), glimpse('cwiki', 2), glimpse('dwiki', 1)]
    const after = new Map(['awiki', 'bwiki', 'cwiki', 'dwiki'].map((wiki) => [dumpsOf(wiki), '20261001']))
    const known = knownAmong([testShard('cwiki', 1_000, '20261101')])
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (index) => {
        const read = runsToRead(index, known, { after, runsMax: 2 }).map((one) => one.wiki)
        expect(read).toEqual(['bwiki', 'dwiki'])
      }),
    )
    // A wiki that no coordinator named, and a run that is not newer, are left out.
    expect(runsToRead(all, known, { after: new Map([[dumpsOf('awiki'), '20261101']]) })).toEqual([])
  })
})

// Longer than 300 lines: one claim after the other about one book.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { verifyEd25519 } from '../../node/net/signature.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import { bucketAt, bucketOf } from '../../protocol/manifest/bucket-digest.ts'
import { decodeParcels, encodeParcels, type Parcel } from '../../protocol/manifest/catch-up.ts'
import { answerCatchUp } from '../../protocol/manifest/catch-up-answer.ts'
import { type Conversation, compareWith, takeFrom } from '../../protocol/manifest/catch-up-ask.ts'
import { headsBehind, SUMMARY_BYTES, summaryOf } from '../../protocol/manifest/heads.ts'
import type { NodeRecord } from '../../protocol/manifest/node-record.ts'
import { type Heard, RecordBook } from '../../protocol/manifest/record-book.ts'
import { openContradiction, openNodeUpdate } from '../../protocol/manifest/trust.ts'
import { HEAD, NOW, saying, seal, testEntry, testIdentity, testKey, Writer } from '../support/records.ts'

const SELF = testIdentity(99).nodeId
const HOUR = 3_600_000

function newBook(self: NodeId = SELF): RecordBook {
  return new RecordBook({
    self,
    open: (sealed) => openNodeUpdate(sealed, verifyEd25519),
    clockSkewMs: 300_000,
    goneMs: 14 * 24 * HOUR,
  })
}

/** What a book knows, to compare two of them. */
function known(book: RecordBook) {
  return [...book.records()]
    .map(({ node, sequence, digest, entries }) => ({
      node,
      sequence,
      digest,
      entries: new Map([...entries].sort()),
    }))
    .sort((a, b) => (a.node < b.node ? -1 : 1))
}

interface Talk {
  requests: number
  askedBytes: number
  answeredBytes: number
  largestBytes: number
  heard: Heard[]
}

/** Runs a conversation between two books; `tamper` may change an answer. */
function talk(
  book: RecordBook,
  peer: RecordBook,
  start: (asking: Parameters<typeof compareWith>[0]) => Conversation<void>,
  tamper: (answer: Uint8Array, request: number) => Uint8Array = (answer) => answer,
): Talk {
  const out: Talk = { requests: 0, askedBytes: 0, answeredBytes: 0, largestBytes: 0, heard: [] }
  const conversation = start({ book, nowMs: () => NOW, heard: (heard) => out.heard.push(heard) })
  let step = conversation.next()
  while (step.done !== true) {
    const answer = tamper(answerCatchUp(step.value, peer), out.requests)
    out.requests++
    out.askedBytes += step.value.length
    out.answeredBytes += answer.length
    out.largestBytes = Math.max(out.largestBytes, answer.length)
    step = conversation.next(answer)
  }
  return out
}

const compare = (asking: Parameters<typeof compareWith>[0]) => compareWith(asking, false)
const compareAll = (asking: Parameters<typeof compareWith>[0]) => compareWith(asking, true)

const entries = (count: number, from = 0) => Array.from({ length: count }, (_, i) => testEntry(from + i))

describe('the book of records', () => {
  it('takes a newer update, and ignores one that is old, repeated, from the future or long expired', () => {
    const book = newBook()
    const writer = new Writer(1)
    const first = writer.say(saying())
    const second = writer.say(saying({ entries: entries(1) }))
    expect(book.hear(first.sealed, NOW)).toMatchObject({ kind: 'applied', change: { headChanged: true } })
    expect(book.hear(second.sealed, NOW)).toMatchObject({ kind: 'applied', change: { set: entries(1) } })
    expect(book.hear(second.sealed, NOW)).toEqual({ kind: 'repeated' })
    expect(book.hear(first.sealed, NOW)).toEqual({ kind: 'old' })
    const third = writer.say(saying())
    expect(book.hear(third.sealed, NOW - 301_000)).toEqual({ kind: 'future' })
    expect(book.hear(third.sealed, NOW + 15 * 24 * HOUR)).toEqual({ kind: 'expired' })
    expect(book.get(writer.node)?.sequence).toBe(second.update.sequence)
  })

  it('refuses forged bytes, and nothing changes', () => {
    const book = newBook()
    const { sealed, update } = new Writer(1).say(saying())
    for (const at of [10, 60, 120, sealed.length - 1]) {
      const forged = Uint8Array.from(sealed)
      forged[at] = (forged[at] ?? 0) ^ 1
      expect(book.hear(forged, NOW).kind).toBe('refused')
    }
    const other = seal(testIdentity(2), update)
    expect(book.hear(other, NOW)).toMatchObject({ kind: 'applied', record: { node: testIdentity(2).nodeId } })
    expect(book.get(update.node)).toBeUndefined()
  })

  it('joins updates that come in another order, without a pull', () => {
    const writer = new Writer(1)
    const said = [1, 2, 3].map((count) => writer.say(saying({ entries: entries(count) })))
    const book = newBook()
    expect(book.hear(said[0]?.sealed ?? new Uint8Array(), NOW).kind).toBe('applied')
    expect(book.hear(said[2]?.sealed ?? new Uint8Array(), NOW).kind).toBe('gap')
    expect([...book.waiting()]).toEqual([writer.node])
    const joined = book.hear(said[1]?.sealed ?? new Uint8Array(), NOW)
    expect(joined).toMatchObject({ kind: 'applied', change: { set: entries(2, 1) } })
    expect(book.get(writer.node)?.sequence).toBe(said[2]?.update.sequence)
    expect([...book.waiting()]).toEqual([])
  })

  it('proves an equivocation to anybody, once, and keeps what it heard first', () => {
    const book = newBook()
    const [one, other] = [new Writer(1), new Writer(1)]
    const first = one.say(saying({ entries: entries(1) }))
    const second = other.say(saying({ entries: entries(2) }))
    expect(book.hear(first.sealed, NOW).kind).toBe('applied')
    const heard = book.hear(second.sealed, NOW)
    if (heard.kind !== 'contradiction') throw new Error(heard.kind)
    expect(openContradiction(...heard.proof, verifyEd25519)).toEqual({
      node: one.node,
      sequence: first.update.sequence,
    })
    expect(book.hear(second.sealed, NOW)).toEqual({ kind: 'old' })
    expect(book.get(one.node)?.entries.size).toBe(1)
  })

  it('takes nothing for a proof that is none', () => {
    const writer = new Writer(1)
    const [one, two] = [writer.say(saying()), writer.say(saying({ entries: entries(1) }))]
    const other = new Writer(2).say(saying({ entries: entries(2) }))
    for (const [a, b] of [
      [one, two],
      [one, one],
      [one, other],
    ] as const) {
      expect(openContradiction(a.sealed, b.sealed, verifyEd25519)).toBeNull()
    }
    expect(openContradiction(one.sealed, new Uint8Array(100), verifyEd25519)).toBeNull()
  })

  it('goes on above own words that it forgot, and then says everything', () => {
    const before = new Writer(1)
    before.say(saying())
    const lost = before.say(saying({ entries: entries(3) }))
    const book = newBook(before.node)
    const sealWith = (payload: Uint8Array) =>
      before.identity.seal('wikiseed/node-update/1', 'application/vnd.wikiseed.node-update+cbor', payload)
    book.say({ ...saying(), sequence: 1, issuedAtMs: NOW, ttlMs: HOUR }, sealWith)
    expect(book.hear(lost.sealed, NOW)).toEqual({ kind: 'ahead', sequence: lost.update.sequence })
    const sequence = lost.update.sequence + 1
    const { record } = book.say(
      { ...saying({ entries: entries(4) }), sequence, issuedAtMs: NOW, ttlMs: HOUR },
      sealWith,
    )
    const listener = newBook()
    expect(listener.hear(record.sealed, NOW)).toMatchObject({ kind: 'applied', record: { sequence } })
  })
})

describe('heads', () => {
  const writers = Array.from({ length: 40 }, (_, i) => new Writer(i))
  const records = writers.map((writer) => writer.say(saying()).record)

  it('in any order have one summary, and equal books exchange no heads', () => {
    expect(summaryOf(records)).toEqual(summaryOf(records.toReversed()))
    expect(summaryOf(records)).toHaveLength(SUMMARY_BYTES)
    expect(headsBehind(records, summaryOf(records), '')).toEqual([])
  })

  it('that differ are always among those exchanged, and few others are', () => {
    fc.assert(
      fc.property(fc.subarray(records, { maxLength: 3 }), (missing) => {
        const theirs = records.filter((record) => !missing.includes(record))
        const behind = headsBehind(records, summaryOf(theirs), '')
        for (const record of missing) expect(behind).toContain(record)
        expect(behind.length).toBeLessThanOrEqual(missing.length * 8)
      }),
      { numRuns: 50 },
    )
  })

  it('stand in order, from a given one on', () => {
    const all = headsBehind(records, null, '')
    expect(all.map((record) => record.node)).toEqual(records.map((record) => record.node).sort())
    expect(headsBehind(records, null, all[10]?.node ?? '')).toEqual(all.slice(11))
  })
})

describe('a conversation', () => {
  it('brings a late joiner everything, in few requests', () => {
    const peer = newBook()
    for (let i = 0; i < 60; i++) peer.hear(new Writer(i).say(saying({ entries: entries(i) })).sealed, NOW)
    const late = newBook()
    const { requests, heard } = talk(late, peer, compareAll)
    expect(requests).toBeLessThanOrEqual(3)
    expect(heard.every((one) => one.kind === 'applied' || one.kind === 'gap')).toBe(true)
    expect(known(late)).toEqual(known(peer))
    expect(talk(late, peer, compare)).toMatchObject({ requests: 1, heard: [] })
  })

  it('between two who know almost the same takes some 2 KB', () => {
    const [one, other] = [newBook(), newBook()]
    const writers = Array.from({ length: 60 }, (_, i) => new Writer(i))
    for (const writer of writers) {
      const { sealed } = writer.say(saying({ entries: entries(3) }))
      for (const book of [one, other]) book.hear(sealed, NOW)
    }
    const lost = writers[7]?.say(saying({ entries: entries(4) }))
    other.hear(lost?.sealed ?? new Uint8Array(), NOW)
    const { askedBytes, answeredBytes } = talk(one, other, compare)
    expect(askedBytes + answeredBytes).toBeLessThan(3_000)
    expect(known(one)).toEqual(known(other))
  })

  it('brings a lost heartbeat, though the state is the same', () => {
    const [one, other] = [newBook(), newBook()]
    const writer = new Writer(1)
    const first = writer.say(saying())
    for (const book of [one, other]) book.hear(first.sealed, NOW)
    const beat = writer.say(saying())
    other.hear(beat.sealed, NOW)
    expect(talk(one, other, compare)).toMatchObject({ requests: 2 })
    expect(one.get(writer.node)?.sequence).toBe(beat.update.sequence)
  })

  it('brings 10,000 entries in answers of at most 1 MiB, and later only the buckets that differ', () => {
    const writer = new Writer(1)
    const first = writer.say(saying({ entries: entries(10_000) }))
    const [peer, late] = [newBook(), newBook()]
    // The writer's own book hands its state on.
    expect(peer.restore(first.record, NOW)).not.toBeNull()
    const whole = talk(late, peer, compareAll)
    expect(late.get(writer.node)).toEqual(first.record)
    expect(whole.largestBytes).toBeLessThanOrEqual(STREAM_MESSAGE_BYTES_MAX)
    expect(whole.answeredBytes).toBeGreaterThan(STREAM_MESSAGE_BYTES_MAX)
    expect(whole.requests).toBe(4)
    // Two lost updates with one row each.
    writer.say(saying({ entries: entries(9_999) }))
    const third = writer.say(saying({ entries: entries(9_998) }))
    peer.restore(third.record, NOW)
    const part = talk(late, peer, compare)
    expect(part.heard.at(-1)).toMatchObject({ kind: 'applied', change: { unset: expect.any(Array) } })
    expect(known(late)).toEqual(known(peer))
    expect(part.answeredBytes).toBeLessThan(30_000)
  })

  it('closes a gap whatever was lost: the record is equal to that of who heard all', () => {
    const what = fc.array(fc.record({ from: fc.nat(40), count: fc.nat(30), lost: fc.boolean() }), {
      minLength: 1,
      maxLength: 8,
    })
    fc.assert(
      fc.property(what, (steps) => {
        const writer = new Writer(1)
        const [all, some] = [newBook(), newBook()]
        for (const { from, count, lost } of steps) {
          const { sealed } = writer.say(saying({ entries: entries(count, from) }))
          all.hear(sealed, NOW)
          if (!lost) some.hear(sealed, NOW)
        }
        talk(some, all, compare)
        expect(known(some)).toEqual(known(all))
        expect([...some.waiting()]).toEqual([])
      }),
      { numRuns: 40 },
    )
  })

  it('with one who changes a row, leaves one out or takes another head brings nothing and ends', () => {
    const writer = new Writer(1)
    writer.say(saying({ entries: entries(3) }))
    const said = writer.say(saying({ entries: entries(4) }))
    const peer = newBook()
    peer.restore(said.record, NOW)
    const lie = (change: (parcel: Parcel) => Parcel) => (answer: Uint8Array, request: number) =>
      request === 0
        ? answer
        : encodeParcels(decodeParcels(answer).map((parcel) => (parcel === null ? null : change(parcel))))
    const other = new Writer(1).say(saying({ entries: [testEntry(1, { done: 3 })] })).record
    const at = bucketOf(testKey(1))
    const lies: ((parcel: Parcel) => Parcel)[] = [
      (parcel) => ({ ...parcel, buckets: parcel.buckets?.slice(1) }),
      (parcel) => ({
        ...parcel,
        buckets: parcel.buckets?.map((one) =>
          one.number === at ? { number: at, bytes: bucketAt(other.tree, at).bytes } : one,
        ),
      }),
      (parcel) => ({ ...parcel, head: otherHead }),
      (parcel) => ({ ...parcel, sealed: parcel.sealed.with(100, (parcel.sealed[100] ?? 0) ^ 1) }),
      ({ sealed, head }) => ({ sealed, head, hashes: new Uint8Array(8_192) }),
    ]
    for (const change of lies) {
      const book = newBook()
      expect(() => talk(book, peer, compareAll, lie(change))).toThrow(ShapeError)
      expect([...book.records()]).toEqual([])
      // The pull is over: another peer may be asked.
      expect(book.startPull(writer.node)).toBe(true)
    }
  })

  it('with one who gives wrong buckets of a big state ends, and the truth still comes from another', () => {
    const writer = new Writer(1)
    const said = writer.say(saying({ entries: entries(4_000) }))
    const peer = newBook()
    peer.restore(said.record, NOW)
    const book = newBook()
    const flip = (answer: Uint8Array, request: number) => {
      const at = answer.length >> 1
      return request < 2 ? answer : answer.with(at, (answer[at] ?? 0) ^ 1)
    }
    // Found in the answer that has them, before anything else is asked.
    expect(() => talk(book, peer, compareAll, flip)).toThrow(/^answer\.buckets/)
    expect([...book.records()]).toEqual([])
    talk(book, peer, (asking) => takeFrom(asking, [writer.node]))
    expect(book.get(writer.node)?.digest).toEqual(said.record.digest)
  })

  it('finds a contradiction between two who each heard one side', () => {
    const [left, right] = [newBook(), newBook()]
    left.hear(new Writer(1).say(saying({ entries: entries(1) })).sealed, NOW)
    right.hear(new Writer(1).say(saying({ entries: entries(2) })).sealed, NOW)
    expect(talk(left, right, compare).heard).toMatchObject([{ kind: 'contradiction' }])
  })
})

const otherHead = (() => {
  const { record } = new Writer(7).say(saying({ head: { ...HEAD, reachable: false } }))
  const [parcel] = decodeParcels(answerFor(record))
  return parcel?.head ?? new Uint8Array()
})()

function answerFor(record: NodeRecord): Uint8Array {
  const book = newBook()
  book.restore(record, NOW)
  let answer = new Uint8Array()
  talk(newBook(), book, compareAll, (given) => {
    answer = Uint8Array.from(given)
    return given
  })
  return answer
}

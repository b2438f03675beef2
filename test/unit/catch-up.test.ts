import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import { bucketAt, bucketOf } from '../../protocol/manifest/bucket-digest.ts'
import { decodeParcels, encodeParcels, type Parcel } from '../../protocol/manifest/catch-up.ts'
import { takeFrom } from '../../protocol/manifest/catch-up-ask.ts'
import type { NodeRecord } from '../../protocol/manifest/node-record.ts'
import { compare, compareAll, entries, known, newBook, talk } from '../support/books.ts'
import { HEAD, NOW, saying, testEntry, testKey, Writer } from '../support/records.ts'

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

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { verifyEd25519 } from '../../node/net/signature.ts'
import { headsBehind, SUMMARY_BYTES, summaryOf } from '../../protocol/manifest/heads.ts'
import { openContradiction } from '../../protocol/manifest/trust.ts'
import { entries, HOUR, newBook } from '../support/books.ts'
import { NOW, saying, seal, testIdentity, Writer } from '../support/records.ts'

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

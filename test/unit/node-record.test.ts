import { sha256 } from '@noble/hashes/sha2.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../protocol/codec/bytes.ts'
import { encodeCbor } from '../../protocol/codec/cbor.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { NODE_UPDATE_BYTES_MAX } from '../../protocol/limits.ts'
import { applyUpdate, recordFromBuckets } from '../../protocol/manifest/apply-update.ts'
import {
  bucketAt,
  bucketHashes,
  bucketOf,
  decodeBucket,
  digestOfHashes,
  makeBucket,
  openBucket,
} from '../../protocol/manifest/bucket-digest.ts'
import { entryToValue } from '../../protocol/manifest/entry.ts'
import { nextUpdate } from '../../protocol/manifest/next-update.ts'
import { diffRecords, type NodeRecord, type NodeState } from '../../protocol/manifest/node-record.ts'
import {
  anySaying,
  HEAD,
  NOW,
  opened,
  type Said,
  type Saying,
  saying,
  seal,
  testEntry,
  testIdentity,
  testKey,
  Writer,
} from '../support/records.ts'

/** The state that somebody has who never heard of the node before. */
function fromScratch(what: Saying): NodeState {
  const statement = { node: testIdentity(0).nodeId, sequence: 1, issuedAtMs: NOW, ttlMs: 1, ...what }
  return nextUpdate(null, statement).state
}

function apply(previous: NodeRecord | null, said: Said) {
  return applyUpdate(previous, opened(said.sealed), said.sealed)
}

function mustApply(previous: NodeRecord | null, said: Said): NodeRecord {
  const result = apply(previous, said)
  if (!result.ok) throw new Error(result.code)
  return result.record
}

/** Everything that a state says, in an order of its own. */
function contents(state: NodeState) {
  return {
    head: state.head,
    entries: [...state.entries.values()].sort((a, b) => (a.shard < b.shard ? -1 : 1)),
    refuted: [...state.refuted].map(([shard, all]) => [shard, [...all].sort()]).sort(),
    audits: [...state.audits.entries()].sort(([a], [b]) => (a < b ? -1 : 1)),
  }
}

const allBuckets = (state: NodeState) => Array.from({ length: 256 }, (_, i) => bucketAt(state.tree, i))

describe('a record', () => {
  it('has after any sequence of updates the digest and the contents that building from scratch gives', () => {
    fc.assert(
      fc.property(fc.array(anySaying, { minLength: 1, maxLength: 6 }), (sayings) => {
        const writer = new Writer(1)
        let record: NodeRecord | null = null
        for (const what of sayings) {
          record = mustApply(record, writer.say(what))
          const scratch = fromScratch(what)
          expect(record.digest).toEqual(scratch.digest)
          expect(contents(record)).toEqual(contents(scratch))
          expect(record.digest).toEqual(writer.last?.digest)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('differs from another by exactly the change that leads there', () => {
    fc.assert(
      fc.property(anySaying, anySaying, (first, second) => {
        const writer = new Writer(1)
        const before = mustApply(null, writer.say(first))
        const said = writer.say(second)
        const after = apply(before, said)
        const change = diffRecords(before, fromScratch(second))
        expect(after).toMatchObject({ ok: true, change })
        const { set, unset, refute, unrefute, audits, unaudit, head } = opened(said.sealed)
        const lists = { set, unset, refute, unrefute, audits, unaudit }
        for (const [name, rows] of Object.entries(lists)) {
          const found = change[name as keyof typeof lists]
          expect(new Set(found.map((row) => JSON.stringify(row)))).toEqual(
            new Set(rows.map((row) => JSON.stringify(row))),
          )
        }
        expect(head !== null).toBe(change.headChanged)
      }),
      { numRuns: 60 },
    )
  })

  it('is the same for everybody who took the same updates, and after a heartbeat shares what did not change', () => {
    const writer = new Writer(1)
    const first = writer.say(saying({ entries: [testEntry(1)] }))
    const update = opened(first.sealed)
    const one = applyUpdate(null, update, first.sealed)
    expect(applyUpdate(null, update, first.sealed)).toBe(one)
    if (!one.ok) throw new Error(one.code)
    const beat = writer.say(saying({ entries: [testEntry(1)] }), { issuedAtMs: NOW + 5 })
    const after = apply(one.record, beat)
    expect(after).toMatchObject({ ok: true, change: { set: [], headChanged: false } })
    if (after.ok) {
      expect(after.record.entries).toBe(one.record.entries)
      expect(after.record).toMatchObject({ sequence: beat.update.sequence, issuedAtMs: NOW + 5 })
      expect(after.record.sealed).toBe(beat.sealed)
    }
  })

  it('has the digest that PROTOCOL 4 says', () => {
    const state = fromScratch(saying({ entries: [testEntry(1), testEntry(2)] }))
    const hashes: Uint8Array[] = Array.from({ length: 256 }, () => new Uint8Array(32))
    for (const number of [1, 2]) {
      const at = sha256(new TextEncoder().encode(testKey(number)))[0] ?? 0
      hashes[at] = sha256(encodeCbor([[entryToValue(testEntry(number))], [], []]))
    }
    expect(bucketOf(testKey(1))).not.toBe(bucketOf(testKey(2)))
    const groups = Array.from({ length: 16 }, (_, i) =>
      sha256(concatBytes(...hashes.slice(i * 16, i * 16 + 16))),
    )
    const head = sha256(
      encodeCbor({
        ...HEAD,
        capacity: [1e12, 0, 8],
        endpoints: { libp2p: HEAD.endpoints.libp2p, bittorrent: [['127.0.0.1', 6881]] },
      }),
    )
    expect(state.digest).toEqual(sha256(concatBytes(head, ...groups)))
    expect(digestOfHashes(head, bucketHashes(state.tree))).toEqual(state.digest)
  })
})

describe('a lost update', () => {
  const writer = new Writer(1)
  const first = writer.say(saying({ entries: [testEntry(1), testEntry(2)] }))
  const beat = writer.say(saying({ entries: [testEntry(1), testEntry(2)] }))
  const second = writer.say(saying({ entries: [testEntry(1)] }))
  const third = writer.say(saying({ entries: [testEntry(1), testEntry(3)] }))
  const known = mustApply(null, first)

  it('without changes leaves no gap', () => {
    expect(apply(known, second)).toMatchObject({ ok: true, change: { unset: [testKey(2)] } })
    expect(apply(known, beat)).toMatchObject({ ok: true })
  })

  it('with changes leaves a gap, which a catch-up by buckets closes with an equal record', () => {
    expect(apply(known, third)).toEqual({ ok: false, code: 'gap' })
    expect(apply(null, third)).toEqual({ ok: false, code: 'gap' })
    const update = opened(third.sealed)
    const caught = recordFromBuckets(update, third.sealed, HEAD, allBuckets(third.record))
    expect(caught).toEqual(third.record)
    if (caught !== null) {
      expect(diffRecords(known, caught)).toMatchObject({ set: [testEntry(3)], unset: [testKey(2)] })
    }
  })

  it('of a wrong digest is the writer’s fault, and changes nothing', () => {
    const sealed = seal(writer.identity, { ...second.update, digest: new Uint8Array(32) })
    const record = mustApply(known, beat)
    expect(applyUpdate(record, opened(sealed), sealed)).toEqual({ ok: false, code: 'mismatch' })
  })
})

describe('catching up', () => {
  const writer = new Writer(1)
  const said = writer.say(saying({ entries: [testEntry(1), testEntry(2)] }))
  const update = opened(said.sealed)

  it('refuses a wrong row, a missing row and another head', () => {
    const number = bucketOf(testKey(1))
    const lie = makeBucket([testEntry(1, { done: 3 })], [], [])
    if (lie === null) throw new Error('one row fits')
    const buckets = allBuckets(said.record)
    expect(recordFromBuckets(update, said.sealed, HEAD, buckets.with(number, lie))).toBeNull()
    const empty = makeBucket([], [], [])
    if (empty === null) throw new Error('no row fits')
    expect(recordFromBuckets(update, said.sealed, HEAD, buckets.with(number, empty))).toBeNull()
    expect(recordFromBuckets(update, said.sealed, { ...HEAD, reachable: false }, buckets)).toBeNull()
    expect(openBucket(lie.bytes, number, bucketAt(said.record.tree, number).hash)).toBeNull()
  })

  it('refuses a bucket with rows of another, unsorted rows, twice the same row and other encodings', () => {
    const row = entryToValue(testEntry(1))
    const number = bucketOf(testKey(1))
    expect(decodeBucket(encodeCbor([[row], [], []]), number).entries).toEqual([testEntry(1)])
    const wrong = [
      [encodeCbor([[row], [], []]), (number + 1) % 256],
      [encodeCbor([[row, row], [], []]), number],
      [encodeCbor([[], [], []]), number],
      [encodeCbor([[row], []]), number],
      // 16 as a float of 8 bytes: the same number, in other bytes.
      [
        replaced(encodeCbor([[row], [], []]), [0x10, 0x1b], [0xfb, 0x40, 0x30, 0, 0, 0, 0, 0, 0, 0x1b]),
        number,
      ],
    ] as const
    for (const [bytes, at] of wrong) expect(() => decodeBucket(bytes, at)).toThrow(ShapeError)
  })
})

describe('the next update', () => {
  it('is a heartbeat of at most 300 bytes when nothing changed', () => {
    const writer = new Writer(1)
    const what = saying({ entries: Array.from({ length: 50 }, (_, i) => testEntry(i)) })
    writer.say(what)
    expect(writer.say(what).sealed.length).toBeLessThanOrEqual(300)
  })

  it('asks to be pulled instead of sending more than one message holds', () => {
    const writer = new Writer(1)
    const many = saying({ entries: Array.from({ length: 10_000 }, (_, i) => testEntry(i)) })
    const first = writer.say(many)
    expect(first.sealed.length).toBeLessThan(1_000)
    expect(first.update).toMatchObject({ prev: 0, head: HEAD, set: [] })
    expect(apply(null, first)).toEqual({ ok: false, code: 'gap' })
    const rewritten = many.entries.map((entry) => ({ ...entry, promisedUntilMs: NOW }))
    expect(writer.say(saying({ entries: rewritten })).update).toMatchObject({ prev: 0, set: [] })
    // A small change of a big state goes as a change.
    const one = writer.say(saying({ entries: rewritten.with(7, testEntry(7, { promisedUntilMs: NOW + 1 })) }))
    expect(one.update.set).toHaveLength(1)
    expect(one.update.prev).toBeGreaterThan(0)
  })

  it('never takes more than a message, whatever changes', () => {
    for (const count of [300, 400, 450, 500, 600]) {
      const writer = new Writer(1)
      const node = testIdentity(5).nodeId
      const audits = Array.from({ length: count }, (_, i) => ({
        shard: testKey(i),
        node,
        outcome: 'pass' as const,
        atMs: NOW,
      }))
      const said = writer.say(saying({ audits }))
      expect(said.sealed.length).toBeLessThanOrEqual(NODE_UPDATE_BYTES_MAX)
    }
  })

  it('is refused above the bounds, and for a sequence that does not grow', () => {
    const writer = new Writer(1)
    const many = Array.from({ length: 10_001 }, (_, i) => testEntry(i))
    expect(() => writer.say(saying({ entries: many }))).toThrow(RangeError)
    writer.say(saying())
    expect(() => writer.say(saying(), { sequence: NOW })).toThrow(RangeError)
  })

  it('that would take others above the bounds is not taken', () => {
    const writer = new Writer(1)
    const entries = Array.from({ length: 10_000 }, (_, i) => testEntry(i))
    const said = writer.say(saying({ entries }))
    const known = recordFromBuckets(opened(said.sealed), said.sealed, HEAD, allBuckets(said.record))
    const refute = [{ shard: testKey(1), infohash: '0'.repeat(40) as Infohash }]
    const { sequence } = said.update
    const digest = new Uint8Array(32)
    const over = { ...said.update, prev: sequence, sequence: sequence + 1, refute, digest }
    const sealed = seal(writer.identity, over)
    expect(applyUpdate(known, opened(sealed), sealed)).toEqual({ ok: false, code: 'too-large' })
  })
})

function replaced(bytes: Uint8Array, from: readonly number[], to: readonly number[]): Uint8Array {
  const at = bytes.findIndex((_, i) => from.every((byte, j) => bytes[i + j] === byte))
  if (at < 0) throw new Error('not found')
  return Uint8Array.from([...bytes.slice(0, at), ...to, ...bytes.slice(at + from.length)])
}

/** Decoders of node updates and of catch-up: whatever the bytes, a value or a ShapeError, in linear time. */
import { performance } from 'node:perf_hooks'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeCbor } from '../../protocol/codec/cbor.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import type { ShardKey } from '../../protocol/ids.ts'
import { bucketOf, decodeBucket } from '../../protocol/manifest/bucket-digest.ts'
import {
  decodeBuckets,
  decodeHeads,
  decodeParcels,
  decodeRequest,
  encodeBuckets,
  encodeHeads,
  encodeParcels,
  encodeRequest,
} from '../../protocol/manifest/catch-up.ts'
import { auditToValue, entryToValue } from '../../protocol/manifest/entry.ts'
import { SUMMARY_BYTES } from '../../protocol/manifest/heads.ts'
import { nextUpdate } from '../../protocol/manifest/next-update.ts'
import { decodeHead, encodeHead, headToValue } from '../../protocol/manifest/node-head.ts'
import { decodeNodeUpdate, encodeNodeUpdate } from '../../protocol/manifest/node-update.ts'
import { anySaying, HEAD, NOW, saying, testEntry, testIdentity, testKey, Writer } from '../support/records.ts'

const NODE = testIdentity(1).nodeId
const writer = new Writer(1)
const said = writer.say(saying({ entries: [testEntry(1), testEntry(2)] }))
const hash = new Uint8Array(32).fill(3)

const DECODERS: readonly (readonly [
  name: string,
  decode: (bytes: Uint8Array) => unknown,
  good: Uint8Array,
])[] = [
  ['update', (bytes) => decodeNodeUpdate(bytes, NODE), encodeNodeUpdate(said.update)],
  ['head', decodeHead, encodeHead(HEAD)],
  [
    'bucket',
    (bytes) => decodeBucket(bytes, bucketOf(testKey(1))),
    encodeCbor([
      [entryToValue(testEntry(1))],
      [],
      [auditToValue({ shard: testKey(1), node: NODE, outcome: 'fail', atMs: 5 })],
    ]),
  ],
  [
    'heads request',
    decodeRequest,
    encodeRequest({ kind: 'heads', after: NODE, summary: new Uint8Array(SUMMARY_BYTES) }),
  ],
  ['get request', decodeRequest, encodeRequest({ kind: 'get', wanted: [{ node: NODE, digest: hash }] })],
  [
    'buckets request',
    decodeRequest,
    encodeRequest({ kind: 'buckets', node: NODE, sequence: 3, numbers: [1, 255] }),
  ],
  [
    'heads answer',
    decodeHeads,
    encodeHeads({ heads: [{ node: NODE, sequence: 3, digest: hash }], more: false }),
  ],
  [
    'parcels answer',
    decodeParcels,
    encodeParcels([
      null,
      { sealed: said.sealed },
      { sealed: said.sealed, head: encodeHead(HEAD), buckets: [{ number: 3, bytes: hash }] },
      { sealed: said.sealed, head: encodeHead(HEAD), hashes: new Uint8Array(8_192) },
    ]),
  ],
  ['buckets answer', decodeBuckets, encodeBuckets([{ number: 3, bytes: hash }])],
]

function decodesOrRefuses(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    decode(bytes)
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
  }
}

describe.each(DECODERS)('the decoder of a %s', (_name, decode, good) => {
  it('takes what the encoder made', () => {
    expect(() => decode(good)).not.toThrow()
  })

  it('throws nothing but ShapeError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodesOrRefuses(decode, bytes)),
      { numRuns: 300 },
    )
  })

  it('throws nothing but ShapeError for any change, cut or growth of good bytes', () => {
    const change = fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255), cut: fc.boolean() })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        let bytes = Uint8Array.from(good)
        for (const { at, byte, cut } of changes) {
          if (at < bytes.length) bytes[at] = byte
          if (cut) bytes = bytes.slice(0, at + 1)
        }
        decodesOrRefuses(decode, bytes)
      }),
      { numRuns: 500 },
    )
  })

  it('throws nothing but ShapeError for any other dag-cbor', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.string(),
        fc.uint8Array({ maxLength: 40 }),
        fc.array(tie('any'), { maxLength: 4 }),
        fc.dictionary(
          fc.constantFrom('get', 'heads', 'node', 'sealed', 'set', 'head', 'digest', 'x'),
          tie('any'),
        ),
      ),
    })).any
    fc.assert(
      fc.property(value, (one) => decodesOrRefuses(decode, encodeCbor(one))),
      { numRuns: 300 },
    )
  })
})

describe('an update', () => {
  it('comes back from its bytes as it was, rows in order', () => {
    fc.assert(
      fc.property(anySaying, anySaying, (first, second) => {
        const before = nextUpdate(null, { node: NODE, sequence: 1, issuedAtMs: NOW, ttlMs: 1, ...first })
        const previous = { ...before.state, sequence: 1 }
        const { update } = nextUpdate(previous, {
          node: NODE,
          sequence: 2,
          issuedAtMs: NOW,
          ttlMs: 1,
          ...second,
        })
        const bytes = encodeNodeUpdate(update)
        const read = decodeNodeUpdate(bytes, NODE)
        expect(encodeNodeUpdate(read)).toEqual(bytes)
        expect(new Set(read.set)).toEqual(new Set(update.set))
        expect({ ...read, ...ROWS }).toEqual({ ...update, ...ROWS })
      }),
      { numRuns: 100 },
    )
  })

  const fields = {
    prev: 1,
    sequence: 2,
    issuedAt: NOW,
    ttl: 1,
    digest: new Uint8Array(32),
  }
  const row = entryToValue(testEntry(1))
  const keyed = [testKey(1), testKey(2)].sort() as [ShardKey, ShardKey]
  const refused: readonly (readonly [what: string, value: Record<string, unknown>])[] = [
    ['a field that nobody knows', { ...fields, node: NODE }],
    ['a prev that is not before', { ...fields, prev: 2 }],
    ['a sequence of 0', { ...fields, prev: 0, sequence: 0 }],
    ['no head, though it builds on nothing', { ...fields, prev: 0 }],
    ['a ttl above 48 hours', { ...fields, ttl: 48 * 3_600_000 + 1 }],
    ['a digest of 31 bytes', { ...fields, digest: new Uint8Array(31) }],
    ['an empty list', { ...fields, set: [] }],
    ['a row twice', { ...fields, set: [row, row] }],
    ['rows out of order', { ...fields, unset: [keyed[1], keyed[0]] }],
    ['a shard that is set and unset', { ...fields, set: [row], unset: [testKey(1)] }],
    ['a state that does not exist', { ...fields, set: [row.with(1, 2)] }],
    ['17 sixteenths', { ...fields, set: [row.with(3, 17)] }],
    ['a promise of 0', { ...fields, set: [[...row, 0]] }],
    ['an infohash of 19 bytes', { ...fields, set: [row.with(2, new Uint8Array(19))] }],
    ['a key of another form', { ...fields, unset: ['dumps/tenwiki/20260101'] }],
    [
      'an endpoint of port 0',
      { ...fields, head: { ...headToValue(HEAD), endpoints: { libp2p: [], bittorrent: [['h', 0]] } } },
    ],
    [
      'a head above its bound',
      { ...fields, head: { ...headToValue(HEAD), languages: Array(64).fill('ü€'.repeat(128)) } },
    ],
  ]
  it.each(refused)('is refused with %s', (_what, value) => {
    expect(() => decodeNodeUpdate(encodeCbor(fields), NODE)).not.toThrow()
    expect(() => decodeNodeUpdate(encodeCbor(value), NODE)).toThrow(ShapeError)
  })

  it('is decoded in time that grows with its size, not faster', () => {
    const decode = (count: number): number => {
      const rows = Array.from({ length: count }, (_, i) => testKey(i)).sort()
      const bytes = encodeCbor({ ...fields, unset: rows })
      let best = Number.POSITIVE_INFINITY
      for (let run = 0; run < 7; run++) {
        const startMs = performance.now()
        decodeNodeUpdate(bytes, NODE)
        best = Math.min(best, performance.now() - startMs)
      }
      return best
    }
    decode(600)
    expect(decode(600)).toBeLessThan(Math.max(1, decode(75)) * 8 * 4)
  })
})

const ROWS = { set: [], unset: [], refute: [], unrefute: [], audits: [], unaudit: [] }

/** Every decoder of promises, audits, catalogs and what is kept: whatever the bytes, a value or a ShapeError, in linear time. */
import { performance } from 'node:perf_hooks'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeptStore } from '../../node/store/kept.ts'
import { keyOf } from '../../node/store/keyspace.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import {
  decodeAuditAnswer,
  decodeAuditChallenge,
  encodeAuditAnswer,
  encodeAuditChallenge,
} from '../../protocol/audit/messages.ts'
import { decodePromise, encodePromise } from '../../protocol/audit/promise.ts'
import {
  decodeCatalogIndex,
  encodeCatalog,
  encodeCatalogIndex,
  openCatalog,
  referenceOf,
} from '../../protocol/catalog/catalog.ts'
import {
  decodeObservation,
  describeRun,
  encodeObservation,
  openRun,
} from '../../protocol/catalog/observation.ts'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import type { Infohash, NodeId } from '../../protocol/ids.ts'
import { readShard, shardToValue } from '../../protocol/shard/cut.ts'
import { testShard } from '../support/cores.ts'
import { NODES, NOW } from '../support/manifests.ts'

const [alice, bob] = NODES as [NodeId, NodeId]
const SHARD = testShard('tenwiki')
const RUN = describeRun([SHARD]) as NonNullable<ReturnType<typeof describeRun>>
const CYCLE = '2026-01' as const
const hash = new Uint8Array(32).fill(3)
const KEPT = keyOf('own', 'kept')

type Decode = (bytes: Uint8Array) => unknown
const keptGood = async (): Promise<Uint8Array> => {
  const store = createMemoryStore()
  await new KeptStore(store).save({
    sequence: 3,
    own: [
      {
        shard: SHARD,
        state: 'held',
        infohash: 'ab'.repeat(20) as Infohash,
        sinceMs: NOW,
        promisedUntilMs: 0,
        repairing: false,
        led: true,
        fromOriginBytes: 1,
        fromSwarmBytes: 2,
        doneBytes: 3,
      },
    ],
    refuted: [{ shard: SHARD.key, infohash: 'cd'.repeat(20) as Infohash }],
    audits: [{ shard: SHARD.key, node: alice, outcome: 'pass', atMs: NOW }],
    damages: [{ shard: SHARD.key, files: ['x'], foundAtMs: NOW, repairedAtMs: null }],
    observations: { observedAtMs: NOW, counted: [{ reference: RUN.reference, basis: 'open', day: 20_000 }] },
  })
  return (await store.get(KEPT)) ?? new Uint8Array()
}
const decodeKept = async (bytes: Uint8Array) => {
  const store = createMemoryStore()
  await store.batch([{ type: 'put', key: KEPT, value: bytes }])
  return new KeptStore(store).load()
}
/** Nobody but a coordinator can say a reference: the fuzz speaks as one. */
const decodeCatalog: Decode = (bytes) => openCatalog(bytes, referenceOf(CYCLE as never, bytes))

/** The same for a run that two observers named. */
const decodeRun: Decode = (bytes) => {
  const { sha256, sizeBytes } = referenceOf(CYCLE as never, bytes)
  return openRun(bytes, { run: RUN.reference.run, sha256, sizeBytes })
}

const DECODERS: readonly (readonly [name: string, decode: Decode, good: Uint8Array])[] = [
  ['promise', decodePromise, encodePromise({ node: alice, to: bob, shard: SHARD.key, untilMs: NOW })],
  [
    'challenge',
    decodeAuditChallenge,
    encodeAuditChallenge({
      auditor: alice,
      node: bob,
      shard: SHARD.key,
      nonce: hash,
      ranges: [{ file: 0, offsetBytes: 5, lengthBytes: 7 }],
      atMs: NOW,
    }),
  ],
  [
    'answer',
    decodeAuditAnswer,
    encodeAuditAnswer({ node: bob, challenge: 'ab'.repeat(32), hashes: [hash], atMs: NOW }),
  ],
  [
    'catalog index',
    decodeCatalogIndex,
    encodeCatalogIndex({
      coordinator: alice,
      sequence: 1,
      issuedAtMs: NOW,
      readAtMs: NOW,
      catalogs: [{ cycle: CYCLE as never, sha256: 'ab'.repeat(32), sizeBytes: 9 }],
      archives: [{ cycle: CYCLE as never, sha256: 'cd'.repeat(32), sizeBytes: 9 }],
      operators: [{ node: bob, operator: 'bob' }],
    }),
  ],
  [
    'observation',
    decodeObservation,
    encodeObservation({ node: alice, operator: 'alice', atMs: NOW, runs: [RUN.reference] }),
  ],
  ['observed run', decodeRun, RUN.bytes],
  ['catalog', decodeCatalog, encodeCatalog({ cycle: CYCLE as never, shards: [SHARD] })],
  ['shard', (bytes) => readShard(decodeCbor(bytes, 'shard', 1e6), 'shard'), encodeCbor(shardToValue(SHARD))],
  ['value that is kept', decodeKept, await keptGood()],
]

async function decodesOrRefuses(decode: Decode, bytes: Uint8Array): Promise<void> {
  try {
    await decode(bytes)
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
  }
}

const FIELDS = [
  'node',
  'to',
  'shard',
  'until',
  'ranges',
  'hashes',
  'own',
  'shards',
  'runs',
  'operator',
  'at',
  'observations',
  'cycle',
  'files',
  'id',
  'x',
]
const anyValue = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(null, true, alice, SHARD.key, SHARD.id, CYCLE),
    fc.string(),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom(...FIELDS), tie('any')),
  ),
})).any

describe.each(DECODERS)('the decoder of a %s', (_name, decode, good) => {
  it('takes what the encoder made', async () => {
    expect(await decode(good)).toBeTruthy()
  })

  it('throws nothing but ShapeError for any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), (bytes) => decodesOrRefuses(decode, bytes)),
      { numRuns: 200 },
    )
  })

  it('throws nothing but ShapeError for any change, cut or growth of good bytes', async () => {
    const change = fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255), cut: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        let bytes = Uint8Array.from(good)
        for (const { at, byte, cut } of changes) {
          if (at < bytes.length) bytes[at] = byte
          if (cut) bytes = bytes.slice(0, at + 1)
        }
        await decodesOrRefuses(decode, bytes)
      }),
      { numRuns: 400 },
    )
  })

  it('throws nothing but ShapeError when any field of good bytes is any other value', async () => {
    const fields = decodeCbor(good, 'good', 1e6) as Record<string, unknown>
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...Object.keys(fields)), anyValue, async (field, value) => {
        await decodesOrRefuses(decode, encodeCbor({ ...fields, [field]: value }))
        await decodesOrRefuses(decode, encodeCbor({ ...fields, [field]: [value, value] }))
      }),
      { numRuns: 200 },
    )
  })

  it('refuses what is deep, and what counts more than there is, before it takes memory', async () => {
    const deep = new Uint8Array(4_000).fill(0x81)
    // A list, a map, bytes and text of 2^32 - 1 and 2^53 - 1.
    const huge = [0x9a, 0xba, 0x5a, 0x7a].flatMap((head) => [
      Uint8Array.of(head, 255, 255, 255, 255),
      Uint8Array.of(head + 1, 0, 31, 255, 255, 255, 255, 255, 255),
    ])
    for (const bytes of [deep, ...huge]) {
      const startMs = performance.now()
      await expect((async () => decode(bytes))()).rejects.toBeInstanceOf(ShapeError)
      expect(performance.now() - startMs).toBeLessThan(200)
    }
  })
})

/** The least of some runs, in ms. */
function bestMs(work: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let run = 0; run < 5; run++) {
    const startMs = performance.now()
    work()
    best = Math.min(best, performance.now() - startMs)
  }
  return best
}

describe('time to decode grows with size, not faster', () => {
  const files = (count: number) => {
    const value = shardToValue(SHARD)
    const names = Array.from(
      { length: count },
      (_, i) => `tenwiki-20260101-f${String(i).padStart(4, '0')}.gz`,
    )
    return encodeCbor({
      ...value,
      files: names.map((name) => [`20260101/${name}`, 1, { md5: 'ab'.repeat(16) }]),
      status: `{"articlesdump":{"files":[${names.map((name) => `"${name}"`).join(',')}],"status":"done"}}\n`,
    })
  }
  const index = (count: number) =>
    encodeCatalogIndex({
      coordinator: alice,
      sequence: 1,
      issuedAtMs: NOW,
      readAtMs: NOW,
      catalogs: [],
      archives: [],
      operators: Array.from({ length: count }, () => ({ node: bob, operator: 'o' })),
    })
  const cases: readonly [string, (count: number) => Uint8Array, Decode, number][] = [
    ['of a shard in files', files, (bytes) => readShard(decodeCbor(bytes, 'shard', 1e7), 'shard'), 2_000],
    ['of an index in operators', index, decodeCatalogIndex, 6_000],
    ['of nonsense', (count) => new Uint8Array(count).fill(0x80), decodePromise, 4_000],
  ]
  it.each(cases)('%s', (_what, make, decode, most) => {
    const work = (bytes: Uint8Array) => () => {
      try {
        decode(bytes)
      } catch (error) {
        if (!(error instanceof ShapeError)) throw error
      }
    }
    const [small, large] = [make(most / 8), make(most)]
    work(large)()
    expect(bestMs(work(large))).toBeLessThan(Math.max(1, bestMs(work(small))) * 8 * 4)
  })
})

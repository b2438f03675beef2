/** Records and updates for tests: real keys, real envelopes, made rows. */
import fc from 'fast-check'
import { type HostIdentity, identityFromSeed } from '../../node/net/identity.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import type { Identity } from '../../node/ports.ts'
import type { Infohash, ShardDigest, ShardKey } from '../../protocol/ids.ts'
import { shardId, shardKey } from '../../protocol/ids.ts'
import type { AuditRecord, Entry, Refutation } from '../../protocol/manifest/entry.ts'
import { auditKey, refutationKey } from '../../protocol/manifest/entry.ts'
import { nextUpdate, type Statement } from '../../protocol/manifest/next-update.ts'
import type { NodeHead } from '../../protocol/manifest/node-head.ts'
import { type NodeRecord, recordOf } from '../../protocol/manifest/node-record.ts'
import {
  encodeNodeUpdate,
  NODE_UPDATE_DOMAIN,
  NODE_UPDATE_TYPE,
  type NodeUpdate,
} from '../../protocol/manifest/node-update.ts'
import { openNodeUpdate, type Verified } from '../../protocol/manifest/trust.ts'

/** 2026-11-22T12:00:00Z */
export const NOW = 1_795_348_800_000

export function testIdentity(number: number): HostIdentity {
  const seed = new Uint8Array(32)
  new DataView(seed.buffer).setUint32(0, number + 1)
  return identityFromSeed(seed)
}

export const HEAD: NodeHead = {
  parameters: '0123456789abcdef',
  capacity: { bytesTotal: 1e12, bytesUsed: 0, claimsMax: 8 },
  agent: 'wikiseed/test',
  operator: 'somebody',
  languages: ['ta'],
  endpoints: {
    libp2p: ['/ip4/127.0.0.1/tcp/4001'],
    bittorrent: [{ host: '127.0.0.1', port: 6881 }],
  },
  reachable: true,
}

/** The n-th shard: a key of the right form, other ones all over the buckets. */
export function testKey(number: number): ShardKey {
  const digest = number.toString(16).padStart(8, '0').repeat(8) as ShardDigest
  return shardKey(shardId({ dataset: 'dumps', wiki: `w${number}wiki`, date: '20260101', part: 0 }), digest)
}

export function testEntry(number: number, fields: Partial<Entry> = {}): Entry {
  const infohash = number.toString(16).padStart(40, '0') as Infohash
  return {
    shard: testKey(number),
    state: 'held',
    infohash,
    done: 16,
    sinceMs: NOW,
    promisedUntilMs: 0,
    ...fields,
  }
}

/** What a node wants to say, as tests change it: nothing but its head at first. */
export interface Saying {
  head: NodeHead
  entries: Entry[]
  refuted: Refutation[]
  audits: AuditRecord[]
}

export const saying = (fields: Partial<Saying> = {}): Saying => ({
  head: HEAD,
  entries: [],
  refuted: [],
  audits: [],
  ...fields,
})

export interface Said {
  readonly update: NodeUpdate
  readonly sealed: Uint8Array
  readonly record: NodeRecord
}

/** One node that publishes: keeps what it said last, seals with its key. */
export class Writer {
  readonly identity: Identity
  last: NodeRecord | null = null

  constructor(number: number) {
    this.identity = testIdentity(number)
  }

  get node() {
    return this.identity.nodeId
  }

  say(what: Saying, fields: Partial<Statement> = {}): Said {
    const sequence = (this.last?.sequence ?? NOW - 1) + 1
    const { update, state } = nextUpdate(this.last, {
      node: this.node,
      sequence,
      issuedAtMs: NOW,
      ttlMs: 14_400_000,
      ...what,
      ...fields,
    })
    const sealed = seal(this.identity, update)
    this.last = recordOf(update, state, sealed)
    return { update, sealed, record: this.last }
  }
}

export function seal(identity: Identity, update: NodeUpdate): Uint8Array {
  return identity.seal(NODE_UPDATE_DOMAIN, NODE_UPDATE_TYPE, encodeNodeUpdate(update))
}

/** Throws when it does not open. */
export function opened(sealed: Uint8Array): Verified<NodeUpdate> {
  const result = openNodeUpdate(sealed, verifyEd25519)
  if (!result.ok) throw new Error(`${result.code}: ${result.detail}`)
  return result.value
}

const KEYS = Array.from({ length: 24 }, (_, i) => testKey(i))
const shard = fc.constantFrom(...KEYS)
const infohash = fc.constantFrom(...['0', '1', '2'].map((digit) => digit.repeat(40) as Infohash))
const atMs = fc.integer({ min: 0, max: 5 })

const entry: fc.Arbitrary<Entry> = fc.record({
  shard,
  state: fc.constantFrom('claimed' as const, 'held' as const),
  infohash: fc.option(infohash),
  done: fc.integer({ min: 0, max: 16 }),
  sinceMs: atMs,
  promisedUntilMs: fc.constantFrom(0, 0, NOW),
})
const audit: fc.Arbitrary<AuditRecord> = fc.record({
  shard,
  node: fc.constantFrom(testIdentity(100).nodeId, testIdentity(101).nodeId),
  outcome: fc.constantFrom('pass' as const, 'fail' as const, 'offline' as const, 'unknown' as const),
  atMs,
})

/** Anything that a node may want to say of a few shards. */
export const anySaying: fc.Arbitrary<Saying> = fc.record({
  head: fc.record({
    parameters: fc.constant('0123456789abcdef'),
    capacity: fc.record({ bytesTotal: fc.nat(), bytesUsed: fc.nat(), claimsMax: fc.nat(100) }),
    agent: fc.constant('test'),
    operator: fc.string({ maxLength: 20 }),
    languages: fc.array(fc.constantFrom('ta', 'de', 'sw'), { maxLength: 3 }),
    endpoints: fc.constant({ libp2p: [], bittorrent: [] }),
    reachable: fc.boolean(),
  }),
  entries: fc.uniqueArray(entry, { maxLength: 20, selector: (one) => one.shard }),
  refuted: fc.uniqueArray(fc.record({ shard, infohash }), { maxLength: 6, selector: refutationKey }),
  audits: fc.uniqueArray(audit, { maxLength: 10, selector: (one) => auditKey(one.shard, one.node) }),
})

/** Records for unit tests of the rules, made without signatures, which only a test may do. */
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import { createNames } from '../../protocol/ledger/names.ts'
import type { AuditRecord, Entry } from '../../protocol/manifest/entry.ts'
import type { NodeHead } from '../../protocol/manifest/node-head.ts'
import {
  changeState,
  recordOf as makeRecord,
  NO_CHANGE,
  type NodeRecord,
} from '../../protocol/manifest/node-record.ts'
import { RankCache } from '../../protocol/placement/rank-cache.ts'
import { KEY, NOW } from './manifests.ts'

export interface Said {
  readonly sequence?: number
  readonly issuedAtMs?: number
  readonly ttlMs?: number
  readonly operator?: string
  readonly reachable?: boolean
  readonly bytesTotal?: number
  /** Host of its BitTorrent endpoint. */
  readonly host?: string
  readonly entries?: readonly Entry[]
  readonly audits?: readonly AuditRecord[]
}

export function recordOf(node: NodeId, said: Said = {}): NodeRecord {
  const head: NodeHead = {
    parameters: '0123456789abcdef',
    capacity: { bytesTotal: said.bytesTotal ?? 1e12, bytesUsed: 0, claimsMax: 8 },
    agent: 'test',
    operator: said.operator ?? '',
    languages: [],
    endpoints: { libp2p: [], bittorrent: said.host === undefined ? [] : [{ host: said.host, port: 6881 }] },
    reachable: said.reachable ?? true,
  }
  const state = changeState(null, head, { ...NO_CHANGE, set: said.entries ?? [], audits: said.audits ?? [] })
  if (state === null) throw new RangeError('more than a node may say')
  const { sequence = 1, issuedAtMs = NOW, ttlMs = 12 * 3_600_000 } = said
  return makeRecord({ node, sequence, issuedAtMs, ttlMs }, state, new Uint8Array())
}

export function entryOf(fields: Partial<Entry> = {}): Entry {
  return {
    shard: KEY as ShardKey,
    state: 'held',
    infohash: null,
    done: 16,
    sinceMs: NOW - 1000,
    promisedUntilMs: 0,
    ...fields,
  }
}

/** What all cores and ledgers of one test share. */
export function shared() {
  const names = createNames()
  return { names, ranks: new RankCache(names) }
}

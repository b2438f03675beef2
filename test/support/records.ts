/** Records for unit tests of the rules, made without signatures, which only a test may do. */
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import { createNames } from '../../protocol/ledger/names.ts'
import { type AuditRecord, auditKey, type Entry } from '../../protocol/manifest/entry.ts'
import type { NodeHead } from '../../protocol/manifest/node-head.ts'
import type { NodeRecord } from '../../protocol/manifest/node-record.ts'
import { RankCache } from '../../protocol/placement/rank-cache.ts'
import { KEY, NOW } from './manifests.ts'

export interface Said {
  readonly sequence?: number
  readonly issuedAtMs?: number
  readonly ttlMs?: number
  readonly operator?: string
  readonly reachable?: boolean
  readonly bytesTotal?: number
  readonly entries?: readonly Entry[]
  readonly audits?: readonly AuditRecord[]
}

export function recordOf(node: NodeId, said: Said = {}): NodeRecord {
  const head: NodeHead = {
    parameters: '0123456789abcdef',
    capacity: { bytesTotal: said.bytesTotal ?? 1e12, bytesUsed: 0 },
    agent: 'test',
    operator: said.operator ?? '',
    languages: [],
    endpoints: { libp2p: [], bittorrent: [] },
    reachable: said.reachable ?? true,
  }
  return {
    node,
    sequence: said.sequence ?? 1,
    issuedAtMs: said.issuedAtMs ?? NOW,
    ttlMs: said.ttlMs ?? 4 * 3_600_000,
    head,
    entries: new Map((said.entries ?? []).map((entry) => [entry.shard, entry])),
    refuted: new Map(),
    audits: new Map((said.audits ?? []).map((audit) => [auditKey(audit.shard, audit.node), audit])),
    digest: new Uint8Array(32),
    sealed: new Uint8Array(),
  }
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

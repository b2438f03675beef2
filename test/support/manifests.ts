/** Manifests for unit tests. `Verified` is granted here without a signature, which only a test may do. */
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import type { NodeManifest } from '../../protocol/manifest/node-manifest.ts'
import type { Verified } from '../../protocol/manifest/trust.ts'

/** 2026-11-22T12:00:00Z */
export const NOW = 1_795_348_800_000
/** Four ids of the right form, in no order. */
export const NODES: NodeId[] = ['a', 'b', 'c', 'd'].map((letter) => `12D3KooW${letter.repeat(44)}` as NodeId)
export const KEY = `dumps/tenwiki/20260101@${'ab'.repeat(32)}` as ShardKey

export function manifestOf(node: NodeId, fields: Partial<NodeManifest> = {}): Verified<NodeManifest> {
  return {
    node,
    sequence: 1,
    issuedAtMs: NOW,
    ttlMs: 4 * 3_600_000,
    parameters: '0123456789abcdef',
    capacity: { bytesTotal: 1e12, bytesUsed: 0 },
    agent: 'test',
    operator: '',
    languages: [],
    endpoints: { libp2p: [], bittorrent: [] },
    reachable: true,
    entries: [],
    audits: [],
    ...fields,
  } as Verified<NodeManifest>
}

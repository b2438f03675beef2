/** Names and a moment for unit tests. */
import type { NodeId, ShardKey } from '../../protocol/ids.ts'

/** 2026-11-22T12:00:00Z */
export const NOW = 1_795_348_800_000
/** Four ids of the right form, in no order. */
export const NODES: NodeId[] = ['a', 'b', 'c', 'd'].map((letter) => `12D3KooW${letter.repeat(44)}` as NodeId)
export const KEY = `dumps/tenwiki/20260101@${'ab'.repeat(32)}` as ShardKey

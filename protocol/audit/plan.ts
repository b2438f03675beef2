/** Who audits which replica when (PROTOCOL 7): auditors are ranked per (shard, replica, day). Pure. */
import { sha256 } from '@noble/hashes/sha2.js'
import { compareBytes, utf8ToBytes } from '../codec/bytes.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Parameters } from '../parameters.ts'

const DAY_MS = 86_400_000

/** The place of `auditor` among those who can audit this replica on this day; 0 = first. */
export function auditorRank(
  shard: ShardKey,
  replica: NodeId,
  auditor: NodeId,
  others: readonly NodeId[],
  nowMs: number,
): number {
  const mine = score(shard, replica, auditor, nowMs)
  return others.filter(
    (node) => node !== auditor && compareBytes(score(shard, replica, node, nowMs), mine) > 0,
  ).length
}

/**
 * Must one who is among the first `places` of so many look at the others' scores? Hardly one in a thousand of them is told not to,
 * and nearly everybody else is: they need one score instead of all.
 */
export function mayBeAmong(
  places: number,
  count: number,
  shard: ShardKey,
  replica: NodeId,
  auditor: NodeId,
  nowMs: number,
): boolean {
  const mine = score(shard, replica, auditor, nowMs)
  const shareAhead = 1 - new DataView(mine.buffer, mine.byteOffset).getUint32(0) / 2 ** 32
  return shareAhead * count <= 4 * places
}

function score(shard: ShardKey, replica: NodeId, auditor: NodeId, nowMs: number): Uint8Array {
  return sha256(utf8ToBytes(`${shard} ${replica} ${auditor} ${Math.floor(nowMs / DAY_MS)}`))
}

/**
 * Unix ms when node `self`, which holds the shard's bytes, should audit the replica in this slot. The first ranked auditor acts
 * when it is due, rank r waits r waves longer.
 */
export function auditDueAtMs(
  ledger: Ledger,
  shard: number,
  slot: number,
  self: number,
  parameters: Parameters,
  nowMs: number,
): number {
  const { slots, names } = ledger
  const replica = slots.node(slot)
  const others: NodeId[] = []
  for (let one = slots.first(shard); one >= 0; one = slots.next(one)) {
    const node = slots.node(one)
    if (node === self || !slots.isHeld(one) || !ledger.isLive(node, nowMs) || !ledger.counts(node, replica))
      continue
    others.push(names.nodes.key(node))
  }
  const key = names.shards.key(shard)
  const turn =
    others.length === 0 ? 0 : auditorRank(key, names.nodes.key(replica), names.nodes.key(self), others, nowMs)
  const provenAtMs = ledger.provenAtMs(slot, nowMs)
  const dueAtMs = provenAtMs === null ? slots.changedAtMs(slot) : provenAtMs + parameters.auditEveryMs
  return dueAtMs + turn * parameters.waveMs
}

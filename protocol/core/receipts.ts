/**
 * Receipts of failures (PROTOCOL 7): who holds the bytes and hears that a replica failed asks the auditor for the two sealed
 * messages and judges them, so that an accusation need not be believed.
 */
import type { NodeId } from '../ids.ts'
import type { AuditRecord } from '../manifest/entry.ts'
import type { Effect } from './effect.ts'
import type { Event, Now } from './event.ts'
import type { CoreState } from './state.ts'

/** Asked for at once: each reads up to 64 MiB of our own copy. */
const RECEIPTS_AT_ONCE_MAX = 2
/** More failures than these at a time are not looked into, nor more of one auditor. */
const WAITING_MAX = 256
const WAITING_OF_ONE_MAX = 16
/** One auditor's word about one replica is looked into once in this time, as far as so many are remembered. */
const ASK_AGAIN_MS = 86_400_000
const ASKED_MAX = 10_000

/** Somebody says that a replica failed of which this node has the bytes. */
export function wantReceipts(
  state: CoreState,
  auditor: NodeId,
  audits: Iterable<AuditRecord>,
  now: Now,
  out: Effect[],
): void {
  const { ledger, names, receipts } = state
  for (const { shard, node, outcome, atMs } of audits) {
    if (outcome !== 'fail' || node === state.self || auditor === state.self) continue
    if (state.own.get(shard)?.state !== 'held') continue
    // Others' words move nobody, and must not make everybody read.
    if (!ledger.counts(names.nodes.find(auditor), names.nodes.find(node))) continue
    const key = `${auditor} ${shard} ${node}`
    if (now.monotonicMs - (receipts.askedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < ASK_AGAIN_MS) continue
    if (!hasRoomFor(state, auditor)) continue
    const oldest = receipts.askedAtMs.size >= ASKED_MAX ? receipts.askedAtMs.keys().next().value : undefined
    if (oldest !== undefined) receipts.askedAtMs.delete(oldest)
    receipts.askedAtMs.set(key, now.monotonicMs)
    receipts.waiting.set(key, { shard, node, auditor, atMs })
  }
  ask(state, out)
}

/** It came, or did not. */
export function receiptCame(
  state: CoreState,
  event: Extract<Event, { kind: 'receipt' }>,
  out: Effect[],
): void {
  const { shard, node, auditor, verdict } = event
  state.receipts.asking.delete(`${auditor} ${shard} ${node}`)
  if (verdict === 'fail')
    out.push({ kind: 'notice', code: 'disproven', shard, detail: `${node}, as ${auditor} can prove` })
  // An honest auditor's receipt always shows what it says (PROTOCOL 7).
  if (verdict === 'pass' || verdict === 'invalid')
    out.push({ kind: 'notice', code: 'unfounded', shard, detail: `${auditor} says that ${node} failed` })
  ask(state, out)
}

function hasRoomFor({ receipts: { waiting } }: CoreState, auditor: NodeId): boolean {
  if (waiting.size >= WAITING_MAX) return false
  let ofOne = 0
  for (const one of waiting.values()) if (one.auditor === auditor) ofOne++
  return ofOne < WAITING_OF_ONE_MAX
}

export function forgetOldReceipts(state: CoreState, now: Now): void {
  const { askedAtMs } = state.receipts
  for (const [key, atMs] of askedAtMs) if (now.monotonicMs - atMs >= ASK_AGAIN_MS) askedAtMs.delete(key)
}

function ask(state: CoreState, out: Effect[]): void {
  const { ledger, names, parameters } = state
  const { waiting, asking } = state.receipts
  for (const [key, { shard, node, auditor, atMs }] of waiting) {
    if (asking.size >= RECEIPTS_AT_ONCE_MAX) return
    waiting.delete(key)
    const own = state.own.get(shard)
    const theirs = ledger.record(names.nodes.find(node))?.entries.get(shard)
    if (own?.state !== 'held' || theirs?.state !== 'held' || atMs < theirs.sinceMs) continue
    asking.add(key)
    // Its clock and the auditor's may differ.
    const notBeforeMs = theirs.sinceMs - parameters.clockSkewMs
    out.push({ kind: 'ask-receipt', shard: own.shard, node, auditor, notBeforeMs })
  }
}

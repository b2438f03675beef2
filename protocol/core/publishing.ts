/** When this node speaks, and what it says (PROTOCOL 4). */
import { NODE_MANIFEST_ENTRIES_MAX } from '../limits.ts'
import type { Entry, Refutation } from '../manifest/entry.ts'
import type { Statement } from '../manifest/next-update.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { keptOf } from './kept.ts'
import { claimsLeft } from './shortage.ts'
import { bytesUsed, type CoreState, doneSixteenths, type Own } from './state.ts'

/** Publishes when something changed (at most once per publishMinMs) or when the leases must be renewed. */
export function publish(state: CoreState, now: Now, out: Effect[]): void {
  if (publishAtMs(state) > now.monotonicMs || state.joinedAtMs === null) return
  state.sequence = Math.max(state.sequence + 1, now.wallMs)
  state.publishedAtMs = now.monotonicMs
  state.unpublished = false
  state.grewUnpublished = false
  // The sequence is stored before it is used: after a crash it must not be used for another text.
  state.unpersisted = true
  persist(state, out)
  if (claimsLeft(state) > 0) state.offeredAtMs ??= now.monotonicMs
  else state.offeredAtMs = null
  out.push({ kind: 'publish', statement: statementOf(state, now) })
}

/** Monotonic ms when this node should speak next. */
export function publishAtMs(state: CoreState): number {
  if (state.publishedAtMs === null) return 0
  const { publishMinMs, renewMs, leadStallMs } = state.parameters
  if (state.unpublished) return state.publishedAtMs + publishMinMs
  const renewAtMs = state.publishedAtMs + renewMs
  // Often enough that nobody takes a lead that grows for one that stands still.
  return state.grewUnpublished ? Math.min(renewAtMs, state.publishedAtMs + (leadStallMs >> 1)) : renewAtMs
}

export function persist(state: CoreState, out: Effect[]): void {
  if (!state.unpersisted) return
  state.unpersisted = false
  out.push({ kind: 'persist', kept: keptOf(state) })
}

function statementOf(state: CoreState, now: Now): Statement {
  const isCollector = state.settings.role === 'collector'
  const { operator, agent, languages, claimsMax } = state.settings
  const bytesTotal = state.leaving ? 0 : state.bytesTotal
  return {
    node: state.self,
    sequence: state.sequence,
    issuedAtMs: now.wallMs,
    ttlMs: state.parameters.ttlMs,
    head: {
      parameters: state.parametersFingerprint,
      // A collector offers no room, so nobody waits for a claim of it; nor does a node that leaves. What they hold does not count.
      capacity: isCollector
        ? { bytesTotal: 0, bytesUsed: 0, claimsMax: 0 }
        : { bytesTotal, bytesUsed: bytesUsed(state), claimsMax },
      agent,
      operator,
      languages,
      endpoints: { libp2p: state.libp2p, bittorrent: state.bittorrent },
      reachable: state.reachable,
    },
    entries: (isCollector ? lastSources(state, now) : [...state.own.values()]).map(entryOf),
    refuted: [...state.refuted].flatMap(([shard, all]): Refutation[] =>
      [...all].map((infohash) => ({ shard, infohash })),
    ),
    audits: [...state.audits.values()],
  }
}

/**
 * What a collector tells of (PROTOCOL 9): what nobody else could be fetched from. A volunteer could be, who is live, reachable and
 * has a replica that was proven, or is too new to have been.
 */
function lastSources(state: CoreState, now: Now): Own[] {
  const { ledger, parameters } = state
  const { slots } = ledger
  const isSource = (slot: number): boolean => {
    const node = slots.node(slot)
    if (!slots.isHeld(slot) || !ledger.offersRoom(node) || !ledger.isReachable(node)) return false
    if (!ledger.isLive(node, now.wallMs) || state.frozen.has(node)) return false
    const isNew = now.wallMs - slots.changedAtMs(slot) <= parameters.leadStallMs
    return ledger.provenAtMs(slot, now.wallMs) !== null || (isNew && ledger.proofOf(slot) === 0)
  }
  const last: Own[] = []
  for (const own of state.own.values()) {
    if (last.length >= NODE_MANIFEST_ENTRIES_MAX) break
    if (own.state !== 'held') continue
    let hasSource = false
    for (let slot = slots.first(own.number); slot >= 0 && !hasSource; slot = slots.next(slot))
      hasSource = isSource(slot)
    if (!hasSource) last.push(own)
  }
  return last
}

function entryOf(own: Own): Entry {
  return {
    shard: own.shard.key,
    state: own.state,
    infohash: own.state === 'held' ? own.infohash : null,
    done: doneSixteenths(own),
    sinceMs: own.sinceMs,
    promisedUntilMs: own.promisedUntilMs,
  }
}

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

/** What a collector tells of (PROTOCOL 9): what could be fetched from nobody else. */
function lastSources(state: CoreState, now: Now): Own[] {
  const last: Own[] = []
  for (const own of state.own.values()) {
    if (last.length >= NODE_MANIFEST_ENTRIES_MAX) break
    if (own.state === 'held' && !hasSource(state, own, now)) last.push(own)
  }
  return last
}

/**
 * Is there a volunteer to fetch it from: live, reachable, with a replica that was proven? For a while one that is not yet counts too:
 * this node, which holds the shard, could not audit it before.
 */
function hasSource(state: CoreState, own: Own, now: Now): boolean {
  const { ledger, parameters } = state
  const { slots } = ledger
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    if (!slots.isHeld(slot) || !ledger.offersRoom(node) || !ledger.isReachable(node)) continue
    if (!ledger.isLive(node, now.wallMs) || state.frozen.has(node)) continue
    if (ledger.provenAtMs(slot, now.wallMs) !== null) return true
    const auditableAtMs = Math.max(slots.changedAtMs(slot), own.sinceMs)
    if (ledger.proofOf(slot) === 0 && now.wallMs - auditableAtMs <= parameters.leadStallMs) return true
  }
  return false
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

/** When this node speaks, and what it says (PROTOCOL 4). */
import type { ShardKey } from '../ids.ts'
import type { AuditRecord, Entry } from '../manifest/entry.ts'
import type { NodeHead } from '../manifest/node-head.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { bytesUsed, type CoreState, doneSixteenths, keptOf } from './state.ts'

/** What a node says of itself and of shards; the writer of updates turns it into the change against what it said before. */
export interface Saying {
  readonly head: NodeHead
  readonly entries: ReadonlyMap<ShardKey, Entry>
  readonly refuted: CoreState['refuted']
  /** By `auditKey`. */
  readonly audits: ReadonlyMap<string, AuditRecord>
}

/** Publishes when something changed (at most once per publishMinMs) or when the leases must be renewed. */
export function publish(state: CoreState, now: Now, out: Effect[]): void {
  if (publishAtMs(state) > now.monotonicMs || state.joinedAtMs === null) return
  state.sequence = Math.max(state.sequence + 1, now.wallMs)
  state.publishedAtMs = now.monotonicMs
  state.unpublished = false
  // The sequence is stored before it is used: after a crash it must not be used for another text.
  state.unpersisted = true
  persist(state, out)
  const { ttlMs, claimTtlMs } = state.parameters
  out.push({
    kind: 'publish',
    sequence: state.sequence,
    issuedAtMs: now.wallMs,
    ttlMs: hasClaims(state) ? claimTtlMs : ttlMs,
    saying: sayingOf(state),
  })
}

/** Monotonic ms when this node should speak next. */
export function publishAtMs(state: CoreState): number {
  if (state.publishedAtMs === null) return 0
  const { publishMinMs, renewMs, claimRenewMs } = state.parameters
  if (state.unpublished) return state.publishedAtMs + publishMinMs
  return state.publishedAtMs + (hasClaims(state) ? claimRenewMs : renewMs)
}

function hasClaims(state: CoreState): boolean {
  if (state.settings.role !== 'volunteer') return false
  for (const own of state.own.values()) if (own.state === 'claimed') return true
  return false
}

export function persist(state: CoreState, out: Effect[]): void {
  if (!state.unpersisted) return
  state.unpersisted = false
  out.push({ kind: 'persist', kept: keptOf(state) })
}

function sayingOf(state: CoreState): Saying {
  const isCollector = state.settings.role === 'collector'
  const entries = new Map<ShardKey, Entry>()
  for (const own of isCollector ? [] : state.own.values()) {
    entries.set(own.shard.key, {
      shard: own.shard.key,
      state: own.state,
      infohash: own.state === 'held' ? own.infohash : null,
      done: doneSixteenths(own),
      sinceMs: own.sinceMs,
      promisedUntilMs: 0,
    })
  }
  const { operator, agent, languages, bytesTotal } = state.settings
  return {
    head: {
      parameters: state.parametersFingerprint,
      // A collector offers no room, so nobody waits for a claim of it.
      capacity: isCollector ? { bytesTotal: 0, bytesUsed: 0 } : { bytesTotal, bytesUsed: bytesUsed(state) },
      agent,
      operator,
      languages,
      endpoints: { libp2p: state.libp2p, bittorrent: state.bittorrent },
      reachable: state.reachable,
    },
    entries,
    refuted: state.refuted,
    audits: new Map(state.audits),
  }
}

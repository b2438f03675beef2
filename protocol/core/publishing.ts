/** When this node speaks, and what it says (PROTOCOL 4). */
import type { NodeManifest } from '../manifest/node-manifest.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { bytesUsed, type CoreState, doneSixteenths, keptOf } from './state.ts'

/** Publishes when something changed (at most once per publishMinMs) or when the leases must be renewed. */
export function publish(state: CoreState, now: Now, out: Effect[]): void {
  const { publishMinMs, renewMs, claimRenewMs, ttlMs, claimTtlMs } = state.parameters
  const sinceMs =
    state.publishedAtMs === null ? Number.POSITIVE_INFINITY : now.monotonicMs - state.publishedAtMs
  const claims =
    state.settings.role === 'volunteer' && [...state.own.values()].some((own) => own.state === 'claimed')
  const due = state.unpublished ? sinceMs >= publishMinMs : sinceMs >= (claims ? claimRenewMs : renewMs)
  if (!due || state.joinedAtMs === null) return
  state.sequence = Math.max(state.sequence + 1, now.wallMs)
  state.publishedAtMs = now.monotonicMs
  state.unpublished = false
  // The sequence is stored before it is used: after a crash it must not be used for another text.
  state.unpersisted = true
  persist(state, out)
  out.push({ kind: 'publish', manifest: manifestOf(state, now, claims ? claimTtlMs : ttlMs) })
}

export function persist(state: CoreState, out: Effect[]): void {
  if (!state.unpersisted) return
  state.unpersisted = false
  out.push({ kind: 'persist', kept: keptOf(state) })
}

function manifestOf(state: CoreState, now: Now, ttlMs: number): NodeManifest {
  const isCollector = state.settings.role === 'collector'
  return {
    node: state.self,
    sequence: state.sequence,
    issuedAtMs: now.wallMs,
    ttlMs,
    parameters: state.parametersFingerprint,
    // A collector offers no room, so nobody waits for a claim of it.
    capacity: isCollector
      ? { bytesTotal: 0, bytesUsed: 0 }
      : { bytesTotal: state.settings.bytesTotal, bytesUsed: bytesUsed(state) },
    agent: state.settings.agent,
    operator: state.settings.operator,
    languages: state.settings.languages,
    endpoints: { libp2p: state.libp2p, bittorrent: state.bittorrent },
    reachable: state.reachable,
    entries: [
      ...(isCollector ? [] : [...state.own.values()]).map((own) => ({
        shard: own.shard.key,
        state: own.state,
        infohash: own.state === 'held' ? own.infohash : null,
        done: doneSixteenths(own),
        sinceMs: own.sinceMs,
      })),
      ...[...state.refuted].flatMap(([shard, infohashes]) =>
        [...infohashes].map((infohash) => ({
          shard,
          state: 'dropped' as const,
          infohash,
          done: 0,
          sinceMs: now.wallMs,
        })),
      ),
    ],
    audits: [...state.audits.values()],
  }
}

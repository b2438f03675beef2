/** Where each claimed shard comes from (PROTOCOL 6): one lead touches origin, the others wait for it and use the swarm. */
import type { Infohash, NodeId } from '../ids.ts'
import type { Placed } from '../ledger/ledger.ts'
import type { Endpoint } from '../manifest/node-manifest.ts'
import { type Candidate, rank } from '../placement/rank.ts'
import type { Shard } from '../shard/shard.ts'
import { hasRoom } from './claiming.ts'
import type { Effect, FetchSource } from './effect.ts'
import type { Now } from './event.ts'
import { type CoreState, doneSixteenths, type Own } from './state.ts'

export function planFetches(state: CoreState, now: Now, out: Effect[]): void {
  let active = 0
  for (const own of state.own.values()) if (own.fetch !== null) active++
  for (const own of state.own.values()) {
    if (own.state !== 'claimed') continue
    const holders = usableHolders(state, now, own)
    const wanted = wantedSource(state, now, own, holders, out)
    if (own.fetch === null) {
      if (wanted === null || active >= state.settings.fetchesMax) continue
      active++
      start(own, wanted, now, out)
    } else if (wanted !== null && differs(own.fetch, wanted)) {
      start(own, wanted, now, out)
    } else if (own.fetch.kind === 'swarm') {
      feedOrRest(state, own, own.fetch, holders, now, out)
    }
  }
}

function start(own: Own, source: FetchSource, now: Now, out: Effect[]): void {
  own.fetch = source
  own.grewAtMs = now.monotonicMs
  out.push({ kind: 'fetch', shard: own.shard, from: source })
}

function differs(a: FetchSource, b: FetchSource): boolean {
  return a.kind !== b.kind || (a.kind === 'swarm' && b.kind === 'swarm' && a.infohash !== b.infohash)
}

/** The source that this shard should have now; null = wait. */
function wantedSource(
  state: CoreState,
  now: Now,
  own: Own,
  holders: readonly Placed[],
  out: Effect[],
): FetchSource | null {
  const first = holders[0]
  if (first !== undefined && first.entry.infohash !== null && now.monotonicMs >= own.swarmRestsUntilMs) {
    // Bytes that came far from origin already are not thrown away for the swarm.
    if (own.fetch?.kind === 'origin' && doneSixteenths(own) >= 8) return own.fetch
    const infohash =
      own.fetch?.kind === 'swarm' && offers(holders, own.fetch.infohash)
        ? own.fetch.infohash
        : first.entry.infohash
    return { kind: 'swarm', infohash, peers: endpointsOf(state, holders, infohash) }
  }
  if (own.fetch?.kind === 'origin') return own.fetch
  return leads(state, now, own, out) ? { kind: 'origin' } : null
}

const offers = (holders: readonly Placed[], infohash: Infohash): boolean =>
  holders.some((placed) => placed.entry.infohash === infohash)

/** Others that hold it with an infohash that was not refuted, best ranked first. */
function usableHolders(state: CoreState, now: Now, own: Own): Placed[] {
  const refuted = state.refuted.get(own.shard.key)
  const usable = state.ledger.placed(own.shard.key).filter(({ node, entry }) => {
    if (node === state.self || entry.state !== 'held' || entry.infohash === null) return false
    if (refuted?.has(entry.infohash)) return false
    return state.ledger.standing(node, now.wallMs, state.parameters) === 'live'
  })
  if (usable.length < 2) return usable
  const byNode = new Map(usable.map((placed) => [placed.node, placed]))
  return rank(
    own.shard.digest,
    usable.map((placed) => candidate(state, placed.node)),
  )
    .map((one) => byNode.get(one.node))
    .filter((placed) => placed !== undefined)
}

function endpointsOf(state: CoreState, holders: readonly Placed[], infohash: Infohash): Endpoint[] {
  return holders
    .filter((placed) => placed.entry.infohash === infohash)
    .flatMap((placed) => state.ledger.manifest(placed.node)?.endpoints.bittorrent ?? [])
}

/** Tells the engine of new holders; lets the swarm rest when it made no progress for too long. */
function feedOrRest(
  state: CoreState,
  own: Own,
  source: Extract<FetchSource, { kind: 'swarm' }>,
  holders: readonly Placed[],
  now: Now,
  out: Effect[],
): void {
  const peers = endpointsOf(state, holders, source.infohash)
  if (peers.length > source.peers.length) {
    own.fetch = { ...source, peers }
    out.push({ kind: 'add-peers', infohash: source.infohash, peers })
  }
  if (!state.settings.originFallback || now.monotonicMs - own.grewAtMs <= patienceMs(state, own.shard)) return
  own.swarmRestsUntilMs = now.monotonicMs + patienceMs(state, own.shard)
  own.fetch = null
  out.push({ kind: 'stop-fetch', shard: own.shard.key })
}

/** PROTOCOL 6: no growth for 10 min, or no infohash after 10 min + bytes / (256 KiB/s). */
function patienceMs(state: CoreState, shard: Shard): number {
  const { leadStallMs, leadBytesPerSecondMin } = state.parameters
  return leadStallMs + Math.floor((shard.sizeBytes / leadBytesPerSecondMin) * 1000)
}

/**
 * Is this node the lead: the best ranked reachable claimant (PROTOCOL 6)? A lead that stalls is passed over and the next
 * rank leads.
 */
function leads(state: CoreState, now: Now, own: Own, out: Effect[]): boolean {
  if (state.settings.role === 'collector') return false
  const rivals = rivalsOf(state, now, own)
  // Unreachable nodes do not lead, unless nobody reachable claims it: a copy that others cannot fetch yet beats none.
  const reachable = rivals.filter((rival) => rival.reachable)
  for (const rival of rank(own.shard.digest, reachable.length > 0 ? reachable : rivals)) {
    if (rival.node === state.self) return true
    if (own.passedOver.has(rival.node)) continue
    if (own.lead?.node !== rival.node) own.lead = { node: rival.node, sinceMs: now.monotonicMs }
    if (!state.settings.originFallback || !stalls(state, now, own, own.lead)) return false
    own.passedOver.add(rival.node)
    out.push({
      kind: 'notice',
      code: 'lead-passed',
      shard: own.shard.key,
      detail: `${rival.node} made no progress`,
    })
  }
  return false
}

interface Rival extends Candidate {
  readonly reachable: boolean
}

/**
 * This node and the live nodes that claim the shard too. For the first wave after our claim, live nodes with room count as
 * claimants: their claim may be on its way, and two leads would fetch the bytes twice.
 */
function rivalsOf(state: CoreState, now: Now, own: Own): Rival[] {
  const fresh = now.monotonicMs - own.claimedAtMs < state.parameters.waveMs
  const rivals: Rival[] = [
    { node: state.self, bytesTotal: state.settings.bytesTotal, reachable: state.reachable },
  ]
  for (const manifest of state.ledger.nodes()) {
    const { node, capacity, reachable } = manifest
    if (node === state.self || state.ledger.standing(node, now.wallMs, state.parameters) !== 'live') continue
    const placed = state.ledger.placedBy(own.shard.key, node)
    const expected = placed === undefined && fresh && hasRoom(capacity, own.shard)
    if (placed?.entry.state === 'claimed' || expected) rivals.push({ ...candidate(state, node), reachable })
  }
  return rivals
}

function stalls(state: CoreState, now: Now, own: Own, lead: { node: NodeId; sinceMs: number }): boolean {
  const watchedMs = now.monotonicMs - lead.sinceMs
  const changedAtMs = state.ledger.placedBy(own.shard.key, lead.node)?.changedAtMs ?? 0
  const quietMs = Math.min(watchedMs, now.wallMs - changedAtMs)
  return quietMs > state.parameters.leadStallMs || watchedMs > patienceMs(state, own.shard)
}

function candidate(state: CoreState, node: NodeId): Candidate {
  return { node, bytesTotal: state.ledger.manifest(node)?.capacity.bytesTotal ?? 0 }
}

/** Where each claimed shard comes from (PROTOCOL 6): one lead touches origin, the others wait for it and use the swarm. */
import type { Infohash } from '../ids.ts'
import type { Endpoint } from '../manifest/entry.ts'
import type { Effect, FetchSource } from './effect.ts'
import type { Now } from './event.ts'
import { hasRoom } from './shortage.ts'
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

/** A live node that holds the shard, with an infohash that was not refuted here. */
interface Holder {
  readonly node: number
  readonly infohash: Infohash
}

/** The source that this shard should have now; null = wait. */
function wantedSource(
  state: CoreState,
  now: Now,
  own: Own,
  holders: readonly Holder[],
  out: Effect[],
): FetchSource | null {
  const first = holders[0]
  if (first !== undefined && now.monotonicMs >= own.swarmRestsUntilMs) {
    // Bytes that came far from origin already are not thrown away for the swarm.
    if (own.fetch?.kind === 'origin' && doneSixteenths(own) >= 8) return own.fetch
    const current = own.fetch?.kind === 'swarm' ? own.fetch.infohash : null
    const infohash =
      holders.some((holder) => holder.infohash === current) && current !== null ? current : first.infohash
    return { kind: 'swarm', infohash, peers: endpointsOf(state, holders, infohash) }
  }
  if (own.fetch?.kind === 'origin') return own.fetch
  return leads(state, now, own, out) ? { kind: 'origin' } : null
}

/** Best ranked first. Two nodes without inbound connections cannot exchange data (PROTOCOL 5). */
function usableHolders(state: CoreState, now: Now, own: Own): Holder[] {
  const { ledger } = state
  const refuted = state.refuted.get(own.shard.key)
  const usable: Holder[] = []
  for (let slot = ledger.slots.first(own.number); slot >= 0; slot = ledger.slots.next(slot)) {
    const node = ledger.slots.node(slot)
    if (node === state.selfNumber || !ledger.slots.isHeld(slot) || !ledger.isLive(node, now.wallMs)) continue
    if (!state.reachable && !ledger.isReachable(node)) continue
    const infohash = ledger.record(node)?.entries.get(own.shard.key)?.infohash
    if (infohash !== undefined && infohash !== null && refuted?.has(infohash) !== true)
      usable.push({ node, infohash })
  }
  const place = (holder: Holder) => state.ranks.place(own.shard.digest, holder.node)
  return usable.length < 2 ? usable : usable.sort((a, b) => place(a) - place(b))
}

function endpointsOf(state: CoreState, holders: readonly Holder[], infohash: Infohash): Endpoint[] {
  return holders
    .filter((holder) => holder.infohash === infohash)
    .flatMap((holder) => state.ledger.record(holder.node)?.head.endpoints.bittorrent ?? [])
}

/** Tells the engine of new holders; lets the swarm rest when it made no progress for too long. */
function feedOrRest(
  state: CoreState,
  own: Own,
  source: Extract<FetchSource, { kind: 'swarm' }>,
  holders: readonly Holder[],
  now: Now,
  out: Effect[],
): void {
  const peers = endpointsOf(state, holders, source.infohash)
  if (peers.length > source.peers.length) {
    own.fetch = { ...source, peers }
    out.push({ kind: 'add-peers', infohash: source.infohash, peers })
  }
  if (
    !state.settings.originFallback ||
    now.monotonicMs - own.grewAtMs <= patienceMs(state, own.shard.sizeBytes)
  )
    return
  own.swarmRestsUntilMs = now.monotonicMs + patienceMs(state, own.shard.sizeBytes)
  own.fetch = null
  out.push({ kind: 'stop-fetch', shard: own.shard.key })
}

/** PROTOCOL 6: how long so many bytes may take: 10 min + bytes / (256 KiB/s). */
function patienceMs(state: CoreState, bytes: number): number {
  const { leadStallMs, leadBytesPerSecondMin } = state.parameters
  return leadStallMs + Math.floor((bytes / leadBytesPerSecondMin) * 1000)
}

/**
 * Is this node the lead: the best ranked reachable claimant (PROTOCOL 6)? A lead that stalls is passed over and the next
 * rank leads. Unreachable nodes do not lead, unless nobody reachable claimed it for long: a copy that others cannot fetch
 * yet beats none.
 */
function leads(state: CoreState, now: Now, own: Own, out: Effect[]): boolean {
  if (state.settings.role === 'collector') return false
  const { ledger, selfNumber } = state
  const order = state.ranks.order(own.shard.digest)
  const onlyReachable =
    state.reachable || order.some((node) => ledger.isReachable(node) && rivals(state, now, own, node))
  if (onlyReachable && !state.reachable) return false
  if (!state.reachable && now.monotonicMs - own.claimedAtMs < state.parameters.leadStallMs) return false
  for (const node of order) {
    if (node === selfNumber) return true
    if (own.passedOver.has(node) || (onlyReachable && !ledger.isReachable(node))) continue
    if (!rivals(state, now, own, node)) continue
    if (own.lead?.node !== node) own.lead = { node, sinceMs: now.monotonicMs }
    if (!state.settings.originFallback || !stalls(state, now, own, own.lead)) return false
    own.passedOver.add(node)
    const detail = `${state.names.nodes.key(node)} made no progress`
    out.push({ kind: 'notice', code: 'lead-passed', shard: own.shard.key, detail })
  }
  return false
}

/**
 * Does that node claim the shard too? For the first wave after our claim, live nodes with room count as claimants: their
 * claim may be on its way, and two leads would fetch the bytes twice.
 */
function rivals(state: CoreState, now: Now, own: Own, node: number): boolean {
  const { ledger } = state
  if (!ledger.isLive(node, now.wallMs) || state.frozen.has(node)) return false
  const slot = ledger.slots.find(own.number, node)
  if (slot >= 0) return !ledger.slots.isHeld(slot)
  return now.monotonicMs - own.claimedAtMs < state.parameters.waveMs && hasRoom(state, node, own.shard, now)
}

function stalls(state: CoreState, now: Now, own: Own, lead: { node: number; sinceMs: number }): boolean {
  const watchedMs = now.monotonicMs - lead.sinceMs
  const slot = state.ledger.slots.find(own.number, lead.node)
  const changedAtMs = slot < 0 ? 0 : state.ledger.slots.changedAtMs(slot)
  const quietMs = Math.min(watchedMs, now.wallMs - changedAtMs)
  // What others hear of a lead is its sixteenths: one of a big shard takes a while at any speed.
  return (
    quietMs > patienceMs(state, own.shard.sizeBytes / 16) ||
    watchedMs > patienceMs(state, own.shard.sizeBytes)
  )
}

/** A holder that nobody can dial dials those who fetch from it: it tells its engine of reachable claimants. */
export function offerToClaimants(state: CoreState, own: Own, now: Now, out: Effect[]): void {
  if (own.state !== 'held' || own.infohash === null || state.reachable) return
  const { ledger } = state
  const peers: Endpoint[] = []
  for (let slot = ledger.slots.first(own.number); slot >= 0; slot = ledger.slots.next(slot)) {
    const node = ledger.slots.node(slot)
    if (ledger.slots.isHeld(slot) || !ledger.isReachable(node) || !ledger.isLive(node, now.wallMs)) continue
    peers.push(...(ledger.record(node)?.head.endpoints.bittorrent ?? []))
  }
  if (peers.length > 0) out.push({ kind: 'add-peers', infohash: own.infohash, peers })
}

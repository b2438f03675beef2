/** Where each claimed shard comes from (PROTOCOL 6): one lead touches origin, the others wait for it and use the swarm. */
import type { Infohash } from '../ids.ts'
import type { Endpoint } from '../manifest/entry.ts'
import type { Effect, FetchSource } from './effect.ts'
import type { Now } from './event.ts'
import { leads, patienceMs } from './leading.ts'
import { type CoreState, doneSixteenths, type Own } from './state.ts'

/** Fetches from origin at once: it serves two connections of a node (PROTOCOL 6), and one fetch after the other ends sooner. */
const ORIGIN_FETCHES_MAX = 2

/** Others wait for what comes from origin, so that is begun first. */
export function planFetches(state: CoreState, now: Now, out: Effect[]): void {
  const active = { all: 0, origin: 0 }
  const waiting: { own: Own; wanted: FetchSource }[] = []
  for (const own of state.own.claims) {
    const holders = usableHolders(state, now, own)
    const wanted = wantedSource(state, now, own, holders, out)
    if (own.fetch === null) {
      if (wanted?.kind === 'origin') waiting.unshift({ own, wanted })
      else if (wanted !== null) waiting.push({ own, wanted })
      continue
    }
    if (wanted === null) {
      own.fetch = null
      out.push({ kind: 'stop-fetch', shard: own.shard.key })
      continue
    }
    if (differs(own.fetch, wanted)) start(own, wanted, now, out)
    else if (own.fetch.kind === 'swarm') feedOrRest(state, own, own.fetch, holders, now, out)
    if (own.fetch !== null) count(active, own.fetch)
  }
  for (const { own, wanted } of waiting) {
    if (active.all >= state.settings.fetchesMax) return
    if (wanted.kind === 'origin' && active.origin >= ORIGIN_FETCHES_MAX) continue
    start(own, wanted, now, out)
    // That it has begun is news: others leave the lead to it.
    if (wanted.kind === 'origin') state.unpublished = true
    count(active, wanted)
  }
}

function count(active: { all: number; origin: number }, source: FetchSource): void {
  active.all++
  if (source.kind === 'origin') active.origin++
}

function start(own: Own, source: FetchSource, now: Now, out: Effect[]): void {
  own.fetch = source
  own.fetchSinceMs = now.monotonicMs
  // Whoever may lead after the swarm has been tried is waited for anew.
  if (source.kind === 'swarm') own.leads = null
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
  if (first !== undefined) {
    // Bytes that came far from origin already are not thrown away for the swarm.
    if (own.fetch?.kind === 'origin' && doneSixteenths(own) >= 8) return own.fetch
    const current = own.fetch?.kind === 'swarm' ? own.fetch.infohash : null
    const infohash =
      holders.some((holder) => holder.infohash === current) && current !== null ? current : first.infohash
    return { kind: 'swarm', infohash, peers: endpointsOf(state, holders, infohash) }
  }
  if (own.fetch?.kind === 'origin') return own.fetch
  // Upstream did not answer a while ago.
  if ((state.failures.get(own.shard.key)?.retryAtMs ?? 0) > now.monotonicMs) return null
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
    if ((own.dry?.get(node) ?? 0) > now.monotonicMs) continue
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

/** Tells the engine of new holders; lets the swarm rest when it made no progress for too long, or far too little. */
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
  const waitMs = patienceMs(state, own.shard.sizeBytes)
  const isQuiet = now.monotonicMs - own.grewAtMs > waitMs
  // A home's line may give bytes for weeks: then one more copy comes from upstream, and there are two to fetch from. Not when upstream
  // does not have it any more, or cannot be asked now.
  const { failures, parameters } = state
  const isSlow =
    now.monotonicMs - own.fetchSinceMs > Math.max(2 * waitMs, parameters.claimStallMs) &&
    (failures.get(own.shard.key)?.retryAtMs ?? 0) <= now.monotonicMs
  if (!state.settings.originFallback || (!isQuiet && !isSlow)) return
  restFrom(state, own, now.monotonicMs + waitMs)
  own.fetch = null
  out.push({ kind: 'stop-fetch', shard: own.shard.key })
}

/** Nothing came from those who hold it now: they are left alone for a while. Others who come to hold it are tried. */
export function restFrom(state: CoreState, own: Own, untilMs: number): void {
  const { slots } = state.ledger
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    if (!slots.isHeld(slot)) continue
    own.dry ??= new Map()
    own.dry.set(slots.node(slot), untilMs)
  }
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

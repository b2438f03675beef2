/** Where each claimed shard comes from (PROTOCOL 6): one lead touches origin, the others wait for it and use the swarm. */
import type { Infohash } from '../ids.ts'
import type { Endpoint } from '../manifest/entry.ts'
import type { Effect, FetchSource } from './effect.ts'
import type { Now } from './event.ts'
import { hasRoom, RANKS_COUNTED_MAX } from './shortage.ts'
import { type CoreState, doneSixteenths, type Own, type WatchedLead } from './state.ts'

/** Fetches from origin at once: it serves two connections of a node (PROTOCOL 6), and one fetch after the other ends sooner. */
const ORIGIN_FETCHES_MAX = 2

/** Others wait for what comes from origin, so that is begun first. */
export function planFetches(state: CoreState, now: Now, out: Effect[]): void {
  const active = { all: 0, origin: 0 }
  const waiting: { own: Own; wanted: FetchSource }[] = []
  for (const own of state.own.values()) {
    if (own.state !== 'claimed') continue
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
  if (source.kind === 'swarm') own.leads.clear()
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
  if (own.fetch?.kind === 'origin') return yields(state, now, own) ? null : own.fetch
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
    if ((own.dry.get(node) ?? 0) > now.monotonicMs) continue
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
  // A home's line may give bytes for weeks: then one more copy comes from upstream, and there are two to fetch from.
  const isSlow = now.monotonicMs - own.fetchSinceMs > Math.max(2 * waitMs, state.parameters.claimStallMs)
  if (!state.settings.originFallback || (!isQuiet && !isSlow)) return
  restFrom(state, own, now.monotonicMs + waitMs)
  own.fetch = null
  out.push({ kind: 'stop-fetch', shard: own.shard.key })
}

/** Nothing came from those who hold it now: they are left alone for a while. Others who come to hold it are tried. */
export function restFrom(state: CoreState, own: Own, untilMs: number): void {
  const { slots } = state.ledger
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    if (slots.isHeld(slot)) own.dry.set(slots.node(slot), untilMs)
  }
}

/** PROTOCOL 6: how long so many bytes may take: 10 min + bytes / (256 KiB/s). */
function patienceMs(state: CoreState, bytes: number): number {
  const { leadStallMs, leadBytesPerSecondMin } = state.parameters
  return leadStallMs + Math.floor((bytes / leadBytesPerSecondMin) * 1000)
}

/**
 * Is this node the lead (PROTOCOL 6)? That is who has begun, else the best ranked reachable claimant. One that stalls is passed
 * over and the next leads. Unreachable nodes do not lead, unless nobody reachable claimed it for long: a copy that others
 * cannot fetch yet beats none.
 */
function leads(state: CoreState, now: Now, own: Own, out: Effect[]): boolean {
  if (state.settings.role === 'collector') return false
  if (!state.reachable && now.monotonicMs - own.claimedAtMs < state.parameters.leadStallMs) return false
  if (isElsewhere(state, now, own)) return false
  for (;;) {
    const node = firstRival(state, now, own)
    if (node === null) return true
    const lead = own.leads.get(node) ?? { sinceMs: now.monotonicMs, passedAtMs: 0 }
    own.leads.set(node, lead)
    if (!state.settings.originFallback || !stalls(state, now, own, node, lead)) return false
    lead.passedAtMs = now.wallMs
    const detail = `${state.names.nodes.key(node)} made no progress`
    out.push({ kind: 'notice', code: 'lead-passed', shard: own.shard.key, detail })
  }
}

/**
 * Should the bytes come from somebody who has them already, though not now? A holder that fell silent comes back most days, and
 * where only unreachable nodes hold the shard, a reachable one can have it from them and hand it on. Upstream is asked again only
 * when that takes too long.
 */
function isElsewhere(state: CoreState, now: Now, own: Own): boolean {
  const { ledger, parameters } = state
  const { slots } = ledger
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    if (node === state.selfNumber || !slots.isHeld(slot) || (own.dry.get(node) ?? 0) > now.monotonicMs)
      continue
    const isLive = ledger.isLive(node, now.wallMs)
    // A live holder that could be used would have been: neither of the two can be reached.
    const sinceMs = isLive ? slots.changedAtMs(slot) : ledger.silentAfterMs(node)
    const waitMs = isLive ? patienceMs(state, own.shard.sizeBytes) : parameters.restMs >> 1
    if (now.wallMs - sinceMs < waitMs) return true
  }
  return false
}

/**
 * Who comes before this node: who has more of it already, else one of better rank. For the first wave after our claim, live nodes with
 * room count as claimants: their claim may be on its way, and two leads would fetch the bytes twice.
 */
function firstRival(state: CoreState, now: Now, own: Own): number | null {
  const { ledger, ranks, selfNumber } = state
  const { slots } = ledger
  const mine = ranks.place(own.shard.digest, selfNumber)
  const told = slots.find(own.number, selfNumber)
  // As others know it: two who have begun must see the same one ahead.
  const mineDone = told < 0 ? 0 : slots.done(told)
  let first: { node: number; done: number; place: number } | null = null
  let someReachable = state.reachable
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    if (node === selfNumber || slots.isHeld(slot) || !mayLead(state, now, own, node)) continue
    const isReachable = ledger.isReachable(node)
    const done = slots.done(slot)
    if (someReachable && !isReachable && done === 0) continue
    if (isReachable && !someReachable && first?.done === 0) first = null
    someReachable ||= isReachable
    const place = ranks.place(own.shard.digest, node)
    const isBetter = first === null || (done === first.done ? place < first.place : done > first.done)
    if (isBetter) first = { node, done, place }
  }
  if (first !== null) {
    // Who has most leads; of those who have not begun an unreachable node leaves it to any reachable one.
    const isAhead = first.done === mineDone ? first.place < mine : first.done > mineDone
    if (isAhead || (mineDone === 0 && someReachable && !state.reachable)) return first.node
  }
  if (now.monotonicMs - own.claimedAtMs >= state.parameters.waveMs) return null
  const order = ranks.order(own.shard.digest)
  for (let place = 0; place < mine && place < RANKS_COUNTED_MAX; place++) {
    const node = order[place] as number
    if (slots.find(own.number, node) >= 0 || !ledger.isReachable(node)) continue
    if (mayLead(state, now, own, node) && hasRoom(state, node, own.shard, now)) return node
  }
  return null
}

function mayLead(state: CoreState, now: Now, own: Own, node: number): boolean {
  return (
    state.ledger.isLive(node, now.wallMs) && !state.frozen.has(node) && !isPassedOver(state, now, own, node)
  )
}

/** Passed over, and it has not grown since: one that came back from a night is a lead again, within its time in all. */
function isPassedOver(state: CoreState, now: Now, own: Own, node: number): boolean {
  const lead = own.leads.get(node)
  if (lead === undefined || lead.passedAtMs === 0) return false
  const { slots } = state.ledger
  const slot = slots.find(own.number, node)
  if (slot < 0 || slots.changedAtMs(slot) <= lead.passedAtMs) return true
  return now.monotonicMs - lead.sinceMs > patienceMs(state, own.shard.sizeBytes)
}

/** Two have begun: who has less, of equals the worse ranked, leaves it to the other. */
function yields(state: CoreState, now: Now, own: Own): boolean {
  const { ledger, ranks, selfNumber } = state
  const { slots } = ledger
  const mine = doneSixteenths(own)
  if (mine >= 8) return false
  const place = ranks.place(own.shard.digest, selfNumber)
  for (let slot = slots.first(own.number); slot >= 0; slot = slots.next(slot)) {
    const node = slots.node(slot)
    const theirs = slots.done(slot)
    if (node === selfNumber || slots.isHeld(slot) || theirs < mine || !mayLead(state, now, own, node))
      continue
    if (!ledger.isReachable(node)) continue
    if (theirs > mine || ranks.place(own.shard.digest, node) < place) return true
  }
  return false
}

/** What a lead that has begun gets in addition, as if it had so much more: home lines share their speed. */
const BEGUN_SIXTEENTHS = 3
const WAITED_SIXTEENTHS_MAX = 8

/**
 * What others hear of a lead is its sixteenths: one of a big shard takes a while at any speed. One that has much already is waited
 * for about as long as it takes to fetch that again, at most half of all, so that a night or an upstream that is away does not
 * cost the bytes twice.
 */
function stalls(state: CoreState, now: Now, own: Own, node: number, lead: WatchedLead): boolean {
  const { sizeBytes } = own.shard
  const { slots } = state.ledger
  const slot = slots.find(own.number, node)
  const watchedMs = now.monotonicMs - lead.sinceMs
  const quietMs = Math.min(watchedMs, now.wallMs - (slot < 0 ? 0 : slots.changedAtMs(slot)))
  const done = slot < 0 ? 0 : slots.done(slot)
  const sixteenths = done === 0 ? 1 : Math.min(WAITED_SIXTEENTHS_MAX, done + BEGUN_SIXTEENTHS)
  return (
    quietMs > patienceMs(state, (sizeBytes * sixteenths) / 16) || watchedMs > patienceMs(state, sizeBytes)
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

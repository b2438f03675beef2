/** The core: (state, event, time) -> effects. Dispatch only; the rules are in the files beside it. */
import type { ShardKey } from '../ids.ts'
import { networkOf } from '../placement/network.ts'
import { forgetOldAudits, heedFailures, planAudits, recordAudit } from './auditing.ts'
import { claim, release } from './claiming.ts'
import { planDrops, promiseAsked, promised } from './dropping.ts'
import type { Effect } from './effect.ts'
import type { Event, Now } from './event.ts'
import { offerToClaimants, planFetches } from './fetching.ts'
import { planFileAudits } from './file-auditing.ts'
import { planObservations, sweepObservations, takeObservation, takeRun } from './observing.ts'
import { checked, failed, fetched } from './outcomes.ts'
import { changeOver } from './parameters.ts'
import { persist, publish } from './publishing.ts'
import { forgetOldReceipts, receiptCame, wantReceipts } from './receipts.ts'
import { review, touchExpired } from './shortage.ts'
import { type CoreState, changed, doneSixteenths } from './state.ts'
import { putTogether, retargetWhenDue, takeCatalogs } from './targets.ts'
import { sweepEveryMs } from './wake.ts'

export function step(state: CoreState, event: Event, now: Now): Effect[] {
  const out: Effect[] = []
  changeOver(state, now)
  happen(state, event, now, out)
  if (!state.unpersisted) return out
  // What is stored stands before anything of this step is done or said.
  const stored: Effect[] = []
  persist(state, stored)
  return [...stored, ...out]
}

function happen(state: CoreState, event: Event, now: Now, out: Effect[]): void {
  switch (event.kind) {
    case 'tick':
      tick(state, now, out)
      return
    case 'record':
      hear(state, event, now, out)
      return
    case 'ahead':
      ahead(state, event.sequence)
      return
    case 'equivocation':
      freeze(state, event, out)
      return
    case 'catalogs':
      takeCatalogs(state, event, now)
      return
    case 'observation':
      takeObservation(state, event, now)
      return
    case 'run':
      takeRun(state, event, now)
      return
    case 'connections':
      state.connections = event.count
      if (event.count === 0 || state.joinedAtMs !== null) return
      state.joinedAtMs = now.monotonicMs
      state.observations.lookAtMs = now.monotonicMs
      return
    case 'reachability':
      reach(state, event.reachable, now, out)
      return
    case 'endpoints':
      settle(state, event, now)
      return
    case 'progress':
      grow(state, event.shard, event.doneBytes, now)
      return
    case 'fetched':
      fetched(state, event, now, out)
      return
    case 'fetch-failed':
      failed(state, event, now, out)
      return
    case 'checked':
      checked(state, event.shard, event.damaged, now, out)
      return
    case 'capacity':
      state.bytesTotal = event.bytesTotal
      state.unpublished = true
      return
    case 'leave':
      state.leaving = true
      state.unpublished = true
      return
    case 'promised':
      promised(state, event, now, out)
      return
    case 'promise-asked':
      promiseAsked(state, event, now, out)
      return
    case 'audited':
      recordAudit(state, event, now)
      return
    case 'receipt':
      receiptCame(state, event, out)
      return
  }
}

function tick(state: CoreState, now: Now, out: Effect[]): void {
  if (now.monotonicMs - state.sweptAtMs >= sweepEveryMs(state)) {
    state.sweptAtMs = now.monotonicMs
    for (const node of state.ledger.sweep(now.wallMs)) out.push({ kind: 'forget', node })
    touchExpired(state, now)
    forgetOldAudits(state, now)
    sweepObservations(state, now, out)
    retargetWhenDue(state, now)
    forgetOldReceipts(state, now)
    planFileAudits(state, now, out)
  }
  planObservations(state, now, out)
  if (state.observations.changed) putTogether(state, now)
  reviewTouched(state, now, out)
  release(state, now, out)
  claim(state, now, out)
  planFetches(state, now, out)
  planAudits(state, now, out)
  planDrops(state, now, out)
  publish(state, now, out)
  state.tickedAtMs = now.monotonicMs
}

/**
 * Looked at in one tick. The first look at a shard scores every known node, so a catalog of thousands is spread over many
 * ticks: a process that stands still loses its connections. The core stays due until all are done.
 */
const REVIEWS_A_TICK_MAX = 32

/** Looks again at shards whose placement changed; own copies are offered to new claimants, when only this side can dial. */
function reviewTouched(state: CoreState, now: Now, out: Effect[]): void {
  for (const shard of state.ledger.takeTouched(REVIEWS_A_TICK_MAX)) {
    const key = state.catalog[shard]?.shard.key
    const own = key === undefined ? undefined : state.own.get(key)
    if (own !== undefined) offerToClaimants(state, own, now, out)
    review(state, shard, now)
  }
}

function hear(state: CoreState, event: Extract<Event, { kind: 'record' }>, now: Now, out: Effect[]): void {
  const { record, change } = event
  if (record.node === state.self) {
    ahead(state, record.sequence)
    state.ledger.take(record, change, now.wallMs)
    return
  }
  const known = state.ledger.knows(record.node)
  if (state.ledger.take(record, change, now.wallMs) !== 'accepted') return
  const { libp2p } = record.head.endpoints
  if (libp2p.length > 0 && known?.head.endpoints.libp2p.join() !== libp2p.join()) {
    out.push({ kind: 'connect', multiaddrs: libp2p })
  }
  const audits = change?.audits ?? [...record.audits.values()]
  heedFailures(state, record.node, audits, out)
  wantReceipts(state, record.node, audits, now, out)
}

/** Our own words from before a crash that lost state: go on above them (PROTOCOL 4). */
function ahead(state: CoreState, sequence: number): void {
  if (sequence <= state.sequence) return
  state.sequence = sequence
  changed(state)
}

/** PROTOCOL 4: its claims no longer count; its bytes remain a source. */
function freeze(state: CoreState, event: Extract<Event, { kind: 'equivocation' }>, out: Effect[]): void {
  const node = state.names.nodes.number(event.node)
  if (node < 0 || state.frozen.has(node)) return
  state.frozen.add(node)
  for (const key of state.ledger.record(node)?.entries.keys() ?? [])
    state.ledger.touch(state.names.shards.find(key))
  const whose = node === state.selfNumber ? 'this identity runs twice, or its disk was restored' : event.node
  out.push({ kind: 'notice', code: 'equivocation', shard: null, detail: whose })
}

/** Where it listens, and by that in which network it is. */
function settle(state: CoreState, event: Extract<Event, { kind: 'endpoints' }>, now: Now): void {
  state.libp2p = event.libp2p
  state.bittorrent = event.bittorrent
  state.unpublished = true
  const network = networkOf(event)
  const number = network === null ? -1 : state.names.networks.number(network)
  if (number === state.networkNumber) return
  state.networkNumber = number
  for (const shard of state.short.shards()) review(state, shard, now)
}

function reach(state: CoreState, reachable: boolean, now: Now, out: Effect[]): void {
  if (state.reachable === reachable) return
  state.reachable = reachable
  state.unpublished = true
  for (const number of state.short.shards()) review(state, number, now)
  for (const own of state.own.values()) offerToClaimants(state, own, now, out)
}

function grow(state: CoreState, shard: ShardKey, doneBytes: number, now: Now): void {
  const own = state.own.get(shard)
  if (own === undefined || own.state !== 'claimed' || doneBytes <= own.doneBytes) return
  const before = doneSixteenths(own)
  own.doneBytes = Math.min(doneBytes, own.shard.sizeBytes)
  own.grewAtMs = now.monotonicMs
  // Others wait for a lead and watch it grow, and for a reachable node that fetches from where they cannot; of the others the next
  // renewal tells.
  const isWatched = own.fetch?.kind === 'origin' || state.reachable
  if (doneSixteenths(own) !== before && isWatched) state.grewUnpublished = true
}

/** Which shards to claim, and which claims to let go (PROTOCOL 5). */
import { DATASETS, type ShardKey } from '../ids.ts'
import { type Candidate, rank, wave } from '../placement/rank.ts'
import type { Shard } from '../shard/shard.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { bytesUsed, type CoreState, doneSixteenths, newOwn, reservedBytes } from './state.ts'

/** A node that just came claims nothing before it has heard the others: its empty view would claim everything. */
export function settled(state: CoreState, now: Now): boolean {
  return state.joinedAtMs !== null && now.monotonicMs - state.joinedAtMs >= state.parameters.settleMs
}

export function claim(state: CoreState, now: Now, out: Effect[]): void {
  if (state.settings.role === 'collector') collect(state, now)
  else if (settled(state, now)) claimShort(state, now, out)
}

function claimShort(state: CoreState, now: Now, out: Effect[]): void {
  let outstanding = 0
  for (const own of state.own.values()) if (own.state === 'claimed') outstanding++
  let used = bytesUsed(state)
  for (const { shard, takenOperators } of shortShards(state, now)) {
    const seenShortMs = state.shortSince.get(shard.key) ?? now.monotonicMs
    state.shortSince.set(shard.key, seenShortMs)
    if (outstanding >= state.settings.claimsMax) continue
    if (used + reservedBytes(shard) > state.settings.bytesTotal) continue
    if ((state.failures.get(shard.key)?.retryAtMs ?? 0) > now.monotonicMs) continue
    const ranked = rank(shard.digest, candidates(state, now, shard, takenOperators))
    const index = ranked.findIndex((candidate) => candidate.node === state.self)
    const need = state.parameters.replicas - takenOperators.size
    // PROTOCOL 5: rank < need claims at once; the others in waves, from when they first saw it short.
    if (now.monotonicMs - seenShortMs < wave(index, need) * state.parameters.waveMs) continue
    state.own.set(shard.key, newOwn(shard, now))
    state.shortSince.delete(shard.key)
    state.unpersisted = true
    state.unpublished = true
    outstanding++
    used += reservedBytes(shard)
    out.push({ kind: 'notice', code: 'claimed', shard: shard.key, detail: `claimed at rank ${index}` })
  }
}

/** A collector takes every shard that somebody holds; its entries are not told to others. */
function collect(state: CoreState, now: Now): void {
  for (const shard of state.shards.values()) {
    if (state.own.has(shard.key) || (state.failures.get(shard.key)?.retryAtMs ?? 0) > now.monotonicMs)
      continue
    const placed = state.ledger.placed(shard.key)
    if (!placed.some(({ entry }) => entry.state === 'held' && entry.infohash !== null)) continue
    if (bytesUsed(state) + reservedBytes(shard) > state.settings.bytesTotal) continue
    state.own.set(shard.key, newOwn(shard, now))
    state.unpersisted = true
  }
}

interface Short {
  readonly shard: Shard
  /** Operators whose live nodes hold or claim it, or whose resting ones hold it. */
  readonly takenOperators: ReadonlySet<string>
}

/** Shards short of their target that this node could take, in the order of PROTOCOL 5: rarest, then small, then by dataset. */
function shortShards(state: CoreState, now: Now): Short[] {
  const me = ownOperator(state)
  const short: Short[] = []
  for (const shard of state.shards.values()) {
    if (state.own.has(shard.key)) continue
    const takenOperators = operatorsOn(state, now, shard.key)
    if (takenOperators.size >= state.parameters.replicas || takenOperators.has(me))
      state.shortSince.delete(shard.key)
    else short.push({ shard, takenOperators })
  }
  return short.sort(
    (a, b) =>
      a.takenOperators.size - b.takenOperators.size ||
      a.shard.sizeBytes - b.shard.sizeBytes ||
      DATASETS.indexOf(a.shard.dataset) - DATASETS.indexOf(b.shard.dataset) ||
      (a.shard.key < b.shard.key ? -1 : 1),
  )
}

function ownOperator(state: CoreState): string {
  return state.settings.operator === '' ? state.self : state.settings.operator
}

function operatorsOn(state: CoreState, now: Now, shard: ShardKey): Set<string> {
  const { ledger, parameters } = state
  const operators = new Set<string>()
  for (const placed of ledger.placed(shard)) {
    if (placed.node === state.self) continue
    const standing = ledger.standing(placed.node, now.wallMs, parameters)
    const growing = now.wallMs - placed.changedAtMs <= parameters.claimStallMs
    const counts =
      placed.entry.state === 'held'
        ? standing === 'live' || standing === 'resting'
        : standing === 'live' && growing
    if (counts) operators.add(ledger.operator(placed.node))
  }
  return operators
}

/** Live nodes with room and another operator than those that have it, and this node. */
function candidates(state: CoreState, now: Now, shard: Shard, taken: ReadonlySet<string>): Candidate[] {
  const all: Candidate[] = [{ node: state.self, bytesTotal: state.settings.bytesTotal }]
  for (const manifest of state.ledger.nodes()) {
    if (manifest.node === state.self || taken.has(state.ledger.operator(manifest.node))) continue
    if (!hasRoom(manifest.capacity, shard)) continue
    if (state.ledger.standing(manifest.node, now.wallMs, state.parameters) !== 'live') continue
    all.push({ node: manifest.node, bytesTotal: manifest.capacity.bytesTotal })
  }
  return all
}

export function hasRoom(capacity: { bytesTotal: number; bytesUsed: number }, shard: Shard): boolean {
  return capacity.bytesUsed + reservedBytes(shard) <= capacity.bytesTotal
}

/** Lets go of claims that died (PROTOCOL 5: no growth, or too long in all) and of over-claimed ones. */
export function release(state: CoreState, now: Now, out: Effect[]): void {
  const { claimStallMs, claimBytesPerSecondMin } = state.parameters
  for (const own of [...state.own.values()]) {
    // A damaged replica is repaired for as long as it takes: it may be the last one.
    if (own.state !== 'claimed' || own.repairing || state.settings.role === 'collector') continue
    const inAllMs = claimStallMs + (own.shard.sizeBytes / claimBytesPerSecondMin) * 1000
    const died = now.monotonicMs - own.grewAtMs > claimStallMs || now.monotonicMs - own.claimedAtMs > inAllMs
    if (!died && !overClaimed(state, now, own.shard, doneSixteenths(own))) continue
    state.own.delete(own.shard.key)
    state.unpersisted = true
    state.unpublished = true
    out.push({ kind: 'release', shard: own.shard })
    const detail = died ? 'the claim made no progress' : 'more nodes than needed claimed it'
    out.push({ kind: 'notice', code: 'released', shard: own.shard.key, detail })
  }
}

/** PROTOCOL 5: over-claimed, the worst ranked with done < 4 releases. Ranks are computed alike by everybody. */
function overClaimed(state: CoreState, now: Now, shard: Shard, done: number): boolean {
  if (done >= 4) return false
  const taken = operatorsOn(state, now, shard.key)
  if (taken.size + 1 <= state.parameters.replicas) return false
  const open: Candidate[] = [{ node: state.self, bytesTotal: state.settings.bytesTotal }]
  for (const placed of state.ledger.placed(shard.key)) {
    const manifest = state.ledger.manifest(placed.node)
    if (placed.node === state.self || manifest === undefined) continue
    if (placed.entry.state !== 'claimed' || placed.entry.done >= 4) continue
    if (state.ledger.standing(placed.node, now.wallMs, state.parameters) !== 'live') continue
    open.push({ node: placed.node, bytesTotal: manifest.capacity.bytesTotal })
  }
  return rank(shard.digest, open).at(-1)?.node === state.self
}

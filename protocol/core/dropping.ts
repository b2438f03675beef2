/**
 * Never drop the last copy (PROTOCOL 8): a shard is let go only when, within the last ten minutes, as many other holders as are
 * wanted proved their copy to us and promised, having stored it, to keep it for a day. A promiser may not drop.
 */
import type { NodeId, ShardKey } from '../ids.ts'
import { countPlaces } from '../placement/places.ts'
import type { Effect } from './effect.ts'
import type { Now } from './event.ts'
import { review, targetOf } from './shortage.ts'
import { bytesUsed, type CoreState, changed, type Own } from './state.ts'

/** How long a promise binds, and how fresh it must be when it is used. */
export const PROMISE_MS = 86_400_000
export const PROMISE_FRESH_MS = 600_000
/** Clean-up of what may go starts when this share of the room is used (in percent). */
const CLEAN_UP_PERCENT = 85
/** Drops prepared at once: each asks a few holders for a proof. */
const DROPS_AT_ONCE_MAX = 2

export function planDrops(state: CoreState, now: Now, out: Effect[]): void {
  let under = 0
  for (const own of state.own.values()) {
    if (own.dropping === null) continue
    if (now.monotonicMs - own.dropping.sinceMs > PROMISE_FRESH_MS || !mayGo(state, own, now))
      own.dropping = null
    else under++
  }
  if (!wantsRoom(state)) return
  for (const own of droppable(state, now)) {
    if (under >= DROPS_AT_ONCE_MAX) return
    own.dropping = { sinceMs: now.monotonicMs, promised: new Map() }
    under++
    for (const node of otherHolders(state, own, now)) {
      out.push({ kind: 'ask-promise', shard: own.shard, node: state.names.nodes.key(node) })
    }
  }
}

/** A holder proved its copy and promised to keep it, or would not. */
export function promised(
  state: CoreState,
  event: { shard: ShardKey; node: NodeId; granted: boolean },
  now: Now,
  out: Effect[],
): void {
  const own = state.own.get(event.shard)
  if (own?.dropping === null || own?.dropping === undefined || !event.granted) return
  own.dropping.promised.set(state.names.nodes.number(event.node), now.monotonicMs)
  const { dropping } = own
  const keepers = otherHolders(state, own, now).filter((node) => {
    const atMs = dropping.promised.get(node)
    return atMs !== undefined && now.monotonicMs - atMs <= PROMISE_FRESH_MS
  })
  if (placesOf(state, keepers) < targetOf(state, own.number) || own.promisedUntilMs > now.wallMs) return
  state.own.delete(event.shard)
  changed(state)
  review(state, own.number, now)
  out.push({ kind: 'drop', shard: own.shard, infohash: own.infohash })
  out.push({
    kind: 'notice',
    code: 'dropped',
    shard: event.shard,
    detail: `${placesOf(state, keepers)} others keep it`,
  })
}

/** Another holder wants to drop and asks us to keep. The answer leaves after the promise is stored. */
export function promiseAsked(
  state: CoreState,
  event: { shard: ShardKey; from: NodeId },
  now: Now,
  out: Effect[],
): void {
  const own = state.own.get(event.shard)
  const granted =
    own !== undefined &&
    own.state === 'held' &&
    !state.checking.has(event.shard) &&
    keeps(state, own, event.from)
  if (granted) {
    own.dropping = null
    own.promisedUntilMs = now.wallMs + PROMISE_MS
    changed(state)
  }
  // Its place after `persist` is seen to by the step: effects of one step are done in order.
  out.push({
    kind: 'answer-promise',
    shard: event.shard,
    to: event.from,
    untilMs: granted ? own.promisedUntilMs : null,
  })
}

/** Two droppers: the better rank keeps, so that they cannot both let go. One that leaves for good does not promise. */
function keeps(state: CoreState, own: Own, from: NodeId): boolean {
  if (state.leaving) return false
  if (own.dropping === null) return true
  const place = (node: number) => state.ranks.place(own.shard.digest, node)
  return place(state.selfNumber) < place(state.names.nodes.number(from))
}

function wantsRoom(state: CoreState): boolean {
  if (state.settings.role === 'collector') return false
  return state.leaving || bytesUsed(state) * 100 >= state.bytesTotal * CLEAN_UP_PERCENT
}

/** What may go, the biggest first: leaving or above the cap everything, else what others keep already in surplus. */
function droppable(state: CoreState, now: Now): Own[] {
  const pressed = state.leaving || bytesUsed(state) > state.bytesTotal
  return [...state.own.values()]
    .filter((own) => own.state === 'held' && own.dropping === null && mayGo(state, own, now))
    .filter((own) => pressed || isSurplus(state, own, now))
    .sort((a, b) => b.shard.sizeBytes - a.shard.sizeBytes)
}

/** No promise binds us, and others enough hold it. */
function mayGo(state: CoreState, own: Own, now: Now): boolean {
  if (own.promisedUntilMs > now.wallMs) return false
  return placesOf(state, otherHolders(state, own, now)) >= Math.max(1, targetOf(state, own.number))
}

/** As many better ranked holders as are wanted, one of them reachable: ours is the one too many. */
function isSurplus(state: CoreState, own: Own, now: Now): boolean {
  const place = (node: number) => state.ranks.place(own.shard.digest, node)
  const better = otherHolders(state, own, now).filter((node) => place(node) < place(state.selfNumber))
  if (placesOf(state, better) < targetOf(state, own.number)) return false
  return !state.reachable || better.some((node) => state.ledger.isReachable(node))
}

/** PROTOCOL 5: of one operator and of one network once. */
function placesOf({ ledger }: CoreState, nodes: readonly number[]): number {
  return countPlaces(
    nodes.map((node) => ledger.operatorNumber(node)),
    nodes.map((node) => ledger.networkNumber(node)),
  )
}

/** Live holders of other operators that are not on their way out. */
function otherHolders(state: CoreState, own: Own, now: Now): number[] {
  const { ledger } = state
  const holders: number[] = []
  for (let slot = ledger.slots.first(own.number); slot >= 0; slot = ledger.slots.next(slot)) {
    const node = ledger.slots.node(slot)
    if (node === state.selfNumber || !ledger.slots.isHeld(slot) || !ledger.isLive(node, now.wallMs)) continue
    if (ledger.operatorNumber(node) !== state.operatorNumber && ledger.offersRoom(node)) holders.push(node)
  }
  return holders
}

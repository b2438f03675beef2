/** What the simulator reads of a core's state: here and nowhere else, so that the core can be rebuilt behind it. */
import { isStale, mustReadFirst } from '../../protocol/core/observing.ts'
import { type CoreState, doneSixteenths, type Own, reservedBytes } from '../../protocol/core/state.ts'
import type { Infohash, NodeId, ShardKey } from '../../protocol/ids.ts'
import { type Health, health } from '../../protocol/ledger/health.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { START_WALL_MS } from './clock.ts'

export { isStale, mustReadFirst, reservedBytes }

export interface OwnView {
  readonly shard: Shard
  readonly held: boolean
  readonly infohash: Infohash | null
  readonly sinceMs: number
  readonly sixteenths: number
}

export function ownOf(state: CoreState): OwnView[] {
  return [...state.own.values()].map(viewOfOwn)
}

export function ownShard(state: CoreState, key: ShardKey): OwnView | null {
  const own = state.own.get(key)
  return own === undefined ? null : viewOfOwn(own)
}

function viewOfOwn(own: Own): OwnView {
  return {
    shard: own.shard,
    held: own.state === 'held',
    infohash: own.infohash,
    sinceMs: own.sinceMs,
    sixteenths: doneSixteenths(own),
  }
}

/** Bytes that the core has given away: in claims and replicas, and to files that it audits by. */
export function reservedOf(state: CoreState): number {
  let sum = 0
  for (const bytes of state.fileAudits.values()) sum += bytes
  for (const own of state.own.values()) sum += reservedBytes(own.shard)
  return sum
}

/** The newest sequence that this core knows of a node, 0 when it knows none. */
export function knownSequence(state: CoreState, node: NodeId): number {
  return state.ledger.knows(node)?.sequence ?? 0
}

/** What this core believes of a shard, by the product's own definitions. */
export function healthOf(state: CoreState, key: ShardKey, timeMs: number): Health {
  const { ledger, parameters } = state
  return health(key, { ledger, parameters, nowMs: START_WALL_MS + timeMs }, state.archived.get(key))
}

/** How many replicas this core wants of a shard. */
export function targetOf(state: CoreState, key: ShardKey): number {
  return state.catalog[state.names.shards.find(key)]?.target ?? 0
}

/** Does a coordinator's catalog name it, as far as this core knows? */
export function isNamed(state: CoreState, key: ShardKey): boolean {
  return state.named.has(key)
}

/** Something changed that the next tick should look at. */
export function wantsTick(state: CoreState): boolean {
  return state.ledger.hasTouched
}

export function ownAudits(state: CoreState) {
  return state.audits.values()
}

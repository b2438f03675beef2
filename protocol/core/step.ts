/** The core: (state, event, time) -> effects. Dispatch only; the rules are in the files beside it. */
import type { ShardKey } from '../ids.ts'
import { forgetOldAudits, heedFailures, planAudits, recordAudit } from './auditing.ts'
import { claim, release } from './claiming.ts'
import type { Effect } from './effect.ts'
import type { Event, Now } from './event.ts'
import { planFetches } from './fetching.ts'
import { persist, publish } from './publishing.ts'
import { type CoreState, doneSixteenths, type Failure, type Own, refute } from './state.ts'

export function step(state: CoreState, event: Event, now: Now): Effect[] {
  const out: Effect[] = []
  happen(state, event, now, out)
  persist(state, out)
  return out
}

function happen(state: CoreState, event: Event, now: Now, out: Effect[]): void {
  switch (event.kind) {
    case 'tick':
      tick(state, now, out)
      return
    case 'manifest':
      hear(state, event, now, out)
      return
    case 'catalogs':
      state.shards = new Map(event.shards.map((shard) => [shard.key, shard]))
      state.listed = event.listed
      return
    case 'connections':
      state.connections = event.count
      if (event.count > 0) state.joinedAtMs ??= now.monotonicMs
      return
    case 'reachability':
      if (state.reachable !== event.reachable) state.unpublished = true
      state.reachable = event.reachable
      return
    case 'endpoints':
      state.libp2p = event.libp2p
      state.bittorrent = event.bittorrent
      state.unpublished = true
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
    case 'audited':
      recordAudit(state, event, now)
      return
  }
}

function tick(state: CoreState, now: Now, out: Effect[]): void {
  for (const node of state.ledger.forgetGone(now.wallMs, state.parameters))
    out.push({ kind: 'forget-manifest', node })
  forgetOldAudits(state, now)
  release(state, now, out)
  claim(state, now, out)
  planFetches(state, now, out)
  planAudits(state, now, out)
  publish(state, now, out)
}

function hear(state: CoreState, event: Extract<Event, { kind: 'manifest' }>, now: Now, out: Effect[]): void {
  const { manifest, raw } = event
  if (manifest.node === state.self) {
    // Our own words from before a crash that lost state: go on above them (PROTOCOL 4).
    if (manifest.sequence > state.sequence) {
      state.sequence = manifest.sequence
      state.unpersisted = true
      state.unpublished = true
    }
    state.ledger.accept(manifest, now.wallMs, state.parameters)
    return
  }
  const known = state.ledger.manifest(manifest.node)
  if (state.ledger.accept(manifest, now.wallMs, state.parameters) !== 'accepted') return
  out.push({ kind: 'keep-manifest', node: manifest.node, raw })
  const moved = known?.endpoints.libp2p.join() !== manifest.endpoints.libp2p.join()
  if (moved && manifest.endpoints.libp2p.length > 0) {
    out.push({ kind: 'connect', multiaddrs: manifest.endpoints.libp2p })
  }
  heedFailures(state, manifest, out)
}

function grow(state: CoreState, shard: ShardKey, doneBytes: number, now: Now): void {
  const own = state.own.get(shard)
  if (own === undefined || own.state !== 'claimed' || doneBytes <= own.doneBytes) return
  const before = doneSixteenths(own)
  own.doneBytes = Math.min(doneBytes, own.shard.sizeBytes)
  own.grewAtMs = now.monotonicMs
  if (doneSixteenths(own) !== before) state.unpublished = true
}

function fetched(
  state: CoreState,
  event: Extract<Event, { kind: 'fetched' }>,
  now: Now,
  out: Effect[],
): void {
  const own = state.own.get(event.shard)
  if (own === undefined) return
  const repaired = own.repairing
  if (own.fetch?.kind === 'origin' && !repaired) own.led = true
  Object.assign(own, {
    state: 'held',
    infohash: event.infohash,
    sinceMs: now.wallMs,
    doneBytes: own.shard.sizeBytes,
    fetch: null,
    repairing: false,
    fromOriginBytes: own.fromOriginBytes + event.fromOriginBytes,
    fromSwarmBytes: own.fromSwarmBytes + event.fromSwarmBytes,
  } satisfies Partial<Own>)
  state.failures.delete(event.shard)
  if (repaired) {
    const at = state.damages.findIndex(
      (damage) => damage.shard === event.shard && damage.repairedAtMs === null,
    )
    const damage = state.damages[at]
    if (damage !== undefined) state.damages[at] = { ...damage, repairedAtMs: now.wallMs }
  }
  state.unpersisted = true
  state.unpublished = true
  out.push({
    kind: 'notice',
    code: repaired ? 'repaired' : 'held',
    shard: event.shard,
    detail: event.infohash,
  })
}

/** Failures that end the claim: others may have more luck, and we try again later. */
const FINAL_FOR_NOW: ReadonlySet<string> = new Set([
  'digest-mismatch',
  'catalog-disagrees',
  'origin-unavailable',
  'disk-full',
  'disk-error',
])
/** 2^10 times the base is over a week for a real federation. */
const BACKOFF_DOUBLINGS_MAX = 10

function failed(
  state: CoreState,
  event: Extract<Event, { kind: 'fetch-failed' }>,
  now: Now,
  out: Effect[],
): void {
  const own = state.own.get(event.shard)
  if (own === undefined) return
  own.fetch = null
  const attempts = (state.failures.get(event.shard)?.attempts ?? 0) + 1
  const backoffMs = state.parameters.leadStallMs * 2 ** Math.min(attempts - 1, BACKOFF_DOUBLINGS_MAX)
  const retryAtMs = now.monotonicMs + backoffMs
  const failure: Failure = { code: event.code, detail: event.detail, atMs: now.wallMs, attempts, retryAtMs }
  state.failures.set(event.shard, failure)
  out.push({ kind: 'notice', code: 'failed', shard: event.shard, detail: `${event.code}: ${event.detail}` })
  if (event.code === 'bad-infohash' && event.infohash !== null) {
    refute(state, event.shard, event.infohash)
    state.unpersisted = true
    state.unpublished = true
    out.push({ kind: 'notice', code: 'refuted', shard: event.shard, detail: event.infohash })
  } else if (event.code === 'swarm-failed') {
    own.swarmRestsUntilMs = now.monotonicMs + state.parameters.waveMs
  } else if (FINAL_FOR_NOW.has(event.code) && !own.repairing) {
    state.own.delete(event.shard)
    state.unpersisted = true
    state.unpublished = true
    out.push({ kind: 'release', shard: own.shard })
  }
}

/** Damages kept for the status page. */
const DAMAGES_MAX = 100

function checked(
  state: CoreState,
  shard: ShardKey,
  damaged: readonly string[],
  now: Now,
  out: Effect[],
): void {
  state.checking.delete(shard)
  const own = state.own.get(shard)
  if (own === undefined || own.state !== 'held' || damaged.length === 0) return
  own.state = 'claimed'
  own.repairing = true
  own.sinceMs = now.wallMs
  own.doneBytes = 0
  own.claimedAtMs = now.monotonicMs
  own.grewAtMs = now.monotonicMs
  state.damages.push({ shard, files: damaged, foundAtMs: now.wallMs, repairedAtMs: null })
  if (state.damages.length > DAMAGES_MAX) state.damages.shift()
  state.unpersisted = true
  state.unpublished = true
  out.push({ kind: 'notice', code: 'damaged', shard, detail: damaged.join(', ') })
}

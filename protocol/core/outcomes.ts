/** What came of a fetch, or of a look at our own copy (PROTOCOL 6, 7). */
import type { ShardKey } from '../ids.ts'
import { backOffMs } from './back-off.ts'
import type { Effect } from './effect.ts'
import type { Event, FetchFailure, Now } from './event.ts'
import { restFrom } from './fetching.ts'
import { refuseObserved } from './observing.ts'
import { review } from './shortage.ts'
import { type CoreState, changed, noteFailure, type Own, refute } from './state.ts'

export function fetched(
  state: CoreState,
  event: Extract<Event, { kind: 'fetched' }>,
  now: Now,
  out: Effect[],
): void {
  const own = state.own.get(event.shard)
  if (own === undefined) return
  const repaired = own.repairing
  if (own.fetch?.kind === 'origin' && !repaired) own.led = true
  state.own.restate(own, 'held')
  Object.assign(own, {
    infohash: event.infohash,
    sinceMs: now.wallMs,
    doneBytes: own.shard.sizeBytes,
    fetch: null,
    repairing: false,
    fromOriginBytes: own.fromOriginBytes + event.fromOriginBytes,
    fromSwarmBytes: own.fromSwarmBytes + event.fromSwarmBytes,
  } satisfies Partial<Own>)
  state.failures.delete(event.shard)
  state.own.checkAudits(own, now.monotonicMs)
  if (repaired) {
    const at = state.damages.findIndex(
      (damage) => damage.shard === event.shard && damage.repairedAtMs === null,
    )
    const damage = state.damages[at]
    if (damage !== undefined) state.damages[at] = { ...damage, repairedAtMs: now.wallMs }
  }
  changed(state)
  out.push({
    kind: 'notice',
    code: repaired ? 'repaired' : 'held',
    shard: event.shard,
    detail: event.infohash,
  })
}

/** Failures that end the claim: others may have more luck, and we try again later. */
const FINAL_FOR_NOW: ReadonlySet<string> = new Set([
  'catalog-disagrees',
  'disk-full',
  'disk-error',
  'budget-used',
])

/** Of wrong bytes from origin the files that are right stay, and the others are asked for once more. */
function endsClaim(code: FetchFailure, before: FetchFailure | undefined): boolean {
  return FINAL_FOR_NOW.has(code) || (code === 'digest-mismatch' && before === 'digest-mismatch')
}

export function failed(
  state: CoreState,
  event: Extract<Event, { kind: 'fetch-failed' }>,
  now: Now,
  out: Effect[],
): void {
  const own = state.own.get(event.shard)
  if (own === undefined) return
  own.fetch = null
  const before = state.failures.get(event.shard)?.code
  const retryAtMs = (attempts: number) => now.monotonicMs + backOffMs(state.parameters.leadStallMs, attempts)
  noteFailure(state, event.shard, { code: event.code, detail: event.detail }, now, retryAtMs)
  out.push({ kind: 'notice', code: 'failed', shard: event.shard, detail: `${event.code}: ${event.detail}` })
  if (event.code === 'bad-infohash' && event.infohash !== null) {
    refute(state, event.shard, event.infohash)
    changed(state)
    out.push({ kind: 'notice', code: 'refuted', shard: event.shard, detail: event.infohash })
  } else if (event.code === 'swarm-failed' || (own.repairing && FINAL_FOR_NOW.has(event.code))) {
    // A repair is not let go, and must not be begun again at once where the disk has no room for it.
    restFrom(state, own, now.monotonicMs + state.parameters.waveMs)
  } else if (event.code === 'origin-unavailable') {
    // Who was left for upstream is all that there is now.
    own.dry = null
  } else if (endsClaim(event.code, before) && !own.repairing) {
    if (event.code === 'catalog-disagrees') refuseObserved(state, event.shard, now)
    state.own.delete(event.shard)
    changed(state)
    review(state, own.number, now)
    out.push({ kind: 'release', shard: own.shard })
  }
}

/** Damages kept for the status page. */
const DAMAGES_MAX = 100

export function checked(
  state: CoreState,
  shard: ShardKey,
  damaged: readonly string[],
  now: Now,
  out: Effect[],
): void {
  state.checking.delete(shard)
  const own = state.own.get(shard)
  if (own === undefined || own.state !== 'held' || damaged.length === 0) return
  state.own.restate(own, 'claimed')
  own.repairing = true
  own.sinceMs = now.wallMs
  own.doneBytes = 0
  own.claimedAtMs = now.monotonicMs
  own.grewAtMs = now.monotonicMs
  state.damages.push({ shard, files: damaged, foundAtMs: now.wallMs, repairedAtMs: null })
  if (state.damages.length > DAMAGES_MAX) state.damages.shift()
  changed(state)
  out.push({ kind: 'notice', code: 'damaged', shard, detail: damaged.join(', ') })
}

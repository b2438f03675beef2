// Longer than 300 lines: a list, one rule after the other.

/**
 * Rules of the protocol, each removed or bent by one patch of the source. The simulator must notice every one: one that it
 * does not notice is a rule that nothing holds. Patches name exact text, so that they fail loudly when the source moves on.
 */
import { type FaultName, parseFaults } from './options.ts'

export interface Mutation {
  readonly name: string
  /** The clause of docs/PROTOCOL.md that it breaks. */
  readonly clause: string
  readonly file: string
  readonly old: string
  readonly new: string
  /** What kind of run shows it best. */
  readonly run: {
    readonly nodes: number
    readonly days: number
    readonly shards: number
    readonly faults: readonly FaultName[]
  }
}

const CALM = { nodes: 8, days: 1, shards: 16, faults: [] } as const
const HOSTILE = {
  nodes: 10,
  days: 1,
  shards: 16,
  faults: ['forgers', 'replayers', 'late', 'duplicate'],
} as const
const LOSSY = {
  nodes: 10,
  days: 2,
  shards: 20,
  faults: ['loss', 'late', 'churn', 'partition', 'forgers'],
} as const
/** Clocks jump back in the busy first day of one of many nodes. */
const JUMPY = { nodes: 100, days: 2, shards: 300, faults: ['crash', 'skew'] } as const
const CRASHING = { nodes: 30, days: 3, shards: 120, faults: ['crash', 'skew'] } as const
const LEAVING = { nodes: 24, days: 20, shards: 12, faults: ['leave', 'churn'] } as const
/** Homes are off at night, and have slow lines. */
const HOMES = {
  nodes: 40,
  days: 3,
  shards: 120,
  faults: ['churn', 'slow', 'unreachable'],
} as const
const LOSING = { nodes: 20, days: 7, shards: 60, faults: ['mass-loss'] } as const
const ROTTEN = { nodes: 8, days: 16, shards: 10, faults: ['rot'] } as const

/** Upstream makes new runs while the coordinator is dead, and liars make up others. */
const SILENT = { nodes: 12, days: 14, shards: 24, faults: ['coordinator', 'liars'] } as const

/** Two weeks of everything: upstream deletes what too few volunteers have by then. */
const DELETED = { nodes: 30, days: 14, shards: 90, faults: [...parseFaults('all')] } as const

const ENVELOPE = 'protocol/manifest/envelope.ts'
const BOOK = 'protocol/manifest/record-book.ts'
const APPLY = 'protocol/manifest/apply-update.ts'
const OBSERVERS = 'protocol/catalog/observers.ts'
const OBSERVING = 'protocol/core/observing.ts'
const CLAIMING = 'protocol/core/claiming.ts'
const SHORTAGE = 'protocol/core/shortage.ts'
const FETCHING = 'protocol/core/fetching.ts'
const LEADING = 'protocol/core/leading.ts'
const DROPPING = 'protocol/core/dropping.ts'
const PUBLISHING = 'protocol/core/publishing.ts'
const AUDITING = 'protocol/core/auditing.ts'
const FILE_AUDIT = 'protocol/audit/file-audit.ts'

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'signatures are not looked at',
    clause: '3',
    file: ENVELOPE,
    old: 'if (!options.verify(publicKey, message, signature)) return',
    new: 'if (message.length === 0) return',
    run: HOSTILE,
  },
  {
    name: 'the domain is not signed',
    clause: '3',
    file: ENVELOPE,
    old: 'const parts = [utf8ToBytes(domain), typeBytes(payloadType), payload]',
    new: 'const parts = [utf8ToBytes(domain.slice(0, 0)), typeBytes(payloadType), payload]',
    run: HOSTILE,
  },
  {
    name: 'the type of an envelope is not looked at',
    clause: '3',
    file: ENVELOPE,
    old: 'if (!equalBytes(payloadType, typeBytes(options.payloadType))) return',
    new: 'if (payloadType.length === 0) return',
    run: HOSTILE,
  },
  {
    name: 'old updates are taken again',
    clause: '4',
    file: BOOK,
    old: "return sequence < known.sequence ? { kind: 'old' } : null",
    new: 'return null',
    run: HOSTILE,
  },
  {
    name: 'updates from the future are taken',
    clause: '4',
    file: BOOK,
    old: "if (update.issuedAtMs > nowMs + clockSkewMs) return { kind: 'future' }",
    new: "if (update.issuedAtMs > nowMs + 1000 * clockSkewMs) return { kind: 'future' }",
    run: HOSTILE,
  },
  {
    name: 'the digest after an update is not compared',
    clause: '4',
    file: APPLY,
    old: 'if (!equalBytes(state.digest, update.digest)) {',
    new: 'if (update.digest.length === 0) {',
    run: LOSSY,
  },
  {
    name: 'pulled rows are not compared with the signed digest',
    clause: '4',
    file: APPLY,
    old: 'if (state === null || !equalBytes(state.digest, update.digest)) return null',
    new: 'if (state === null) return null',
    run: LOSSY,
  },
  {
    name: 'the sequence is neither stored nor above the last one',
    clause: '4',
    file: PUBLISHING,
    old: 'state.sequence = Math.max(state.sequence + 1, now.wallMs)',
    new: 'state.sequence = now.wallMs',
    run: JUMPY,
  },
  {
    name: 'a node speaks whenever something changes',
    clause: '4',
    file: PUBLISHING,
    old: 'if (state.unpublished) return state.publishedAtMs + publishMinMs',
    new: 'if (state.unpublished) return state.publishedAtMs + (publishMinMs >> 4)',
    run: CALM,
  },
  {
    name: 'a lease is not renewed',
    clause: '4',
    file: PUBLISHING,
    old: 'const renewAtMs = state.publishedAtMs + renewMs',
    new: 'const renewAtMs = state.publishedAtMs + 100 * renewMs',
    run: { ...CALM, days: 3 },
  },
  {
    name: 'what a node holds does not survive its restart',
    clause: '4',
    file: 'protocol/core/kept.ts',
    old: 'for (const one of kept?.own ?? []) state.own',
    new: "for (const one of kept?.own.filter((each) => each.state === 'claimed') ?? []) state.own",
    run: CRASHING,
  },
  {
    name: 'a node claims above its capacity',
    clause: '5, 11.2',
    file: CLAIMING,
    old: 'reservedBytes(shard) > freeBytes',
    new: 'reservedBytes(shard) > Number.MAX_SAFE_INTEGER + freeBytes',
    run: { ...CALM, nodes: 6, days: 4, shards: 400 },
  },
  {
    name: 'one replica less is enough',
    clause: '5',
    file: SHORTAGE,
    old: 'const missing = known.target - taken.places',
    new: 'const missing = known.target - taken.places - 1',
    run: CALM,
  },
  {
    name: 'everybody claims at once',
    clause: '5',
    file: SHORTAGE,
    old: 'waitMs(turn, need, state.parameters.waveMs)',
    new: 'waitMs(0, need, state.parameters.waveMs)',
    run: { ...CALM, nodes: 40, shards: 20 },
  },
  {
    name: 'claims of others do not count',
    clause: '5',
    file: SHORTAGE,
    old: 'if (!slots.isHeld(slot) && !mayClaim(state, node)) continue',
    new: 'if (!slots.isHeld(slot)) continue',
    run: { ...CALM, nodes: 16, shards: 16 },
  },
  {
    name: 'a claim ends when its node falls silent',
    clause: '5',
    file: SHORTAGE,
    old: 'return Math.min(silentAfterMs + parameters.restMs, slots',
    new: 'return Math.min(silentAfterMs - (parameters.ttlMs >> 1), slots',
    run: HOMES,
  },
  {
    name: 'over-claims are not let go',
    clause: '5',
    file: CLAIMING,
    old: 'else if (overClaimed(state, own, now)) letGo',
    new: 'else if (overClaimed(state, own, now) && now.monotonicMs < 0) letGo',
    run: { ...CALM, nodes: 30, shards: 90 },
  },
  {
    name: 'no place is kept for a node that can be reached',
    clause: '5',
    file: SHORTAGE,
    old: 'scratch.hasReachable = scratch.reachable > 0',
    new: 'scratch.hasReachable = true',
    run: { nodes: 12, days: 1, shards: 24, faults: ['unreachable'] },
  },
  {
    name: 'everybody fetches from origin',
    clause: '6',
    file: FETCHING,
    old: 'return leads(state, now, own, out) ? { kind:',
    new: "return leads(state, now, own, out) || own.state === 'claimed' ? { kind:",
    run: { ...CALM, nodes: 40, shards: 120 },
  },
  {
    name: 'a lead that stands still is waited for',
    clause: '6',
    file: LEADING,
    old: '!stalls(state, now, own, node, lead)) return false',
    new: '!stalls(state, now, own, node, lead) || now.monotonicMs > 0) return false',
    run: { nodes: 12, days: 3, shards: 24, faults: ['hogs', 'sybils'] },
  },
  {
    name: 'nobody audits',
    clause: '7',
    file: AUDITING,
    old: "if (own.state !== 'held' || own.auditCheckAtMs > now.monotonicMs) continue",
    new: "if (own.state !== 'held' || now.monotonicMs > 0) continue",
    run: CALM,
  },
  {
    name: 'a failure that others report is not looked into',
    clause: '7',
    file: AUDITING,
    old: "if (audit.node !== state.self || audit.outcome !== 'fail') continue",
    new: "if (audit.node !== state.self || audit.outcome !== 'unknown') continue",
    run: ROTTEN,
  },
  {
    name: 'other bytes than upstream’s pass an audit by whole file',
    clause: '7',
    file: FILE_AUDIT,
    old: "return isSigned && isCovered ? 'fail' : 'unknown'",
    new: "return isSigned && isCovered ? 'pass' : 'unknown'",
    run: { nodes: 6, days: 6, shards: 16, faults: ['liars', 'churn', 'slow'] },
  },
  {
    name: 'bytes that the node did not sign for fail an audit by whole file',
    clause: '7',
    file: FILE_AUDIT,
    old: "return isSigned && isCovered ? 'fail' : 'unknown'",
    new: "return isCovered ? 'fail' : 'unknown'",
    run: { nodes: 6, days: 6, shards: 16, faults: ['forgers', 'churn', 'slow'] },
  },
  {
    name: 'a file that did not come whole passes an audit',
    clause: '7',
    file: FILE_AUDIT,
    old: "if (hashes.length === 0 || found.kind === 'missing') return 'unknown'",
    new: "if (hashes.length === 0 || found.kind === 'missing') return 'pass'",
    run: { nodes: 6, days: 6, shards: 16, faults: ['liars', 'churn', 'slow', 'origin'] },
  },
  {
    name: 'a receipt acquits whoever answered anything',
    clause: '7',
    file: 'protocol/audit/receipt.ts',
    old: "return sameHashes(proofs, receipt.hashes) ? 'pass' : 'fail'",
    new: "return proofs.length === receipt.hashes.length ? 'pass' : 'fail'",
    run: ROTTEN,
  },
  {
    name: 'two audited replicas are called safe',
    clause: '0, 11.6',
    file: 'protocol/ledger/health.ts',
    old: 'audited >= parameters.replicas',
    new: 'audited >= parameters.replicas - 1',
    run: { ...CALM, faults: ['slow'] },
  },
  {
    name: 'one promise is enough to drop',
    clause: '8, 11.1',
    file: DROPPING,
    old: 'if (placesOf(state, keepers) < targetOf(state, own.number)',
    new: 'if (keepers.length < 1',
    run: LEAVING,
  },
  {
    name: 'a promise is forgotten at once',
    clause: '8, 11.1',
    file: DROPPING,
    old: 'own.promisedUntilMs = now.wallMs + PROMISE_MS',
    new: 'own.promisedUntilMs = now.wallMs + 1000',
    run: LEAVING,
  },
  {
    name: 'what is archived is kept once even when it is new',
    clause: '5',
    file: 'protocol/core/targets.ts',
    old: 'const FRESH_RUNS = 2',
    new: 'const FRESH_RUNS = 1',
    run: { ...CALM, days: 2 },
  },
  {
    name: 'the one replica of what is archived may be out of reach',
    clause: '5',
    file: SHORTAGE,
    old: 'Math.max(missing, taken.hasReachable || !state.reachable ? 0 : 1)',
    new: 'Math.max(missing, 0)',
    run: { nodes: 30, days: 3, shards: 90, faults: ['unreachable', 'leave', 'mass-loss', 'churn'] },
  },
  {
    name: 'neighbours in one network count each',
    clause: '5',
    file: 'protocol/ledger/ledger.ts',
    old: 'return (this.#network[node] ?? 0) - 1',
    new: 'return (this.#network[node] ?? 0) === 0 ? -1 : -2',
    run: { ...CALM, nodes: 12, shards: 24 },
  },
  {
    name: 'a running node keeps the parameters that it began with',
    clause: 'federation parameters',
    file: 'protocol/core/parameters.ts',
    old: 'if (now.wallMs >= state.parametersFromMs && now.wallMs < state.parametersUntilMs) return',
    new: 'if (now.wallMs >= state.parametersFromMs) return',
    run: { ...CALM, days: 2, faults: ['parameters'] },
  },
  {
    name: 'a replica whose node is gone counts for days',
    clause: '4, 5',
    file: SHORTAGE,
    old: 'const restsUntilMs = silentAfterMs + replicaRestMs',
    new: 'const restsUntilMs = silentAfterMs + 6 * replicaRestMs',
    run: LOSING,
  },
  {
    name: 'a replica whose node is silent counts for nothing',
    clause: '4, 5',
    file: SHORTAGE,
    old: 'const restsUntilMs = silentAfterMs + replicaRestMs',
    new: 'const restsUntilMs = silentAfterMs - (parameters.ttlMs >> 1)',
    run: HOMES,
  },
  {
    name: 'nobody waits for a holder that is away',
    clause: '6',
    file: LEADING,
    old: 'if (isElsewhere(state, now, own)) return false',
    new: 'if (isElsewhere(state, now, own) && now.monotonicMs < 0) return false',
    run: HOMES,
  },
  {
    name: 'a lead with much is passed over as soon as one with nothing',
    clause: '6',
    file: LEADING,
    old: 'done === 0 ? 1 : Math.min',
    new: 'done >= 0 ? 1 : Math.min',
    run: HOMES,
  },
  {
    name: 'one observer is enough',
    clause: '1',
    file: OBSERVERS,
    old: 'const AGREEING = 2',
    new: 'const AGREEING = 1',
    run: SILENT,
  },
  {
    name: 'strangers count beside those who are listed',
    clause: '1',
    file: OBSERVING,
    old: 'return !listedAreLive(ledger, numbers, now.wallMs)',
    new: 'return listedAreLive(ledger, numbers, now.wallMs) || numbers.length >= 0',
    run: SILENT,
  },
  {
    name: 'nobody reads upstream while the coordinator is silent',
    clause: '1',
    file: OBSERVING,
    old: 'if (hasRead) return nextDayAtMs',
    new: 'if (hasRead || stale) return nextDayAtMs',
    run: { ...SILENT, days: 18 },
  },
  {
    name: 'everybody reads upstream while the coordinator is silent',
    clause: '1',
    file: OBSERVING,
    old: 'if (place >= OBSERVERS && placesOn(state, day) >= OBSERVERS) return nextDayAtMs',
    new: 'if (place < 0) return nextDayAtMs',
    run: SILENT,
  },
  {
    name: 'a collector tells nobody what it holds',
    clause: '9',
    file: 'protocol/core/publishing.ts',
    old: "own.state === 'held' && !hasSource(state, own, now)",
    new: "own.state !== 'held' && !hasSource(state, own, now)",
    run: DELETED,
  },
  {
    name: 'what a collector holds counts as a place',
    clause: '9',
    file: SHORTAGE,
    old: 'node === state.selfNumber || !ledger.offersRoom(node) ||',
    new: 'node === state.selfNumber ||',
    run: DELETED,
  },
]

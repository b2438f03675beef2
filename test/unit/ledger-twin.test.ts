// Longer than 300 lines: the twin, the histories and the claims about both stand together.
// Longer than 300 lines: the twin, the histories and the comparison stand together.
/**
 * The ledger against a dumb twin: plain maps, and everything computed anew from the latest record of each node. Whatever the
 * history, both say the same.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import { health } from '../../protocol/ledger/health.ts'
import { Ledger, type Standing } from '../../protocol/ledger/ledger.ts'
import type { AuditOutcome, AuditRecord, Entry } from '../../protocol/manifest/entry.ts'
import { auditKey } from '../../protocol/manifest/entry.ts'
import { diffRecords, type NodeRecord } from '../../protocol/manifest/node-record.ts'
import { DEFAULT_PARAMETERS, type Parameters } from '../../protocol/parameters.ts'
import { entryOf, recordOf, shared } from '../support/ledger-records.ts'
import { NOW } from '../support/manifests.ts'

const IDS = ['a', 'b', 'c', 'd', 'e'].map((letter) => `12D3KooW${letter.repeat(44)}` as NodeId)
const SELF = IDS[4] as NodeId
const KEYS = ['1', '2', '3'].map((n) => `dumps/tenwiki/2026010${n}@${n.repeat(64)}` as ShardKey)
const OPERATORS = ['', 'one', 'two']
/** Short lives, so that a history of a few steps sees them end. */
const P: Parameters = {
  ...DEFAULT_PARAMETERS,
  replicas: 2,
  clockSkewMs: 10,
  restMs: 60,
  goneMs: 300,
  auditValidMs: 150,
}

class Twin {
  readonly records = new Map<NodeId, NodeRecord>()
  readonly #changes = new Map<
    string,
    { readonly state: string; readonly done: number; readonly atMs: number }
  >()
  readonly proven = new Set<NodeId>()
  listed: ReadonlyMap<NodeId, string> = new Map()

  take(record: NodeRecord, nowMs: number): string {
    if (record.issuedAtMs > nowMs + P.clockSkewMs) return 'future'
    if (record.issuedAtMs < nowMs - P.goneMs) return 'expired'
    const known = this.records.get(record.node)
    if (known !== undefined && known.sequence >= record.sequence)
      return known.sequence === record.sequence ? 'repeated' : 'old'
    this.records.set(record.node, record)
    for (const key of KEYS) {
      const pair = auditKey(key, record.node)
      const entry = record.entries.get(key)
      const before = this.#changes.get(pair)
      if (entry === undefined) this.#changes.delete(pair)
      else if (before?.state !== entry.state || entry.done > before.done) {
        this.#changes.set(pair, { state: entry.state, done: entry.done, atMs: nowMs })
      }
    }
    return 'accepted'
  }

  sweep(nowMs: number): NodeId[] {
    const gone = [...this.records.keys()].filter((node) => this.standing(node, nowMs) === 'gone')
    for (const node of gone) {
      this.records.delete(node)
      for (const key of KEYS) this.#changes.delete(auditKey(key, node))
    }
    return gone
  }

  standing(node: NodeId, nowMs: number): Standing {
    const record = this.records.get(node)
    if (record === undefined) return 'gone'
    const silentMs = nowMs - (record.issuedAtMs + record.ttlMs + P.clockSkewMs)
    if (silentMs <= 0) return 'live'
    if (silentMs <= P.restMs) return 'resting'
    return nowMs - record.issuedAtMs <= P.goneMs ? 'absent' : 'gone'
  }

  operator(node: NodeId): string {
    const declared = this.records.get(node)?.head.operator
    return declared === undefined || declared === '' ? node : declared
  }

  entries(key: ShardKey): { record: NodeRecord; entry: Entry; changedAtMs: number }[] {
    return [...this.records.values()].flatMap((record) => {
      const entry = record.entries.get(key)
      const changedAtMs = this.#changes.get(auditKey(key, record.node))?.atMs ?? Number.NaN
      return entry === undefined ? [] : [{ record, entry, changedAtMs }]
    })
  }

  /** Unix ms of the newest pass that counts if no failure is as new, else null (PROTOCOL 7). */
  passedAtMs(key: ShardKey, holder: NodeId): number | null {
    const entry = this.records.get(holder)?.entries.get(key)
    if (entry?.state !== 'held') return null
    const times = (outcome: AuditOutcome): number[] =>
      [...this.records.values()].flatMap((record) => {
        const audit = record.audits.get(auditKey(key, holder))
        if (record.node === holder || audit?.outcome !== outcome || audit.atMs < entry.sinceMs) return []
        if (audit.atMs > record.issuedAtMs + P.clockSkewMs) return []
        if (!this.listed.has(record.node) && record.node !== SELF) return []
        const whose = this.listed.get(record.node) ?? this.operator(record.node)
        return whose === this.operator(holder) ? [] : [audit.atMs]
      })
    const passed = Math.max(...times('pass'))
    return passed > Math.max(...times('fail')) ? passed : null
  }

  /** Whoever has a proven replica now is off probation for good. */
  note(): void {
    for (const node of this.records.keys())
      if (KEYS.some((key) => this.passedAtMs(key, node) !== null)) this.proven.add(node)
  }

  claims(node: NodeId): number {
    return [...(this.records.get(node)?.entries.values() ?? [])].filter((one) => one.state === 'claimed')
      .length
  }
}

const byNode = (a: { node: NodeId }, b: { node: NodeId }) => (a.node < b.node ? -1 : 1)

/** Who leaves or collects offers none, and what it has does not count (PROTOCOL 8, 9). */
const offersRoom = (record: NodeRecord | undefined) => (record?.head.capacity.bytesTotal ?? 0) > 0

function twinHealth(twin: Twin, key: ShardKey, nowMs: number, archivedAtMs: number | null) {
  const counted = (node: NodeId) => ['live', 'resting'].includes(twin.standing(node, nowMs))
  const replicas = twin
    .entries(key)
    .filter(({ record, entry }) => entry.state === 'held' && counted(record.node) && offersRoom(record))
    .map(({ record, entry }) => {
      const passed = twin.passedAtMs(key, record.node)
      const auditedAtMs = passed !== null && nowMs - passed <= P.auditValidMs ? passed : null
      return {
        node: record.node,
        operator: twin.operator(record.node),
        infohash: entry.infohash,
        standing: twin.standing(record.node, nowMs),
        audited: auditedAtMs !== null,
        auditedAtMs,
        reachable: record.head.reachable,
      }
    })
    .sort(byNode)
  const proven = replicas.filter((one) => one.audited)
  const audited = new Set(proven.map((one) => one.operator)).size
  const archived = archivedAtMs !== null && nowMs - archivedAtMs <= P.auditValidMs
  const safe = proven.some((one) => one.reachable) && (audited >= P.replicas || archived)
  return { replicas, audited, safe }
}

function compare(ledger: Ledger, twin: Twin, nowMs: number): void {
  for (const node of IDS) {
    const number = ledger.names.nodes.find(node)
    expect(ledger.standing(node, nowMs)).toBe(twin.standing(node, nowMs))
    expect(ledger.operator(node)).toBe(twin.operator(node))
    expect(number < 0 ? 0 : ledger.claims(number)).toBe(twin.claims(node))
    expect(number >= 0 && ledger.isProven(number)).toBe(twin.proven.has(node))
    expect(ledger.isLive(number, nowMs)).toBe(twin.standing(node, nowMs) === 'live')
  }
  expect(ledger.provenNodes).toBe(twin.proven.size)
  expect(ledger.size).toBe(twin.records.size)
  for (const key of KEYS) {
    const placed = twin
      .entries(key)
      .map(({ record, entry, changedAtMs }) => ({ node: record.node, entry, changedAtMs }))
    expect(ledger.placed(key).sort(byNode)).toEqual(placed.sort(byNode))
    for (const archivedAtMs of [null, nowMs]) {
      const real = health(key, { ledger, nowMs, parameters: P }, archivedAtMs)
      expect({ ...real, replicas: [...real.replicas].sort(byNode) }).toMatchObject(
        twinHealth(twin, key, nowMs, archivedAtMs),
      )
      expect(real.claims.map((one) => one.node).sort()).toEqual(
        placed
          .filter((one) => one.entry.state === 'claimed' && twin.standing(one.node, nowMs) === 'live')
          .filter((one) => offersRoom(twin.records.get(one.node)))
          .map((one) => one.node)
          .sort(),
      )
    }
  }
}

// ---------------------------------------------------------------- histories

const atMs = fc.constantFrom(1, 2, 3, 4, 5, 6, 11, 13, 60).map((n) => NOW + n)
const anyEntry: fc.Arbitrary<Entry> = fc
  .record({
    shard: fc.constantFrom(...KEYS),
    state: fc.constantFrom('held' as const, 'held' as const, 'claimed' as const),
    done: fc.constantFrom(3, 4),
    sinceMs: atMs,
  })
  .map((one) => entryOf({ ...one, done: one.state === 'held' ? 16 : one.done }))
const anyAudit: fc.Arbitrary<AuditRecord> = fc.record({
  shard: fc.constantFrom(...KEYS),
  node: fc.constantFrom(...IDS),
  outcome: fc.constantFrom('pass', 'pass', 'fail', 'offline') as fc.Arbitrary<AuditOutcome>,
  atMs,
})
type Command =
  | {
      readonly kind: 'say'
      readonly node: NodeId
      /** Against the sequence known: 1 is the next, 0 a repetition, less is old. */
      readonly step: number
      /** `issuedAtMs`, against now. */
      readonly agoMs: number
      readonly ttlMs: number
      readonly operator: string
      readonly reachable: boolean
      readonly bytesTotal: number
      readonly entries: readonly Entry[]
      readonly audits: readonly AuditRecord[]
      readonly withChange: boolean
    }
  | { readonly kind: 'wait'; readonly ms: number; readonly sweep: boolean }
  | { readonly kind: 'list'; readonly listed: readonly (readonly [NodeId, string])[] }

const say: fc.Arbitrary<Command> = fc.record({
  kind: fc.constant('say' as const),
  node: fc.constantFrom(...IDS),
  step: fc.constantFrom(1, 1, 1, 1, 5, 0, -1),
  agoMs: fc.constantFrom(0, 0, 0, 30, 100, 301, -10, -11),
  ttlMs: fc.constantFrom(20, 100, 100),
  operator: fc.constantFrom(...OPERATORS),
  reachable: fc.boolean(),
  bytesTotal: fc.constantFrom(1e12, 1e12, 1e12, 0),
  entries: fc.uniqueArray(anyEntry, { maxLength: 3, selector: (one) => one.shard }),
  audits: fc.uniqueArray(anyAudit, { maxLength: 6, selector: (one) => auditKey(one.shard, one.node) }),
  withChange: fc.boolean(),
})
const wait: fc.Arbitrary<Command> = fc.record({
  kind: fc.constant('wait' as const),
  ms: fc.constantFrom(1, 20, 40, 70, 310),
  sweep: fc.boolean(),
})
const list: fc.Arbitrary<Command> = fc.record({
  kind: fc.constant('list' as const),
  listed: fc.array(fc.tuple(fc.constantFrom(...IDS), fc.constantFrom('x', ...OPERATORS)), { maxLength: 5 }),
})
const history = fc.array(
  fc.oneof({ weight: 6, arbitrary: say }, { weight: 1, arbitrary: wait }, { weight: 1, arbitrary: list }),
  { minLength: 3, maxLength: 25, size: 'max' },
)

const ALL = new Map(IDS.map((node, index) => [node, `operator-${index}`]))

function play(commands: readonly Command[], listed = ALL): void {
  const ledger = new Ledger(shared(), P, SELF)
  const twin = new Twin()
  let nowMs = NOW
  ledger.setListed(listed)
  twin.listed = listed
  for (const command of commands) {
    if (command.kind === 'wait') {
      nowMs += command.ms
      if (command.sweep) expect(ledger.sweep(nowMs).sort()).toEqual(twin.sweep(nowMs).sort())
    } else if (command.kind === 'list') {
      twin.listed = new Map(command.listed)
      ledger.setListed(twin.listed)
    } else {
      const known = twin.records.get(command.node)
      const record = recordOf(command.node, {
        ...command,
        sequence: Math.max(1, (known?.sequence ?? 1) + command.step),
        issuedAtMs: nowMs - command.agoMs,
      })
      const change = command.withChange ? diffRecords(known ?? null, record) : null
      expect(ledger.take(record, change, nowMs)).toBe(twin.take(record, nowMs))
    }
    twin.note()
    compare(ledger, twin, nowMs)
  }
}

const [alice, bob, carol] = IDS as [NodeId, NodeId, NodeId]
const KEY = KEYS[0] as ShardKey
const said = (node: NodeId, fields: Partial<Extract<Command, { kind: 'say' }>> = {}): Command => ({
  kind: 'say',
  node,
  step: 1,
  agoMs: 0,
  ttlMs: 100,
  operator: '',
  reachable: true,
  bytesTotal: 1e12,
  entries: [],
  audits: [],
  withChange: true,
  ...fields,
})
const held = (since: number) => [entryOf({ shard: KEY, sinceMs: NOW + since })]
const audit = (outcome: AuditOutcome, at: number, node = alice) => [
  { shard: KEY, node, outcome, atMs: NOW + at },
]

describe('a ledger and its dumb twin say the same', () => {
  it.each<[story: string, commands: readonly Command[]]>([
    [
      'when an audit is heard before the entry that it speaks of',
      [said(bob, { audits: audit('pass', 2) }), said(alice, { entries: held(1) })],
    ],
    [
      'when an audit is older than the replica',
      [said(alice, { entries: held(3) }), said(bob, { audits: audit('pass', 2) })],
    ],
    [
      'when a failure comes after a pass, and before one',
      [
        said(alice, { entries: held(1) }),
        said(bob, { audits: audit('pass', 2) }),
        said(carol, { audits: audit('fail', 3) }),
        said(bob, { audits: audit('pass', 4) }),
        said(carol, { audits: audit('fail', 2) }),
      ],
    ],
    [
      'when a pass and a failure bear the same time, in both orders',
      [
        said(alice, { entries: held(1) }),
        said(bob, { audits: audit('pass', 2) }),
        said(carol, { audits: audit('fail', 2) }),
        said(bob, { audits: audit('fail', 3) }),
        said(carol, { audits: audit('pass', 3) }),
      ],
    ],
    [
      'when a replica begins anew without leaving held',
      [
        said(alice, { entries: held(1) }),
        said(bob, { audits: audit('pass', 2) }),
        said(alice, { entries: held(3) }),
        said(carol, { audits: audit('pass', 4) }),
      ],
    ],
    [
      'when a replica is said to be older than it was',
      [
        said(alice, { entries: held(3) }),
        said(bob, { audits: audit('pass', 2) }),
        said(alice, { entries: held(1) }),
      ],
    ],
    [
      'when it is said to be older after its first auditor, this very node, came with an audit too old',
      [
        said(alice, { entries: held(3) }),
        said(SELF, { audits: audit('pass', 2) }),
        said(alice, { entries: held(1) }),
      ],
    ],
    [
      'when an auditor takes its word back, or replaces it by less',
      [
        said(alice, { entries: held(1) }),
        said(bob, { audits: audit('pass', 4) }),
        said(carol, { audits: audit('pass', 2) }),
        said(bob, { audits: audit('offline', 5) }),
        said(bob, { audits: audit('fail', 5) }),
        said(bob, { audits: [] }),
      ],
    ],
    [
      'when the list of those who count changes',
      [
        said(alice, { entries: held(1) }),
        said(bob, { audits: audit('pass', 2) }),
        { kind: 'list', listed: [[carol, 'x']] },
        { kind: 'list', listed: [[bob, alice]] },
        { kind: 'list', listed: [[bob, 'x']] },
      ],
    ],
    [
      'when the holder becomes one of the auditor, and again another',
      [
        said(alice, { entries: held(1) }),
        { kind: 'list', listed: [[bob, 'one']] },
        said(bob, { audits: audit('pass', 2) }),
        said(alice, { entries: held(1), operator: 'one' }),
        said(alice, { entries: held(1), operator: 'two' }),
      ],
    ],
    [
      'when this very node, that nobody lists, changes its operator',
      [
        { kind: 'list', listed: [] },
        said(alice, { entries: held(1), operator: 'one' }),
        said(SELF, { audits: audit('pass', 2), operator: 'two' }),
        said(SELF, { audits: audit('pass', 2), operator: 'one' }),
        said(SELF, { audits: audit('pass', 2), operator: '' }),
      ],
    ],
    [
      'when an audit is dated ahead of its auditor, who then speaks again',
      [
        said(alice, { entries: held(1) }),
        said(bob, { audits: audit('fail', 40) }),
        said(carol, { audits: audit('pass', 2) }),
        { kind: 'wait', ms: 40, sweep: true },
        said(carol, { audits: audit('pass', 2) }),
        said(bob, { audits: audit('fail', 40) }),
      ],
    ],
    [
      'when the holder offers no room any more, and again',
      [
        said(alice, { entries: held(1) }),
        said(bob, { audits: audit('pass', 2) }),
        said(alice, { entries: held(1), bytesTotal: 0 }),
        said(alice, { entries: held(1) }),
      ],
    ],
    [
      'when an auditor is forgotten',
      [
        said(bob, { audits: audit('pass', 2) }),
        { kind: 'wait', ms: 290, sweep: true },
        said(alice, { entries: held(1) }),
        { kind: 'wait', ms: 20, sweep: true },
      ],
    ],
    [
      'when the place of a removed entry is used again',
      [
        said(alice, { entries: held(1) }),
        said(bob, { audits: audit('pass', 2) }),
        said(alice),
        said(carol, { entries: held(1) }),
        said(alice, { entries: held(1) }),
      ],
    ],
  ])('%s', (_story, commands) => {
    play(commands)
    play(commands.map((one) => (one.kind === 'say' ? { ...one, withChange: false } : one)))
  })

  it('whatever is said in whatever order', () => {
    fc.assert(
      fc.property(history, (commands) => play(commands)),
      { numRuns: 400 },
    )
  })
})

/** One core that knows 1,000 nodes and 3,000 shards: events, memory, and taking a catalog. */
import type { Event, Now } from '../../protocol/core/event.ts'
import { initialState } from '../../protocol/core/kept.ts'
import type { CoreState } from '../../protocol/core/state.ts'
import { step } from '../../protocol/core/step.ts'
import type { Infohash, NodeId } from '../../protocol/ids.ts'
import type { AuditRecord, Entry } from '../../protocol/manifest/entry.ts'
import { diffRecords, type NodeRecord } from '../../protocol/manifest/node-record.ts'
import { DEFAULT_PARAMETERS } from '../../protocol/parameters.ts'
import { testShard } from '../support/cores.ts'
import { recordOf, shared } from '../support/ledger-records.ts'
import { NOW } from '../support/manifests.ts'
import { type Bench, heapBytes, type Measure, timeMs } from './bench.ts'

const NODES = 1_000
const SHARDS = 3_000
const REPLICAS = 3
const EVENTS = 20_000

const digits = '123456789abcdefghij'
const letters = (n: number): string =>
  n.toString(26).replace(/./g, (c) => String.fromCharCode(97 + Number.parseInt(c, 26)))
const nodeId = (n: number): NodeId => {
  const [a, b, c] = [digits[n % 19], digits[Math.floor(n / 19) % 19], digits[Math.floor(n / 361) % 19]]
  return `12D3KooW${`${a}${b}${c}`.repeat(14)}zz` as NodeId
}
const shards = Array.from({ length: SHARDS }, (_, i) => testShard(`w${letters(i)}wiki`))
const nodes = Array.from({ length: NODES }, (_, i) => nodeId(i))
const at = (ms: number): Now => ({ wallMs: NOW + ms, monotonicMs: ms })

/** Replica r of shard s stands at node s * 7 + r * 331; the next one audited it. */
function sayings(): { entries: Entry[]; audits: AuditRecord[] }[] {
  const all = nodes.map(() => ({ entries: [] as Entry[], audits: [] as AuditRecord[] }))
  for (const [s, shard] of shards.entries()) {
    for (let r = 0; r < REPLICAS; r++) {
      const holder = (s * 7 + r * 331) % NODES
      const auditor = (s * 7 + ((r + 1) % REPLICAS) * 331) % NODES
      const infohash = shard.digest.slice(0, 40) as Infohash
      all[holder]?.entries.push({
        shard: shard.key,
        state: 'held',
        infohash,
        done: 16,
        sinceMs: NOW - 2_000,
        promisedUntilMs: 0,
      })
      const node = nodes[holder] as NodeId
      all[auditor]?.audits.push({ shard: shard.key, node, outcome: 'pass', atMs: NOW - 1_000 })
    }
  }
  return all
}

function newCore(common: ReturnType<typeof shared>): CoreState {
  return initialState(
    {
      ...common,
      self: nodeId(NODES),
      schedule: [{ activatesAtMs: 0, values: DEFAULT_PARAMETERS }],
      settings: {
        role: 'volunteer',
        agent: 'bench',
        operator: 'bench',
        languages: [],
        projects: [],
        bytesTotal: 1e12,
        claimsMax: 8,
        fetchesMax: 4,
        originFallback: true,
      },
    },
    null,
    at(0),
  )
}

const catalogs = (): Event => ({
  kind: 'catalogs',
  shards,
  listed: new Map(nodes.map((node, i) => [node, `operator-${i}`])),
  archived: new Map(),
  readAtMs: at(0).wallMs,
})

function run(): Measure[] {
  const out: Measure[] = []
  const add = (what: string, value: number, unit: string) => out.push({ what, value, unit })
  const common = shared()
  const all = sayings()
  const records = nodes.map((node, i) => recordOf(node, { operator: `operator-${i}`, ...all[i] }))
  const empty = nodes.map((node, i) => recordOf(node, { operator: `operator-${i}` }))

  const fresh = newCore(common)
  step(fresh, { kind: 'connections', count: 1 }, at(0))
  for (const record of empty) step(fresh, { kind: 'record', record, change: null }, at(0))
  const first = timeMs(() => {
    step(fresh, catalogs(), at(1))
    step(fresh, { kind: 'tick' }, at(1))
  })
  add(`catalog of ${SHARDS} shards that nobody holds, ${NODES} nodes known: taken and planned`, first, 'ms')

  const state = newCore(common)
  step(state, { kind: 'connections', count: 1 }, at(0))
  step(state, catalogs(), at(0))
  const joinMs = timeMs(() => {
    for (const record of records) step(state, { kind: 'record', record, change: null }, at(0))
    step(state, { kind: 'tick' }, at(0))
  })
  add(
    `${NODES} records with ${SHARDS * REPLICAS} replicas and as many audits: heard and planned`,
    joinMs,
    'ms',
  )
  const again = timeMs(() => {
    step(state, catalogs(), at(1))
    step(state, { kind: 'tick' }, at(1))
  })
  add('the same catalog again, ranks remembered', again, 'ms')

  const beats = beatsOf(records, false)
  const beatMs = timeMs(() => play(state, beats, 100))
  add('heartbeats, a tick every 100', (EVENTS / beatMs) * 1_000, 'per second')
  const changes = beatsOf(
    beats.slice(-NODES).map((beat) => beat.record),
    true,
  )
  const changeMs = timeMs(() => play(state, changes, 1))
  add('changes of one entry, a tick after each', (EVENTS / changeMs) * 1_000, 'per second')

  const { sizeBytes } = state.ledger.slots
  add('ledger memory a replica, in the arrays', sizeBytes / (SHARDS * REPLICAS), 'bytes')
  const before = heapBytes()
  const cores = Array.from({ length: 10 }, () => {
    const core = newCore(common)
    step(core, catalogs(), at(0))
    for (const record of records) step(core, { kind: 'record', record, change: null }, at(0))
    step(core, { kind: 'tick' }, at(0))
    return core
  })
  add(
    'memory of one more core that knows all that, records shared',
    (heapBytes() - before) / cores.length,
    'bytes',
  )
  return out
}

interface Beat {
  readonly record: NodeRecord
  readonly change: ReturnType<typeof diffRecords>
}

/** Each node in turn: its words as before, or its first replica lost or found. Made before the clock runs. */
function beatsOf(records: readonly NodeRecord[], changing: boolean): Beat[] {
  const last = [...records]
  return Array.from({ length: EVENTS }, (_, i) => {
    const before = last[i % last.length] as NodeRecord
    const record = changing ? turned(before) : { ...before, sequence: before.sequence + 1 }
    last[i % last.length] = record
    return { record, change: diffRecords(before, record) }
  })
}

function turned(before: NodeRecord): NodeRecord {
  const [first, ...rest] = [...before.entries.values()]
  const entries = first === undefined ? [] : [{ ...first, state: OTHER[first.state] }, ...rest]
  const { operator } = before.head
  const audits = [...before.audits.values()]
  const after = recordOf(before.node, { sequence: before.sequence + 1, operator, entries, audits })
  return { ...after, head: before.head }
}
const OTHER = { held: 'claimed', claimed: 'held' } as const

function play(state: CoreState, beats: readonly Beat[], tickEvery: number): void {
  for (const [i, { record, change }] of beats.entries()) {
    step(state, { kind: 'record', record, change }, at(2))
    if (i % tickEvery === 0) step(state, { kind: 'tick' }, at(2))
  }
}

export const bench: Bench = { group: 'core', run }

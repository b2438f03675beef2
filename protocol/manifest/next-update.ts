/** The writer's side of PROTOCOL 4: from what was said last and what is to be said now to the next update. */
import { equalBytes } from '../codec/bytes.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import { NODE_UPDATE_BYTES_MAX } from '../limits.ts'
import {
  type AuditRecord,
  auditKey,
  type Entry,
  type Refutation,
  refutationKey,
  sameAudit,
  sameEntry,
} from './entry.ts'
import { encodeHead, type NodeHead } from './node-head.ts'
import { changeState, type NodeState, type RecordChange } from './node-record.ts'
import type { NodeUpdate } from './node-update.ts'

/** All that a node wants to say; each shard, pair and refutation once. */
export interface Statement {
  readonly node: NodeId
  readonly sequence: number
  readonly issuedAtMs: number
  readonly ttlMs: number
  readonly head: NodeHead
  readonly entries: Iterable<Entry>
  readonly refuted: Iterable<Refutation>
  readonly audits: Iterable<AuditRecord>
}

/** What the envelope, the fixed fields and the heads of lists take, generously. */
const FRAME_BYTES = 1_024
/** Everything of a row but its texts. */
const ROW_BYTES = 48
const NODE_ID_BYTES = 52

/**
 * The update that takes those who know `previous` to the statement, and the state after it. `previous` is what this node
 * published last, null when it does not know. A change that does not fit one message is not sent: the update has only the
 * head and the digest of everything, and the others pull. Throws RangeError for more than a node may say.
 */
export function nextUpdate(
  previous: (NodeState & { readonly sequence: number }) | null,
  statement: Statement,
): { update: NodeUpdate; state: NodeState } {
  const { node, sequence, issuedAtMs, ttlMs } = statement
  if (previous !== null && sequence <= previous.sequence) throw new RangeError('a sequence grows')
  const change = changeTo(previous, statement)
  const head = change.headChanged ? statement.head : null
  const state = isEmpty(change) && previous !== null ? previous : changeState(previous, head, change)
  if (state === null) throw new RangeError('more entries or audits than a node may say')
  const said = { node, sequence, issuedAtMs, ttlMs, digest: state.digest }
  if (bytesAtMost(change, head) <= NODE_UPDATE_BYTES_MAX) {
    return { update: { ...said, prev: previous?.sequence ?? 0, head, ...rowsOf(change) }, state }
  }
  return { update: { ...said, prev: 0, head: statement.head, ...NO_ROWS }, state }
}

const NO_ROWS = { set: [], unset: [], refute: [], unrefute: [], audits: [], unaudit: [] } as const

function rowsOf({ set, unset, refute, unrefute, audits, unaudit }: RecordChange) {
  return { set, unset, refute, unrefute, audits, unaudit }
}

function isEmpty(change: RecordChange): boolean {
  return !change.headChanged && Object.values(rowsOf(change)).every((rows) => rows.length === 0)
}

function changeTo(previous: NodeState | null, statement: Statement): RecordChange {
  const entries = compare<ShardKey, Entry>(
    previous?.entries ?? new Map(),
    statement.entries,
    (entry) => entry.shard,
    sameEntry,
  )
  const audits = compare<string, AuditRecord>(
    previous?.audits ?? new Map(),
    statement.audits,
    (audit) => auditKey(audit.shard, audit.node),
    sameAudit,
  )
  const refuted = compare<string, Refutation>(
    flat(previous?.refuted ?? new Map()),
    statement.refuted,
    refutationKey,
    () => true,
  )
  return {
    set: entries.news,
    unset: entries.gone.map((entry) => entry.shard),
    refute: refuted.news,
    unrefute: refuted.gone,
    audits: audits.news,
    unaudit: audits.gone.map(({ shard, node }) => ({ shard, node })),
    headChanged: previous === null || !sameHead(previous.head, statement.head),
  }
}

function compare<K, V>(
  before: ReadonlyMap<K, V>,
  wanted: Iterable<V>,
  key: (value: V) => K,
  same: (a: V, b: V) => boolean,
): { news: V[]; gone: V[] } {
  const news = new Map<K, V>()
  const seen = new Set<K>()
  for (const value of wanted) {
    const at = key(value)
    const known = before.get(at)
    seen.add(at)
    if (known === undefined || !same(known, value)) news.set(at, value)
  }
  const gone: V[] = []
  for (const [at, value] of before) if (!seen.has(at)) gone.push(value)
  return { news: [...news.values()], gone }
}

function flat(refuted: NodeState['refuted']): Map<string, Refutation> {
  const out = new Map<string, Refutation>()
  for (const [shard, infohashes] of refuted) {
    for (const infohash of infohashes) out.set(refutationKey({ shard, infohash }), { shard, infohash })
  }
  return out
}

function sameHead(a: NodeHead, b: NodeHead): boolean {
  return a === b || equalBytes(encodeHead(a), encodeHead(b))
}

/** An upper bound, since a guess that is too high only makes others pull. */
function bytesAtMost(change: RecordChange, head: NodeHead | null): number {
  let size = FRAME_BYTES + (head === null ? 0 : encodeHead(head).length)
  for (const { shard } of change.set) size += shard.length + ROW_BYTES
  for (const shard of change.unset) size += shard.length + ROW_BYTES
  for (const { shard } of change.refute) size += shard.length + ROW_BYTES
  for (const { shard } of change.unrefute) size += shard.length + ROW_BYTES
  for (const { shard } of change.audits) size += shard.length + NODE_ID_BYTES + ROW_BYTES
  for (const { shard } of change.unaudit) size += shard.length + NODE_ID_BYTES + ROW_BYTES
  return size
}

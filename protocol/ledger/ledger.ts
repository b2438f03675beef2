// Longer than 300 lines: the arrays and the rules that keep them true to each other stand together.
/**
 * The union of what all nodes say (PROTOCOL 4): highest sequence per node wins, so it is a conflict-free replicated type by
 * construction. Records are immutable and may be shared; what this ledger adds, in typed arrays, is who has which shard. Holds
 * no clock: whoever asks says what time it is.
 */
import type { NodeId, ShardKey } from '../ids.ts'
import { LEDGER_NODES_MAX } from '../limits.ts'
import { type AuditRecord, auditKey, type Entry } from '../manifest/entry.ts'
import type { NodeRecord, RecordChange } from '../manifest/node-record.ts'
import type { Parameters } from '../parameters.ts'
import { tickets } from '../placement/rank.ts'
import type { RankCache } from '../placement/rank-cache.ts'
import type { Names } from './names.ts'
import { Slots } from './slots.ts'

/** What became of a record that was offered. Only `accepted` changes anything; none of the others costs score. */
export type Acceptance = 'accepted' | 'old' | 'repeated' | 'future' | 'expired' | 'full'

/** live: heard within its ttl. resting: silent, but for less than restMs. gone: forgotten after goneMs. */
export type Standing = 'live' | 'resting' | 'absent' | 'gone'
const LIVE = 3
const RESTING = 2
const ABSENT = 1
const STANDINGS: readonly Standing[] = ['gone', 'absent', 'resting', 'live']

/** A node's claimed or held entry, with what this node saw of its growth. */
export interface Placed {
  readonly node: NodeId
  readonly entry: Entry
  /** Wall clock of the observer when `done` or the state last changed. */
  readonly changedAtMs: number
}

/** An audit of one replica as one auditor reported it. */
export interface Reported {
  readonly auditor: NodeId
  readonly audit: AuditRecord
}

export class Ledger {
  readonly names: Names
  readonly ranks: RankCache
  readonly slots = new Slots()
  readonly #parameters: Parameters
  readonly #self: number
  readonly #records: (NodeRecord | undefined)[] = []
  /** By node number. */
  #silentAfterMs = new Float64Array(16)
  #operator = new Int32Array(16)
  #freeBytes = new Float64Array(16)
  #reachable = new Uint8Array(16)
  /** Claims of a node; and 1 once a replica of it was proven. */
  #claims = new Int32Array(16)
  #proven = new Uint8Array(16)
  #class = new Uint8Array(16)
  /** Operator number of listed auditors + 1, else 0. */
  #listed = new Int32Array(16)
  #count = 0
  /** Nodes that had a replica proven, ever. */
  provenNodes = 0
  readonly #touched = new Set<number>()

  constructor(shared: { names: Names; ranks: RankCache }, parameters: Parameters, self: NodeId) {
    this.names = shared.names
    this.ranks = shared.ranks
    this.#parameters = parameters
    this.#self = shared.names.nodes.number(self)
  }

  /** Number of known nodes. */
  get size(): number {
    return this.#count
  }

  /**
   * Takes a record if it is newer than what is known of its node and believable now (PROTOCOL 4). `change` is what differs from
   * the record that was known; null = compare here.
   */
  take(record: NodeRecord, change: RecordChange | null, nowMs: number): Acceptance {
    const { clockSkewMs, goneMs } = this.#parameters
    if (record.issuedAtMs > nowMs + clockSkewMs) return 'future'
    if (record.issuedAtMs < nowMs - goneMs) return 'expired'
    const node = this.names.nodes.number(record.node)
    if (node < 0) return 'full'
    const known = this.#records[node]
    if (known !== undefined && record.sequence < known.sequence) return 'old'
    if (known !== undefined && record.sequence === known.sequence) return 'repeated'
    if (known === undefined) {
      if (this.#count >= LEDGER_NODES_MAX) return 'full'
      this.#count++
      this.#growNodes(node)
    }
    this.#records[node] = record
    this.#silentAfterMs[node] = record.issuedAtMs + record.ttlMs + clockSkewMs
    if (known === undefined || known.head !== record.head) this.#takeHead(node, record)
    this.#reclassify(node, nowMs)
    this.#takeEntries(node, record, known, change, nowMs)
    return 'accepted'
  }

  /** Looks for nodes that fell silent, rest too long or are gone since the last look; their shards are touched. */
  sweep(nowMs: number): NodeId[] {
    const gone: NodeId[] = []
    for (let node = 0; node < this.#records.length; node++) {
      const record = this.#records[node]
      if (record === undefined) continue
      // The common case first: it is live and was.
      if (nowMs <= (this.#silentAfterMs[node] as number) && this.#class[node] === LIVE) continue
      if (this.#reclassify(node, nowMs) !== 0) continue
      for (const key of record.entries.keys()) {
        this.#drop(key, node)
      }
      this.#records[node] = undefined
      this.#count--
      gone.push(record.node)
    }
    return gone
  }

  /** Who is listed: their audits count for `safe` (PROTOCOL 7). Proofs are judged anew. */
  setListed(listed: ReadonlyMap<NodeId, string>): void {
    this.#listed.fill(0)
    for (const [id, operator] of listed) {
      const node = this.names.nodes.number(id)
      const number = this.names.operators.number(operator)
      if (node < 0 || number < 0) continue
      this.#growNodes(node)
      this.#listed[node] = number + 1
    }
    for (let node = 0; node < this.#records.length; node++) {
      const record = this.#records[node]
      if (record !== undefined)
        for (const key of record.entries.keys()) this.#judge(this.names.shards.find(key), node)
    }
  }

  /** Shard numbers whose placement, proofs or holders' standing changed since the last call. */
  drainTouched(): number[] {
    const touched = [...this.#touched]
    this.#touched.clear()
    return touched
  }

  /** The same, without taking note of it. */
  touched(): IterableIterator<number> {
    return this.#touched.values()
  }

  get hasTouched(): boolean {
    return this.#touched.size > 0
  }

  touch(shard: number): void {
    this.#touched.add(shard)
  }

  // ------------------------------------------------------------- by number, for the rules

  record(node: number): NodeRecord | undefined {
    return this.#records[node]
  }

  isLive(node: number, nowMs: number): boolean {
    return this.#records[node] !== undefined && nowMs <= (this.#silentAfterMs[node] as number)
  }

  isLiveOrResting(node: number, nowMs: number): boolean {
    return (
      this.#records[node] !== undefined &&
      nowMs <= (this.#silentAfterMs[node] as number) + this.#parameters.restMs
    )
  }

  /** It offers no room at all: what it holds is a source, but no replica to count on (PROTOCOL 8). */
  isLeaving(node: number): boolean {
    return this.#records[node]?.head.capacity.bytesTotal === 0
  }

  isReachable(node: number): boolean {
    return this.#reachable[node] === 1
  }

  /** Bytes that it says it may still fill. */
  freeBytes(node: number): number {
    return this.#freeBytes[node] ?? 0
  }

  /** A replica of it was proven by an audit that counts: it is off probation (PROTOCOL 5). */
  isProven(node: number): boolean {
    return this.#proven[node] === 1
  }

  /** Shards that it claims now. */
  claims(node: number): number {
    return this.#claims[node] ?? 0
  }

  operatorNumber(node: number): number {
    return this.#operator[node] ?? -1
  }

  /** Does this auditor's word about that node count? (PROTOCOL 7) */
  counts(auditor: number, node: number): boolean {
    if (auditor === node) return false
    const listed = this.#listed[auditor] ?? 0
    if (listed === 0 && auditor !== this.#self) return false
    return (listed === 0 ? this.operatorNumber(auditor) : listed - 1) !== this.operatorNumber(node)
  }

  /**
   * When the replica in this slot was last proven by an audit that counts and is not too old, else null. A pass counts by a
   * listed operator other than the holder's, or one's own, since the replica stands, with no failure after it.
   */
  provenAtMs(slot: number, nowMs: number): number | null {
    const proof = this.slots.proof(slot)
    return proof > 0 && nowMs - proof <= this.#parameters.auditValidMs ? proof : null
  }

  // ------------------------------------------------------------- by name, for status and tests

  knows(node: NodeId): NodeRecord | undefined {
    return this.#records[this.names.nodes.find(node)]
  }

  *nodes(): IterableIterator<NodeRecord> {
    for (const record of this.#records) if (record !== undefined) yield record
  }

  /** Who runs it: the declared operator, else the node itself (PROTOCOL 0). */
  operator(node: NodeId): string {
    const declared = this.knows(node)?.head.operator
    return declared === undefined || declared === '' ? node : declared
  }

  /** Live iff issuedAt lies within [now - ttl - skew, now + skew] (PROTOCOL 4). */
  standing(node: NodeId, nowMs: number): Standing {
    const number = this.names.nodes.find(node)
    return this.#records[number] === undefined
      ? 'gone'
      : (STANDINGS[this.#classAt(number, nowMs)] as Standing)
  }

  /** Claimed and held entries of all known nodes for a shard. */
  placed(shard: ShardKey): Placed[] {
    const placed: Placed[] = []
    const number = this.names.shards.find(shard)
    if (number < 0) return placed
    for (let slot = this.slots.first(number); slot >= 0; slot = this.slots.next(slot)) {
      const record = this.#records[this.slots.node(slot)]
      const entry = record?.entries.get(shard)
      if (record !== undefined && entry !== undefined) {
        placed.push({ node: record.node, entry, changedAtMs: this.slots.changedAtMs(slot) })
      }
    }
    return placed
  }

  placedBy(shard: ShardKey, node: NodeId): Placed | undefined {
    return this.placed(shard).find((one) => one.node === node)
  }

  /** The latest audit of a replica by each auditor. */
  audits(shard: ShardKey, node: NodeId): Reported[] {
    const reports: Reported[] = []
    for (const record of this.nodes()) {
      const audit = record.audits.get(auditKey(shard, node))
      if (audit !== undefined) reports.push({ auditor: record.node, audit })
    }
    return reports
  }

  // ------------------------------------------------------------- inside

  #takeHead(node: number, record: NodeRecord): void {
    const { operator, capacity, reachable } = record.head
    const isLeaving = capacity.bytesTotal === 0
    if (this.#reachable[node] !== Number(reachable) || isLeaving) this.#touchAll(record)
    this.#reachable[node] = Number(reachable)
    this.#operator[node] = this.names.operators.number(operator === '' ? record.node : operator)
    this.#freeBytes[node] = Math.max(0, capacity.bytesTotal - capacity.bytesUsed)
    this.ranks.setTickets(node, tickets(capacity.bytesTotal))
  }

  #takeEntries(
    node: number,
    record: NodeRecord,
    known: NodeRecord | undefined,
    change: RecordChange | null,
    nowMs: number,
  ): void {
    if (change === null) {
      for (const key of known?.entries.keys() ?? []) if (!record.entries.has(key)) this.#drop(key, node)
      for (const entry of record.entries.values()) this.#place(entry, node, nowMs)
      for (const audit of record.audits.values()) this.#hearAudit(audit, node)
      return
    }
    for (const key of change.unset) this.#drop(key, node)
    for (const entry of change.set) this.#place(entry, node, nowMs)
    for (const audit of change.audits) this.#hearAudit(audit, node)
  }

  #place(entry: Entry, node: number, nowMs: number): void {
    const shard = this.names.shards.number(entry.shard)
    if (shard < 0) return
    const before = this.slots.find(shard, node)
    const wasHeld = before >= 0 && this.slots.isHeld(before)
    const isHeld = entry.state === 'held'
    this.slots.put(shard, node, isHeld, entry.done, nowMs)
    const wasClaim = before >= 0 && !wasHeld ? 1 : 0
    this.#claims[node] = (this.#claims[node] as number) + (isHeld ? 0 : 1) - wasClaim
    if (isHeld) this.#judge(shard, node)
    if (before < 0 || wasHeld !== isHeld) this.#touched.add(shard)
  }

  #drop(key: ShardKey, node: number): void {
    const shard = this.names.shards.find(key)
    if (shard < 0) return
    this.#removeSlot(shard, node)
  }

  #removeSlot(shard: number, node: number): void {
    const slot = this.slots.find(shard, node)
    if (slot < 0) return
    if (!this.slots.isHeld(slot)) this.#claims[node] = (this.#claims[node] as number) - 1
    this.slots.remove(shard, node)
    this.#touched.add(shard)
  }

  #hearAudit(audit: AuditRecord, auditor: number): void {
    const node = this.names.nodes.find(audit.node)
    const shard = this.names.shards.find(audit.shard)
    if (node < 0 || shard < 0 || !this.counts(auditor, node)) return
    const slot = this.slots.find(shard, node)
    const sinceMs = this.#records[node]?.entries.get(audit.shard)?.sinceMs
    if (slot < 0 || sinceMs === undefined || audit.atMs < sinceMs) return
    const proof = this.slots.proof(slot)
    if (audit.atMs <= Math.abs(proof)) return
    if (audit.outcome === 'pass') {
      this.slots.setProof(slot, audit.atMs)
      if (this.#proven[node] !== 1) this.provenNodes++
      this.#proven[node] = 1
    } else if (audit.outcome === 'fail') this.slots.setProof(slot, -audit.atMs)
    else return
    this.#touched.add(shard)
  }

  /** Looks at all audits of one replica again: it is new, or the list of those who count changed. */
  #judge(shard: number, node: number): void {
    const record = this.#records[node]
    const slot = shard < 0 ? -1 : this.slots.find(shard, node)
    if (record === undefined || slot < 0 || this.slots.proof(slot) !== 0) return
    const key = this.names.shards.key(shard)
    const pair = auditKey(key, record.node)
    for (let auditor = 0; auditor < this.#records.length; auditor++) {
      const audit = this.#records[auditor]?.audits.get(pair)
      if (audit !== undefined) this.#hearAudit(audit, auditor)
    }
  }

  #classAt(node: number, nowMs: number): number {
    const silentAfterMs = this.#silentAfterMs[node] as number
    if (nowMs <= silentAfterMs) return LIVE
    if (nowMs <= silentAfterMs + this.#parameters.restMs) return RESTING
    const issuedAtMs = this.#records[node]?.issuedAtMs ?? 0
    return nowMs - issuedAtMs <= this.#parameters.goneMs ? ABSENT : 0
  }

  /** Its class now; when it changed, its shards are touched. */
  #reclassify(node: number, nowMs: number): number {
    const now = this.#classAt(node, nowMs)
    if (this.#class[node] === now) return now
    this.#class[node] = now
    const record = this.#records[node]
    if (record !== undefined) this.#touchAll(record)
    return now
  }

  #touchAll(record: NodeRecord): void {
    for (const key of record.entries.keys()) {
      const shard = this.names.shards.find(key)
      if (shard >= 0) this.#touched.add(shard)
    }
  }

  #growNodes(node: number): void {
    if (node < this.#silentAfterMs.length) return
    const length = Math.max(node + 1, this.#silentAfterMs.length * 2)
    const grow = <A extends Float64Array | Int32Array | Uint8Array>(from: A, to: A): A => {
      to.set(from)
      return to
    }
    this.#silentAfterMs = grow(this.#silentAfterMs, new Float64Array(length))
    this.#operator = grow(this.#operator, new Int32Array(length))
    this.#freeBytes = grow(this.#freeBytes, new Float64Array(length))
    this.#reachable = grow(this.#reachable, new Uint8Array(length))
    this.#claims = grow(this.#claims, new Int32Array(length))
    this.#proven = grow(this.#proven, new Uint8Array(length))
    this.#class = grow(this.#class, new Uint8Array(length))
    this.#listed = grow(this.#listed, new Int32Array(length))
  }
}

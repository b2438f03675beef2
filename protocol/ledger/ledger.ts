// Longer than 300 lines: the arrays and the rules that keep them true to each other stand together.
/**
 * The union of what all nodes say (PROTOCOL 4): highest sequence per node wins, so it is a conflict-free replicated type by
 * construction. Records are immutable and may be shared; what this ledger adds, in typed arrays, is who has which shard. Holds
 * no clock: whoever asks says what time it is.
 */
import { sameMap } from '../codec/same-map.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import { LEDGER_NODES_MAX } from '../limits.ts'
import { type AuditPair, type AuditRecord, auditKey, type Entry } from '../manifest/entry.ts'
import { diffRecords, type NodeRecord, type RecordChange } from '../manifest/node-record.ts'
import type { Parameters } from '../parameters.ts'
import { networkOf } from '../placement/network.ts'
import { tickets } from '../placement/rank.ts'
import type { RankCache } from '../placement/rank-cache.ts'
import { grown } from './grown.ts'
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
  #parameters: Parameters
  readonly #self: number
  readonly #records: (NodeRecord | undefined)[] = []
  /** By node number. */
  #silentAfterMs = new Float64Array(16)
  #operator = new Int32Array(16)
  /** Network number + 1, 0 when it is not known. */
  #network = new Int32Array(16)
  #freeBytes = new Float64Array(16)
  #reachable = new Uint8Array(16)
  #offersRoom = new Uint8Array(16)
  #claimsMax = new Int32Array(16)
  /** Claims of a node; and 1 once a replica of it was proven. */
  #claims = new Int32Array(16)
  #proven = new Uint8Array(16)
  #class = new Uint8Array(16)
  /** Operator number of listed auditors + 1, else 0. */
  #listed = new Int32Array(16)
  #count = 0
  #listedOperators: ReadonlyMap<NodeId, string> = new Map()
  #provenNodes = 0
  readonly #touched = new Set<number>()
  /** By shard number: 1 when nobody wants to know of what happens to it. */
  #unwatched = new Uint8Array(64)
  /** Slots whose proof must be found anew, with their shards; done before anybody reads a proof, so that a restart pays once. */
  readonly #unjudged = new Map<number, number>()
  /** Replicas (`pairOf`) that some record has an audit of which is in no slot: heard before the entry, or older than it. */
  readonly #loose = new Set<number>()
  /** Auditors that count and date an audit ahead of their own clock: heard again when they speak again. */
  readonly #early = new Set<number>()

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
    // A change against a record that is not known here would leave out the rest of it.
    const rows = known === undefined ? null : change
    this.#takeRows(node, known, rows ?? diffRecords(known ?? null, record), nowMs)
    if (this.#early.delete(node) || (known !== undefined && record.issuedAtMs < known.issuedAtMs)) {
      this.#hearAgain(record, node)
    }
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
      this.#early.delete(node)
      this.#count--
      gone.push(record.node)
      for (const audit of record.audits.values()) this.#takeBack(audit, audit, node)
    }
    return gone
  }

  /** Other federation parameters hold from now on: who is silent is reckoned anew. */
  setParameters(parameters: Parameters, nowMs: number): void {
    this.#parameters = parameters
    for (let node = 0; node < this.#records.length; node++) {
      const record = this.#records[node]
      if (record === undefined) continue
      this.#silentAfterMs[node] = record.issuedAtMs + record.ttlMs + parameters.clockSkewMs
      // Who is gone by now is taken out by the next sweep, which says so.
      this.#reclassify(node, nowMs)
    }
  }

  /** Who is listed: their audits count for `safe` (PROTOCOL 7). Proofs are judged anew when the list is another one. */
  setListed(listed: ReadonlyMap<NodeId, string>): void {
    if (sameMap(listed, this.#listedOperators)) return
    this.#settle()
    this.#listedOperators = new Map(listed)
    this.#listed.fill(0)
    for (const [id, operator] of listed) {
      const node = this.names.nodes.number(id)
      const number = this.names.operators.number(operator)
      if (node < 0 || number < 0) continue
      this.#growNodes(node)
      this.#listed[node] = number + 1
    }
    this.#judgeAllLater()
  }

  /** Up to `max` numbers of shards whose placement, proofs or holders' standing changed and that were not taken yet. */
  takeTouched(max: number): number[] {
    this.#settle()
    const touched: number[] = []
    for (const shard of this.#touched) {
      if (touched.length >= max) break
      touched.push(shard)
    }
    for (const shard of touched) this.#touched.delete(shard)
    return touched
  }

  get hasTouched(): boolean {
    return this.#touched.size > 0 || this.#unjudged.size > 0
  }

  touch(shard: number): void {
    if (this.#unwatched[shard] !== 1) this.#touched.add(shard)
  }

  /** What happens to it is of no interest until it is watched again. */
  unwatch(shard: number): void {
    if (shard >= this.#unwatched.length) {
      this.#unwatched = grown(this.#unwatched, new Uint8Array(Math.ceil((shard + 1) * 1.5)))
    }
    this.#unwatched[shard] = 1
    this.#touched.delete(shard)
  }

  watch(shard: number): void {
    if (shard < this.#unwatched.length) this.#unwatched[shard] = 0
  }

  // ------------------------------------------------------------- by number, for the rules

  record(node: number): NodeRecord | undefined {
    return this.#records[node]
  }

  isLive(node: number, nowMs: number): boolean {
    return this.#records[node] !== undefined && nowMs <= (this.#silentAfterMs[node] as number)
  }

  /** Unix ms until when it is live without saying anything more. */
  silentAfterMs(node: number): number {
    return this.#silentAfterMs[node] ?? 0
  }

  isLiveOrResting(node: number, nowMs: number): boolean {
    return (
      this.#records[node] !== undefined &&
      nowMs <= (this.#silentAfterMs[node] as number) + this.#parameters.restMs
    )
  }

  /** Who offers none, since it leaves or collects, has sources, but no replicas to count on (PROTOCOL 8, 9). */
  offersRoom(node: number): boolean {
    return this.#records[node] !== undefined && this.#offersRoom[node] === 1
  }

  isReachable(node: number): boolean {
    return this.#reachable[node] === 1
  }

  /** Bytes that it says it may still fill. */
  freeBytes(node: number): number {
    return this.#freeBytes[node] ?? 0
  }

  /** Claims under way at once that it says it allows itself. */
  claimsMax(node: number): number {
    return this.#claimsMax[node] ?? 0
  }

  /** A replica of it was proven by an audit that counts: it is off probation (PROTOCOL 5). */
  isProven(node: number): boolean {
    this.#settle()
    return this.#proven[node] === 1
  }

  /** Nodes that had a replica proven, ever. */
  get provenNodes(): number {
    this.#settle()
    return this.#provenNodes
  }

  /** Shards that it claims now. */
  claims(node: number): number {
    return this.#claims[node] ?? 0
  }

  operatorNumber(node: number): number {
    return this.#operator[node] ?? -1
  }

  /** Of the network that it declares to be in (PROTOCOL 5), -1 when it declares none. */
  networkNumber(node: number): number {
    return (this.#network[node] ?? 0) - 1
  }

  /** Its audits count for everybody who trusts the coordinator's list (PROTOCOL 7). */
  isListed(node: number): boolean {
    return (this.#listed[node] ?? 0) > 0
  }

  /** Numbers of the listed nodes that are known here. */
  *listedNodes(): IterableIterator<number> {
    for (const id of this.#listedOperators.keys()) {
      const node = this.names.nodes.find(id)
      if (node >= 0 && this.#records[node] !== undefined) yield node
    }
  }

  /** Number of the operator as whom a coordinator lists this node, -1 when none does. */
  listedOperator(node: number): number {
    return (this.#listed[node] ?? 0) - 1
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
   * listed operator other than the holder's, or one's own, since the replica stands, with no failure at that time or after it.
   */
  provenAtMs(slot: number, nowMs: number): number | null {
    this.#settle()
    const proof = this.slots.proof(slot)
    return proof > 0 && nowMs - proof <= this.#parameters.auditValidMs ? proof : null
  }

  /** > 0: unix ms of the newest pass that counts, however old; < 0: of a failure that counts; 0: neither. */
  proofOf(slot: number): number {
    this.#settle()
    return this.slots.proof(slot)
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
    const offersRoom = Number(capacity.bytesTotal > 0)
    const declared = networkOf(record.head.endpoints)
    const network = declared === null ? 0 : this.names.networks.number(declared) + 1
    const isSame =
      this.#network[node] === network &&
      this.#reachable[node] === Number(reachable) &&
      this.#offersRoom[node] === offersRoom
    if (!isSame) this.#touchAll(record)
    this.#network[node] = network
    this.#reachable[node] = Number(reachable)
    this.#offersRoom[node] = offersRoom
    const before = this.#operator[node]
    this.#operator[node] = this.names.operators.number(operator === '' ? record.node : operator)
    if (before !== this.#operator[node]) {
      // Whose word counts about whom follows the operators.
      if (node === this.#self) this.#judgeAllLater()
      else this.#judgeLater(record, node)
    }
    this.#freeBytes[node] = Math.max(0, capacity.bytesTotal - capacity.bytesUsed)
    this.#claimsMax[node] = capacity.claimsMax
    this.ranks.setTickets(node, tickets(capacity.bytesTotal))
  }

  #takeRows(node: number, known: NodeRecord | undefined, change: RecordChange, nowMs: number): void {
    for (const key of change.unset) this.#drop(key, node)
    for (const entry of change.set) this.#place(entry, node, known === undefined, nowMs)
    for (const pair of change.unaudit)
      this.#takeBack(pair, known?.audits.get(auditKey(pair.shard, pair.node)), node)
    for (const audit of change.audits) {
      this.#hearAudit(audit, node)
      this.#takeBack(audit, known?.audits.get(auditKey(audit.shard, audit.node)), node)
    }
  }

  #place(entry: Entry, node: number, isNewNode: boolean, nowMs: number): void {
    const shard = this.names.shards.number(entry.shard)
    if (shard < 0) return
    const before = this.slots.find(shard, node)
    const wasHeld = before >= 0 && this.slots.isHeld(before)
    const isHeld = entry.state === 'held'
    if (wasHeld && !isHeld) this.#forgetProof(before, shard, node)
    const slot = this.slots.put(shard, node, isHeld, entry.done, nowMs)
    const wasClaim = before >= 0 && !wasHeld ? 1 : 0
    this.#claims[node] = (this.#claims[node] as number) + (isHeld ? 0 : 1) - wasClaim
    if (isHeld) {
      const proof = this.slots.proof(slot)
      // What was said of a node before it was known is not among the loose.
      const mayHaveAudits = isNewNode || this.#loose.has(pairOf(shard, node))
      if (proof === 0 ? mayHaveAudits : Math.abs(proof) < entry.sinceMs) this.#unjudged.set(slot, shard)
    }
    if (before < 0 || wasHeld !== isHeld) this.touch(shard)
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
    this.#forgetProof(slot, shard, node)
    this.slots.remove(shard, node)
    this.touch(shard)
  }

  #hearAudit(audit: AuditRecord, auditor: number): void {
    if (!isDecisive(audit)) return
    const node = this.names.nodes.find(audit.node)
    const shard = node < 0 ? -1 : this.names.shards.number(audit.shard)
    if (shard < 0) return
    const slot = this.slots.find(shard, node)
    if (slot < 0 || !this.slots.isHeld(slot)) {
      this.#loose.add(pairOf(shard, node))
      return
    }
    if (this.#unjudged.has(slot)) return
    const proof = strongerProof(this.slots.proof(slot), this.#weight(audit, auditor, node))
    this.#setProof(slot, shard, node, proof)
    if (proof === 0) this.#loose.add(pairOf(shard, node))
  }

  /** Its clock is another: what was dated ahead of it may count now, and the other way round. */
  #hearAgain(record: NodeRecord, auditor: number): void {
    for (const audit of record.audits.values()) {
      this.#takeBack(audit, audit, auditor)
      this.#hearAudit(audit, auditor)
    }
  }

  /** An auditor no longer says this: what rested on it is judged anew. */
  #takeBack(pair: AuditPair, audit: AuditRecord | undefined, auditor: number): void {
    const node = this.names.nodes.find(pair.node)
    if (audit === undefined || node < 0 || !this.counts(auditor, node)) return
    const shard = this.names.shards.find(pair.shard)
    const slot = shard < 0 ? -1 : this.slots.find(shard, node)
    if (slot >= 0 && Math.abs(this.slots.proof(slot)) === audit.atMs) this.#unjudged.set(slot, shard)
  }

  /** As a proof: the time of a pass that counts, less than 0 for a failure; 0 when it does not count. */
  #weight(audit: AuditRecord, auditor: number, node: number): number {
    const entry = this.#records[node]?.entries.get(audit.shard)
    if (entry?.state !== 'held' || audit.atMs < entry.sinceMs) return 0
    if (!isDecisive(audit) || !this.counts(auditor, node)) return 0
    // PROTOCOL 7: nobody audits tomorrow, as its auditor's own newest word tells the time.
    if (audit.atMs > (this.#records[auditor]?.issuedAtMs ?? 0) + this.#parameters.clockSkewMs) {
      this.#early.add(auditor)
      return 0
    }
    return audit.outcome === 'pass' ? audit.atMs : -audit.atMs
  }

  #setProof(slot: number, shard: number, node: number, proof: number): void {
    const before = this.slots.proof(slot)
    if (before === proof) return
    if (proof === 0) this.#loose.add(pairOf(shard, node))
    else this.#loose.delete(pairOf(shard, node))
    this.slots.setProof(slot, proof)
    this.touch(shard)
    if (proof < 0 || proof === 0 || this.#proven[node] === 1) return
    this.#proven[node] = 1
    this.#provenNodes++
  }

  /** The audits remain in the records, and may count for the replica that comes next. */
  #forgetProof(slot: number, shard: number, node: number): void {
    if (this.slots.proof(slot) !== 0 || this.#unjudged.delete(slot)) this.#loose.add(pairOf(shard, node))
    this.#unjudged.delete(slot)
  }

  #judgeLater(record: NodeRecord, node: number): void {
    for (const key of record.entries.keys()) {
      const shard = this.names.shards.find(key)
      const slot = shard < 0 ? -1 : this.slots.find(shard, node)
      if (slot >= 0 && this.slots.isHeld(slot)) this.#unjudged.set(slot, shard)
    }
  }

  #judgeAllLater(): void {
    for (let node = 0; node < this.#records.length; node++) {
      const record = this.#records[node]
      if (record !== undefined) this.#judgeLater(record, node)
    }
  }

  /** Judges what must be: a few replicas by asking each auditor for each of them, many in one walk over all audits. */
  #settle(): void {
    if (this.#unjudged.size === 0) return
    const shards = new Map(this.#unjudged)
    this.#unjudged.clear()
    const proofs = new Map<number, number>()
    const weigh = (audit: AuditRecord, auditor: number, slot: number) => {
      if (!shards.has(slot)) return
      const weight = this.#weight(audit, auditor, this.slots.node(slot))
      proofs.set(slot, strongerProof(proofs.get(slot) ?? 0, weight))
    }
    if (shards.size <= SCANS_MAX) this.#weighEach(shards, weigh)
    else this.#weighAll(weigh)
    for (const [slot, shard] of shards) {
      const node = this.slots.node(slot)
      this.#setProof(slot, shard, node, proofs.get(slot) ?? 0)
      if (proofs.get(slot) === 0) this.#loose.add(pairOf(shard, node))
    }
  }

  #weighEach(
    shards: ReadonlyMap<number, number>,
    weigh: (audit: AuditRecord, auditor: number, slot: number) => void,
  ): void {
    for (const [slot, shard] of shards) {
      const pair = auditKey(this.names.shards.key(shard), this.names.nodes.key(this.slots.node(slot)))
      for (let auditor = 0; auditor < this.#records.length; auditor++) {
        const audit = this.#records[auditor]?.audits.get(pair)
        if (audit !== undefined) weigh(audit, auditor, slot)
      }
    }
  }

  #weighAll(weigh: (audit: AuditRecord, auditor: number, slot: number) => void): void {
    for (let auditor = 0; auditor < this.#records.length; auditor++) {
      for (const audit of this.#records[auditor]?.audits.values() ?? []) {
        const shard = this.names.shards.find(audit.shard)
        const slot = shard < 0 ? -1 : this.slots.find(shard, this.names.nodes.find(audit.node))
        if (slot >= 0) weigh(audit, auditor, slot)
      }
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
      if (shard >= 0) this.touch(shard)
    }
  }

  #growNodes(node: number): void {
    if (node < this.#silentAfterMs.length) return
    const length = Math.max(node + 1, this.#silentAfterMs.length * 2)
    this.#silentAfterMs = grown(this.#silentAfterMs, new Float64Array(length))
    this.#operator = grown(this.#operator, new Int32Array(length))
    this.#network = grown(this.#network, new Int32Array(length))
    this.#freeBytes = grown(this.#freeBytes, new Float64Array(length))
    this.#reachable = grown(this.#reachable, new Uint8Array(length))
    this.#offersRoom = grown(this.#offersRoom, new Uint8Array(length))
    this.#claims = grown(this.#claims, new Int32Array(length))
    this.#claimsMax = grown(this.#claimsMax, new Int32Array(length))
    this.#proven = grown(this.#proven, new Uint8Array(length))
    this.#class = grown(this.#class, new Uint8Array(length))
    this.#listed = grown(this.#listed, new Int32Array(length))
  }
}

/** Replicas judged at once by asking every auditor for each of them. */
const SCANS_MAX = 4

/** Names a replica: node numbers fit 16 bits, shard numbers 22. */
export const pairOf = (shard: number, node: number): number => shard * 65_536 + node

const isDecisive = (audit: AuditRecord): boolean => audit.outcome === 'pass' || audit.outcome === 'fail'

/** The newer of two; of the same time the failure. */
function strongerProof(a: number, b: number): number {
  if (Math.abs(a) === Math.abs(b)) return Math.min(a, b)
  return Math.abs(a) > Math.abs(b) ? a : b
}

/**
 * What this node knows of every node (PROTOCOL 4): the newest record of each, and updates that wait for what came before them.
 * Holds no clock and does no I/O; whoever calls says what time it is.
 */
import type { NodeId } from '../ids.ts'
import { LEDGER_NODES_MAX, RECORD_ROWS_MAX } from '../limits.ts'
import type { Parameters } from '../parameters.ts'
import { applyUpdate, recordFromBuckets } from './apply-update.ts'
import type { Bucket } from './bucket-digest.ts'
import { nextUpdate, type Statement } from './next-update.ts'
import type { NodeHead } from './node-head.ts'
import { diffRecords, type NodeRecord, type RecordChange, recordOf, rowCount } from './node-record.ts'
import { encodeNodeUpdate, type NodeUpdate } from './node-update.ts'
import { contradicts, type Opened, type TrustErrorCode, type Verified } from './trust.ts'

/** What became of an update. Only `applied` changes a record; only `refused` is the sender's fault. */
export type Heard =
  | { readonly kind: 'applied'; readonly record: NodeRecord; readonly change: RecordChange }
  /** The state before it is not known: to be pulled. Others may know it. */
  | { readonly kind: 'gap'; readonly update: Verified<NodeUpdate>; readonly sealed: Uint8Array }
  | { readonly kind: 'refused'; readonly code: TrustErrorCode | 'wrong-rows'; readonly detail: string }
  /** Its node said two things under one sequence; both sealed updates prove it. Told once for each node. */
  | {
      readonly kind: 'contradiction'
      readonly node: NodeId
      readonly proof: readonly [Uint8Array, Uint8Array]
    }
  /** Our own words from a life that we forgot, or from another who has our key. */
  | { readonly kind: 'ahead'; readonly sequence: number }
  | { readonly kind: 'old' | 'repeated' | 'future' | 'expired' | 'full' | 'too-large' }

export interface RecordBookOptions {
  readonly self: NodeId
  readonly open: (sealed: Uint8Array) => Opened<NodeUpdate>
  /** Those that hold now. */
  readonly parameters: () => Pick<Parameters, 'clockSkewMs' | 'goneMs'>
}

interface Waiting {
  readonly update: Verified<NodeUpdate>
  readonly sealed: Uint8Array
}

export class RecordBook {
  readonly #options: RecordBookOptions
  readonly #records = new Map<NodeId, NodeRecord>()
  readonly #waiting = new Map<NodeId, Waiting>()
  readonly #contradicted = new Set<NodeId>()
  readonly #pulled = new Set<NodeId>()
  #rows = 0

  constructor(options: RecordBookOptions) {
    this.#options = options
  }

  get(node: NodeId): NodeRecord | undefined {
    return this.#records.get(node)
  }

  records(): IterableIterator<NodeRecord> {
    return this.#records.values()
  }

  /** Nodes of which a newer update is here that could not be applied. */
  waiting(): IterableIterator<NodeId> {
    return this.#waiting.keys()
  }

  isWaiting(node: NodeId): boolean {
    return this.#waiting.has(node)
  }

  /** One pull at a time a node: false while another one is under way. Who got true says `endPull`. */
  startPull(node: NodeId): boolean {
    if (this.#pulled.has(node)) return false
    this.#pulled.add(node)
    return true
  }

  endPull(node: NodeId): void {
    this.#pulled.delete(node)
  }

  /** An update from the network. */
  hear(sealed: Uint8Array, nowMs: number): Heard {
    const opened = this.#options.open(sealed)
    if (!opened.ok) return { kind: 'refused', code: opened.code, detail: opened.detail }
    const update = opened.value
    const refusal = this.#refusal(update, sealed, nowMs)
    if (refusal !== null) return refusal
    const applied = applyUpdate(this.#records.get(update.node) ?? null, update, sealed)
    if (applied.ok) return this.#take(applied.record, applied.change)
    if (applied.code === 'too-large') return { kind: 'too-large' }
    const waiting = this.#waiting.get(update.node)
    if (waiting === undefined || update.sequence > waiting.update.sequence) {
      this.#waiting.set(update.node, { update, sealed })
    }
    return { kind: 'gap', update, sealed }
  }

  /** An update together with its whole state, as pulled; `buckets` are all 256. */
  complete(
    update: Verified<NodeUpdate>,
    sealed: Uint8Array,
    head: NodeHead,
    buckets: readonly Bucket[],
    nowMs: number,
  ): Heard {
    const refusal = this.#refusal(update, sealed, nowMs)
    if (refusal !== null) return refusal
    const record = recordFromBuckets(update, sealed, head, buckets)
    if (record === null) return { kind: 'refused', code: 'wrong-rows', detail: 'not what its digest names' }
    return this.#take(record, null)
  }

  /** One's own next update. Throws RangeError as nextUpdate does. */
  say(
    statement: Omit<Statement, 'node'>,
    seal: (payload: Uint8Array) => Uint8Array,
  ): { readonly record: NodeRecord; readonly change: RecordChange } {
    const { self } = this.#options
    const previous = this.#records.get(self) ?? null
    const { update, state } = nextUpdate(previous, { ...statement, node: self })
    const record = recordOf(update, state, seal(encodeNodeUpdate(update)))
    this.#replace(record)
    return { record, change: diffRecords(previous, record) }
  }

  /** A record that was kept; null when it is too old to be believed. */
  restore(record: NodeRecord, nowMs: number): RecordChange | null {
    if (this.#untimely(record, nowMs) !== null || this.#isFull(record)) return null
    const change = diffRecords(this.#records.get(record.node) ?? null, record)
    this.#replace(record)
    return change
  }

  forget(node: NodeId): void {
    const known = this.#records.get(node)
    if (known !== undefined) this.#rows -= rowCount(known)
    this.#records.delete(node)
    this.#waiting.delete(node)
    this.#contradicted.delete(node)
  }

  /** Why an update cannot be news, or null. */
  #refusal(update: Verified<NodeUpdate>, sealed: Uint8Array, nowMs: number): Heard | null {
    const { node, sequence } = update
    const untimely = this.#untimely(update, nowMs)
    if (untimely !== null) return untimely
    const known = this.#records.get(node)
    const rival = known?.sequence === sequence ? known : this.#waitingWith(node, sequence)
    if (rival !== undefined && this.#contradicts(rival.sealed, update)) {
      if (this.#contradicted.has(node)) return { kind: 'old' }
      this.#contradicted.add(node)
      return { kind: 'contradiction', node, proof: [rival.sealed, sealed] }
    }
    if (node === this.#options.self) return this.#hearOwn(sequence)
    if (known === undefined)
      return this.#waiting.size + this.#records.size >= LEDGER_NODES_MAX && !this.#waiting.has(node)
        ? { kind: 'full' }
        : null
    if (sequence === known.sequence) return { kind: 'repeated' }
    return sequence < known.sequence ? { kind: 'old' } : null
  }

  #waitingWith(node: NodeId, sequence: number): Waiting | undefined {
    if (this.#waiting.size === 0) return undefined
    const waiting = this.#waiting.get(node)
    return waiting?.update.sequence === sequence ? waiting : undefined
  }

  #untimely(update: { readonly issuedAtMs: number }, nowMs: number): Heard | null {
    const { clockSkewMs, goneMs } = this.#options.parameters()
    if (update.issuedAtMs > nowMs + clockSkewMs) return { kind: 'future' }
    return update.issuedAtMs < nowMs - goneMs ? { kind: 'expired' } : null
  }

  #contradicts(rival: Uint8Array, update: NodeUpdate): boolean {
    const opened = this.#options.open(rival)
    return opened.ok && contradicts(opened.value, update)
  }

  /** What others know of us is newer than what we know: say everything next time. */
  #hearOwn(sequence: number): Heard {
    const { self } = this.#options
    if (sequence <= (this.#records.get(self)?.sequence ?? 0)) return { kind: 'old' }
    this.forget(self)
    return { kind: 'ahead', sequence }
  }

  /** `change`: against what is known, null = compare. */
  #take(next: NodeRecord, change: RecordChange | null): Heard {
    if (this.#isFull(next)) return { kind: 'full' }
    const previous = this.#records.get(next.node) ?? null
    const record = this.#catchUp(next)
    this.#replace(record)
    const known = record === next ? change : null
    return { kind: 'applied', record, change: known ?? diffRecords(previous, record) }
  }

  /** What waited for this record may follow now. */
  #catchUp(record: NodeRecord): NodeRecord {
    const waiting = this.#waiting.size === 0 ? undefined : this.#waiting.get(record.node)
    if (waiting === undefined) return record
    if (waiting.update.sequence > record.sequence) {
      const applied = applyUpdate(record, waiting.update, waiting.sealed)
      if (!applied.ok || this.#isFull(applied.record)) return record
      this.#waiting.delete(record.node)
      return applied.record
    }
    this.#waiting.delete(record.node)
    return record
  }

  #isFull(record: NodeRecord): boolean {
    const known = this.#records.get(record.node)
    return this.#rows + rowCount(record) - (known === undefined ? 0 : rowCount(known)) > RECORD_ROWS_MAX
  }

  #replace(record: NodeRecord): void {
    const known = this.#records.get(record.node)
    this.#rows += rowCount(record) - (known === undefined ? 0 : rowCount(known))
    this.#records.set(record.node, record)
  }
}

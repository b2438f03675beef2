/**
 * Documents by their sha256 (PROTOCOL 1): catalogs, lists of what is archived, runs that were observed. Something signed names
 * them; they themselves come from anybody, in slices, and are checked before anything is read of them.
 *
 * Request `{sha256, offset}` -> a slice of that document, empty when it is not known. Other requests of the protocol `catalog`
 * are answered by whoever registered for their field.
 */
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { integer, record, text } from '../../protocol/codec/shape.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { CATALOG_BYTES_MAX, STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import type { Log, Network, Store } from '../ports.ts'
import { keyOf } from '../store/keyspace.ts'

const REQUEST_TIMEOUT_MS = 15_000
/** A document that peers pull is kept at hand for so long after the last slice: one has megabytes, and hundreds of slices. */
const AT_HAND_MS = 60_000
const SLICE_BYTES = STREAM_MESSAGE_BYTES_MAX - 8_192

/** What is signed of a document. */
export interface Reference {
  /** Hex. */
  readonly sha256: string
  readonly sizeBytes: number
}

/** Requests that name no document. */
export type Field = 'index' | 'observations'

/** Who deals with some of the documents. */
export interface Keeper {
  /** Answers a request that has its field. */
  answer(value: unknown): Uint8Array
  /** By sha256: what must not be removed. */
  kept(): Iterable<string>
  /** What it stores itself. */
  find?(sha256: string): Uint8Array | undefined
}

export class Documents {
  readonly #network: Network
  readonly #store: Store
  readonly #log: Log
  /** sha256 of those that are stored, as far as this process wrote or read them. */
  readonly #stored = new Set<string>()
  /** By sha256: what peers pull now. */
  readonly #atHand = new Map<string, { raw: Promise<Uint8Array | null>; forget: NodeJS.Timeout }>()
  readonly #keepers = new Map<Field, Keeper>()

  constructor({ network, store, log }: { network: Network; store: Store; log: Log }) {
    this.#network = network
    this.#store = store
    this.#log = log
    network.handle('catalog', async (request) => this.#answer(request))
  }

  register(field: Field, keeper: Keeper): void {
    this.#keepers.set(field, keeper)
  }

  /** From disk; null when it is not here. */
  async get(sha256: string): Promise<Uint8Array | null> {
    const raw = await this.#store.get(keyOf('catalogs', sha256))
    if (raw !== null) this.#stored.add(sha256)
    return raw
  }

  /** The caller knows that the bytes have this sha256. */
  async keep(sha256: string, raw: Uint8Array): Promise<void> {
    await this.#store.batch([{ type: 'put', key: keyOf('catalogs', sha256), value: raw }])
    this.#stored.add(sha256)
  }

  /** What nobody needs any more makes room. */
  async prune(): Promise<void> {
    const kept = new Set([...this.#keepers.values()].flatMap((keeper) => [...keeper.kept()]))
    const stale = [...this.#stored].filter((sha256) => !kept.has(sha256))
    for (const sha256 of stale) this.#stored.delete(sha256)
    await this.#store.batch(stale.map((sha256) => ({ type: 'del', key: keyOf('catalogs', sha256) })))
  }

  /**
   * Asks one peer after the other, who told of it first. `open` checks the bytes against what was signed and throws when they are
   * others. Null when nobody had it; else it is kept.
   */
  async pull<T>(
    reference: Reference,
    teller: NodeId | null,
    open: (raw: Uint8Array) => T,
  ): Promise<T | null> {
    const peers = this.#network.peers().map((peer) => peer.nodeId)
    const first = teller === null ? [] : [teller]
    for (const peer of [...first, ...peers.filter((node) => node !== teller)]) {
      try {
        const raw = await this.#pullFrom(peer, reference)
        const opened = open(raw)
        await this.keep(reference.sha256, raw)
        return opened
      } catch (error) {
        const { sha256 } = reference
        this.#log.info({ peer, sha256, error: String(error) }, 'this peer could not give a document')
      }
    }
    return null
  }

  ask(peer: NodeId, request: object): Promise<Uint8Array> {
    return this.#network.request(peer, 'catalog', encodeCbor(request), { timeoutMs: REQUEST_TIMEOUT_MS })
  }

  async #pullFrom(peer: NodeId, { sha256, sizeBytes }: Reference): Promise<Uint8Array> {
    const whole = new Uint8Array(sizeBytes)
    for (let offset = 0; offset < whole.length; ) {
      const slice = await this.ask(peer, { sha256, offset })
      if (slice.length === 0 || offset + slice.length > whole.length) throw new Error('it ended early')
      whole.set(slice, offset)
      offset += slice.length
    }
    return whole
  }

  async #answer(request: Uint8Array): Promise<Uint8Array> {
    const fields = record(decodeCbor(request, 'request', 4_096), 'request', [
      'index',
      'observations',
      'sha256',
      'offset',
    ])
    for (const [field, keeper] of this.#keepers)
      if (fields[field] !== undefined) return keeper.answer(fields[field])
    const offset = integer(fields.offset, 'request.offset', 0, CATALOG_BYTES_MAX)
    const raw = await this.#find(text(fields.sha256, 'request.sha256', 64))
    return raw?.subarray(offset, offset + SLICE_BYTES) ?? new Uint8Array()
  }

  async #find(sha256: string): Promise<Uint8Array | null> {
    if (this.#stored.has(sha256)) return this.#take(sha256)
    for (const keeper of this.#keepers.values()) {
      const found = keeper.find?.(sha256)
      if (found !== undefined) return found
    }
    return null
  }

  #take(sha256: string): Promise<Uint8Array | null> {
    const known = this.#atHand.get(sha256)
    known?.forget.refresh()
    if (known !== undefined) return known.raw
    const raw = this.#store.get(keyOf('catalogs', sha256))
    const forget = setTimeout(() => this.#atHand.delete(sha256), AT_HAND_MS).unref()
    this.#atHand.set(sha256, { raw, forget })
    // What the disk refused once is asked of it again.
    raw.catch(() => this.#atHand.delete(sha256))
    return raw
  }
}

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
const SLICE_BYTES = STREAM_MESSAGE_BYTES_MAX - 8_192

/** What is signed of a document. */
export interface Reference {
  /** Hex. */
  readonly sha256: string
  readonly sizeBytes: number
}

/** Requests that name no document. */
export type Field = 'index' | 'observations'

export class Documents {
  readonly #network: Network
  readonly #store: Store
  readonly #log: Log
  /** By sha256. */
  readonly #raw = new Map<string, Uint8Array>()
  readonly #answers = new Map<Field, (value: unknown) => Uint8Array>()
  readonly #keepers: (() => Iterable<string>)[] = []

  constructor({ network, store, log }: { network: Network; store: Store; log: Log }) {
    this.#network = network
    this.#store = store
    this.#log = log
    network.handle('catalog', async (request) => this.#answer(request))
  }

  /** Answers requests that have this field; says by sha256 what must not be removed. */
  register(field: Field, answer: (value: unknown) => Uint8Array, keeps: () => Iterable<string>): void {
    this.#answers.set(field, answer)
    this.#keepers.push(keeps)
  }

  /** From memory or disk; null when it is not here. */
  async get(sha256: string): Promise<Uint8Array | null> {
    const known = this.#raw.get(sha256)
    if (known !== undefined) return known
    const raw = await this.#store.get(keyOf('catalogs', sha256))
    if (raw !== null) this.#raw.set(sha256, raw)
    return raw
  }

  /** The caller knows that the bytes have this sha256. */
  async keep(sha256: string, raw: Uint8Array): Promise<void> {
    this.#raw.set(sha256, raw)
    await this.#store.batch([{ type: 'put', key: keyOf('catalogs', sha256), value: raw }])
  }

  /** What nobody needs any more makes room. */
  async prune(): Promise<void> {
    const kept = new Set(this.#keepers.flatMap((keeps) => [...keeps()]))
    const stale = [...this.#raw.keys()].filter((sha256) => !kept.has(sha256))
    for (const sha256 of stale) this.#raw.delete(sha256)
    await this.#store.batch(stale.map((sha256) => ({ type: 'del', key: keyOf('catalogs', sha256) })))
  }

  /**
   * Asks one peer after the other, the teller first. `open` checks the bytes against what was signed and throws when they are
   * others. Null when nobody had it; else it is kept.
   */
  async pull<T>(reference: Reference, teller: NodeId, open: (raw: Uint8Array) => T): Promise<T | null> {
    const others = this.#network.peers().map((peer) => peer.nodeId)
    for (const peer of [teller, ...others.filter((node) => node !== teller)]) {
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

  #answer(request: Uint8Array): Uint8Array {
    const fields = record(decodeCbor(request, 'request', 4_096), 'request', [
      'index',
      'observations',
      'sha256',
      'offset',
    ])
    for (const [field, answer] of this.#answers) if (fields[field] !== undefined) return answer(fields[field])
    const raw = this.#raw.get(text(fields.sha256, 'request.sha256', 64)) ?? new Uint8Array()
    const offset = integer(fields.offset, 'request.offset', 0, CATALOG_BYTES_MAX)
    return raw.subarray(offset, offset + SLICE_BYTES)
  }
}

/**
 * Catalogs on the wire (PROTOCOL 1): a coordinator's signed index is gossiped; the catalogs that it names by sha256 are pulled
 * from anybody, in slices, and handed on.
 *
 * Request `{index: true}` -> sealed indexes; request `{sha256, offset}` -> a slice of that catalog, empty when unknown.
 */
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { bytes, integer, list, record, text } from '../../protocol/codec/shape.ts'
import type { NodeId } from '../../protocol/ids.ts'
import {
  CATALOG_BYTES_MAX,
  CATALOG_INDEX_BYTES_MAX,
  STREAM_MESSAGE_BYTES_MAX,
} from '../../protocol/limits.ts'
import {
  type Catalog,
  type CatalogIndex,
  type CatalogReference,
  openCatalog,
} from '../../protocol/manifest/catalog.ts'
import { COORDINATORS_MAX } from '../../protocol/manifest/root.ts'
import { openCatalogIndex, type Verified } from '../../protocol/manifest/trust.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Log, Network, Store, Verdict } from '../ports.ts'
import { keyOf, prefixOf } from '../store/keyspace.ts'

const REQUEST_TIMEOUT_MS = 15_000
const SLICE_BYTES = STREAM_MESSAGE_BYTES_MAX - 8_192

export class CatalogExchange {
  readonly #network: Network
  readonly #store: Store
  readonly #log: Log
  readonly #coordinators: ReadonlySet<NodeId>
  readonly #changed: (shards: Shard[], listed: Map<NodeId, string>) => void
  readonly #indexes = new Map<NodeId, { index: Verified<CatalogIndex>; raw: Uint8Array }>()
  /** By sha256. */
  readonly #catalogs = new Map<string, { catalog: Catalog; raw: Uint8Array }>()
  #completing: Promise<void> | null = null

  constructor(options: {
    network: Network
    store: Store
    log: Log
    coordinators: ReadonlySet<NodeId>
    changed: (shards: Shard[], listed: Map<NodeId, string>) => void
  }) {
    this.#network = options.network
    this.#store = options.store
    this.#log = options.log
    this.#coordinators = options.coordinators
    this.#changed = options.changed
    this.#network.onGossip('catalogs', (data, from) => this.#onGossip(data, from))
    this.#network.handle('catalog', async (request) => this.#answer(request))
  }

  /** Reads what was stored before; what does not verify any more is left aside with a warning. */
  async restore(): Promise<void> {
    for await (const { key, value } of this.#store.list(prefixOf('catalogIndex'))) {
      if (this.#takeIndex(value) === 'reject')
        this.#log.warn({ key }, 'a stored catalog index does not verify')
    }
    for (const reference of this.#wanted()) {
      const raw = await this.#store.get(keyOf('catalogs', reference.sha256))
      if (raw !== null) this.#catalogs.set(reference.sha256, { catalog: openCatalog(raw, reference), raw })
    }
    this.#announce()
  }

  /** Takes one's own index and catalogs (a coordinator's), stores them and gossips the index. */
  async publish(
    sealed: Uint8Array,
    catalogs: readonly { reference: CatalogReference; raw: Uint8Array }[],
  ): Promise<void> {
    for (const { reference, raw } of catalogs) await this.#keepCatalog(reference, raw)
    if (this.#takeIndex(sealed) === 'accept') await this.#keepIndex(sealed)
    this.#announce()
    await this.#network.publish('catalogs', sealed)
  }

  /** The newest index of this coordinator. */
  indexOf(coordinator: NodeId): Verified<CatalogIndex> | undefined {
    return this.#indexes.get(coordinator)?.index
  }

  /** Asks a peer for the indexes it knows and pulls what is missing. */
  async pull(peer: NodeId): Promise<void> {
    const answer = await this.#ask(peer, { index: true })
    const indexes = list(
      decodeCbor(answer, 'indexes', STREAM_MESSAGE_BYTES_MAX),
      'indexes',
      COORDINATORS_MAX,
      (value, path) => bytes(value, path, 1, CATALOG_INDEX_BYTES_MAX),
    )
    for (const raw of indexes) if (this.#takeIndex(raw) === 'accept') await this.#keepIndex(raw)
    await this.#complete(peer)
  }

  #onGossip(data: Uint8Array, from: NodeId): Verdict {
    const verdict = this.#takeIndex(data)
    if (verdict === 'reject') this.#log.warn({ from }, 'rejected a catalog index that no coordinator signed')
    if (verdict === 'accept') {
      this.#keepIndex(data)
        .then(() => this.#complete(from))
        .catch((error: unknown) => this.#log.warn({ error: String(error), from }, 'could not pull a catalog'))
    }
    return verdict
  }

  #takeIndex(raw: Uint8Array): Verdict {
    const opened = openCatalogIndex(raw, verifyEd25519, this.#coordinators)
    if (!opened.ok) return 'reject'
    const known = this.#indexes.get(opened.signer)
    if (known !== undefined && opened.value.sequence <= known.index.sequence) return 'ignore'
    this.#indexes.set(opened.signer, { index: opened.value, raw })
    return 'accept'
  }

  async #keepIndex(raw: Uint8Array): Promise<void> {
    const opened = openCatalogIndex(raw, verifyEd25519, this.#coordinators)
    if (!opened.ok) return
    await this.#store.batch([{ type: 'put', key: keyOf('catalogIndex', opened.signer), value: raw }])
    await this.#prune()
    this.#announce()
  }

  /** Catalogs that no index names any more make room. */
  async #prune(): Promise<void> {
    const named = new Set(
      [...this.#indexes.values()].flatMap(({ index }) => index.catalogs.map((reference) => reference.sha256)),
    )
    const stale = [...this.#catalogs.keys()].filter((sha256) => !named.has(sha256))
    for (const sha256 of stale) this.#catalogs.delete(sha256)
    await this.#store.batch(stale.map((sha256) => ({ type: 'del', key: keyOf('catalogs', sha256) })))
  }

  async #keepCatalog(reference: CatalogReference, raw: Uint8Array): Promise<void> {
    this.#catalogs.set(reference.sha256, { catalog: openCatalog(raw, reference), raw })
    await this.#store.batch([{ type: 'put', key: keyOf('catalogs', reference.sha256), value: raw }])
  }

  #wanted(): CatalogReference[] {
    const references = [...this.#indexes.values()].flatMap(({ index }) => index.catalogs)
    return references.filter((reference) => !this.#catalogs.has(reference.sha256))
  }

  /** Pulls missing catalogs, one pull at a time; first from the peer that told us, then from the others. */
  async #complete(teller: NodeId): Promise<void> {
    while (this.#completing !== null) await this.#completing
    this.#completing = this.#pullMissing(teller).finally(() => {
      this.#completing = null
    })
    await this.#completing
  }

  async #pullMissing(teller: NodeId): Promise<void> {
    const others = this.#network.peers().map((peer) => peer.nodeId)
    for (const reference of this.#wanted()) {
      for (const peer of [teller, ...others.filter((node) => node !== teller)]) {
        try {
          await this.#keepCatalog(reference, await this.#pullCatalog(peer, reference))
          break
        } catch (error) {
          this.#log.info(
            { peer, cycle: reference.cycle, error: String(error) },
            'this peer could not give the catalog',
          )
        }
      }
    }
    this.#announce()
  }

  async #pullCatalog(peer: NodeId, reference: CatalogReference): Promise<Uint8Array> {
    const whole = new Uint8Array(reference.sizeBytes)
    for (let offset = 0; offset < whole.length; ) {
      const slice = await this.#ask(peer, { sha256: reference.sha256, offset })
      if (slice.length === 0 || offset + slice.length > whole.length)
        throw new Error('the catalog ended early')
      whole.set(slice, offset)
      offset += slice.length
    }
    return whole
  }

  #ask(peer: NodeId, request: object): Promise<Uint8Array> {
    return this.#network.request(peer, 'catalog', encodeCbor(request), { timeoutMs: REQUEST_TIMEOUT_MS })
  }

  #answer(request: Uint8Array): Uint8Array {
    const fields = record(decodeCbor(request, 'request', 4_096), 'request', ['index', 'sha256', 'offset'])
    if (fields.sha256 === undefined) return encodeCbor([...this.#indexes.values()].map(({ raw }) => raw))
    const raw = this.#catalogs.get(text(fields.sha256, 'request.sha256', 64))?.raw ?? new Uint8Array()
    const offset = integer(fields.offset, 'request.offset', 0, CATALOG_BYTES_MAX)
    return raw.subarray(offset, offset + SLICE_BYTES)
  }

  /** All shards of the catalogs that a trusted index names, and the operators that they list. */
  #announce(): void {
    const shards: Shard[] = []
    const listed = new Map<NodeId, string>()
    for (const { index } of this.#indexes.values()) {
      for (const { node, operator } of index.operators) listed.set(node, operator)
      for (const reference of index.catalogs)
        shards.push(...(this.#catalogs.get(reference.sha256)?.catalog.shards ?? []))
    }
    this.#changed(shards, listed)
  }
}

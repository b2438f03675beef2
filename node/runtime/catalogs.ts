/**
 * Catalogs on the wire (PROTOCOL 1): a coordinator's signed index is gossiped; the catalogs and lists of what is archived that it
 * names by sha256 are pulled from anybody, in slices, and handed on.
 *
 * Request `{index: true}` -> sealed indexes; request `{sha256, offset}` -> a slice of that document, empty when unknown.
 */

import { openArchiveList, type Verification } from '../../protocol/catalog/archive-list.ts'
import { type CatalogIndex, type CatalogReference, openCatalog } from '../../protocol/catalog/catalog.ts'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { bytes, integer, list, record, text } from '../../protocol/codec/shape.ts'
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import {
  CATALOG_BYTES_MAX,
  CATALOG_INDEX_BYTES_MAX,
  STREAM_MESSAGE_BYTES_MAX,
} from '../../protocol/limits.ts'
import { COORDINATORS_MAX } from '../../protocol/manifest/root.ts'
import { openCatalogIndex, type Verified } from '../../protocol/manifest/trust.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Log, Network, Store, Verdict } from '../ports.ts'
import { keyOf, prefixOf } from '../store/keyspace.ts'

const REQUEST_TIMEOUT_MS = 15_000
const SLICE_BYTES = STREAM_MESSAGE_BYTES_MAX - 8_192

/** What all trusted coordinators say together. */
export interface CatalogFacts {
  readonly shards: readonly Shard[]
  readonly listed: ReadonlyMap<NodeId, string>
  /** Unix ms when the archive's copy was last verified by hash. */
  readonly archived: ReadonlyMap<ShardKey, number>
}

/** A document that an index names by sha256. */
interface Document {
  readonly raw: Uint8Array
  readonly shards: readonly Shard[]
  readonly verified: readonly Verification[]
}

/** A reference with the place that its document has in an index: a later one of the same place replaces it. */
interface Named {
  readonly place: string
  readonly kind: 'catalog' | 'archive'
  readonly reference: CatalogReference
}

export class CatalogExchange {
  readonly #network: Network
  readonly #store: Store
  readonly #log: Log
  readonly #coordinators: ReadonlySet<NodeId>
  readonly #changed: (facts: CatalogFacts) => void
  readonly #indexes = new Map<NodeId, { index: Verified<CatalogIndex>; raw: Uint8Array }>()
  /** By sha256. */
  readonly #documents = new Map<string, Document>()
  /** By place: the sha256 that is acted on. It stays until the document of a newer index is here, so that nothing flickers. */
  #used = new Map<string, string>()
  #completing: Promise<void> | null = null

  constructor(options: {
    network: Network
    store: Store
    log: Log
    coordinators: ReadonlySet<NodeId>
    changed: (facts: CatalogFacts) => void
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
    for (const named of this.#wanted()) {
      const raw = await this.#store.get(keyOf('catalogs', named.reference.sha256))
      if (raw !== null) this.#documents.set(named.reference.sha256, open(raw, named))
    }
    this.#announce()
  }

  /** Takes one's own index and what it names (a coordinator's), stores them and gossips the index. */
  async publish(sealed: Uint8Array, documents: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const isNew = this.#takeIndex(sealed) === 'accept'
    // What it names stands on disk before the index does: nobody else has it yet.
    for (const named of this.#wanted()) {
      const raw = documents.get(named.reference.sha256)
      if (raw !== undefined) await this.#keep(named, raw)
    }
    if (isNew) await this.#keepIndex(sealed)
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
    this.#announce()
    await this.#prune()
  }

  /** Documents that no index names any more, and that nothing is acted on by, make room. */
  async #prune(): Promise<void> {
    const named = new Set([...this.#named().map(({ reference }) => reference.sha256), ...this.#used.values()])
    const stale = [...this.#documents.keys()].filter((sha256) => !named.has(sha256))
    for (const sha256 of stale) this.#documents.delete(sha256)
    await this.#store.batch(stale.map((sha256) => ({ type: 'del', key: keyOf('catalogs', sha256) })))
  }

  async #keep(named: Named, raw: Uint8Array): Promise<void> {
    const { sha256 } = named.reference
    this.#documents.set(sha256, open(raw, named))
    await this.#store.batch([{ type: 'put', key: keyOf('catalogs', sha256), value: raw }])
  }

  /** Everything that the newest index of each coordinator names. */
  #named(): Named[] {
    return [...this.#indexes].flatMap(([coordinator, { index }]) => {
      const at = (kind: Named['kind']) => (reference: CatalogReference) => ({
        place: `${coordinator} ${kind} ${reference.cycle}`,
        kind,
        reference,
      })
      return [...index.catalogs.map(at('catalog')), ...index.archives.map(at('archive'))]
    })
  }

  #wanted(): Named[] {
    return this.#named().filter(({ reference }) => !this.#documents.has(reference.sha256))
  }

  /** Pulls missing documents, one pull at a time; first from the peer that told us, then from the others. */
  async #complete(teller: NodeId): Promise<void> {
    while (this.#completing !== null) await this.#completing
    this.#completing = this.#pullMissing(teller).finally(() => {
      this.#completing = null
    })
    await this.#completing
  }

  async #pullMissing(teller: NodeId): Promise<void> {
    const others = this.#network.peers().map((peer) => peer.nodeId)
    for (const named of this.#wanted()) {
      const { reference, kind } = named
      for (const peer of [teller, ...others.filter((node) => node !== teller)]) {
        try {
          await this.#keep(named, await this.#pullDocument(peer, reference))
          break
        } catch (error) {
          this.#log.info(
            { peer, cycle: reference.cycle, kind, error: String(error) },
            'this peer could not give what an index names',
          )
        }
      }
    }
    this.#announce()
    await this.#prune()
  }

  async #pullDocument(peer: NodeId, reference: CatalogReference): Promise<Uint8Array> {
    const whole = new Uint8Array(reference.sizeBytes)
    for (let offset = 0; offset < whole.length; ) {
      const slice = await this.#ask(peer, { sha256: reference.sha256, offset })
      if (slice.length === 0 || offset + slice.length > whole.length) throw new Error('it ended early')
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
    const raw = this.#documents.get(text(fields.sha256, 'request.sha256', 64))?.raw ?? new Uint8Array()
    const offset = integer(fields.offset, 'request.offset', 0, CATALOG_BYTES_MAX)
    return raw.subarray(offset, offset + SLICE_BYTES)
  }

  /** All shards of the catalogs that a trusted index names, what is archived of them, and the operators that are listed. */
  #announce(): void {
    const shards: Shard[] = []
    const listed = new Map<NodeId, string>()
    const archived = new Map<ShardKey, number>()
    for (const { index } of this.#indexes.values()) {
      for (const { node, operator } of index.operators) listed.set(node, operator)
    }
    const used = new Map<string, string>()
    for (const { place, reference } of this.#named()) {
      const sha256 = this.#documents.has(reference.sha256) ? reference.sha256 : this.#used.get(place)
      const document = sha256 === undefined ? undefined : this.#documents.get(sha256)
      if (sha256 === undefined || document === undefined) continue
      used.set(place, sha256)
      shards.push(...document.shards)
      for (const { shard, verifiedAtMs } of document.verified)
        archived.set(shard, Math.max(verifiedAtMs, archived.get(shard) ?? 0))
    }
    this.#used = used
    this.#changed({ shards, listed, archived })
  }
}

/** Checks the bytes against the signed reference before anything is read of them. Throws ShapeError. */
function open(raw: Uint8Array, { kind, reference }: Named): Document {
  if (kind === 'archive') return { raw, shards: [], verified: openArchiveList(raw, reference).verified }
  return { raw, shards: openCatalog(raw, reference).shards, verified: [] }
}

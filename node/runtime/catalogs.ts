/**
 * Catalogs on the wire (PROTOCOL 1): a coordinator's signed index is gossiped; the catalogs and lists of what is archived that it
 * names by sha256 are pulled from anybody, and handed on (documents.ts).
 *
 * Request `{index: true}` -> sealed indexes.
 */

import { openArchiveList, type Verification } from '../../protocol/catalog/archive-list.ts'
import { type CatalogIndex, type CatalogReference, openCatalog } from '../../protocol/catalog/catalog.ts'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { sameMap } from '../../protocol/codec/same-map.ts'
import { bytes, list } from '../../protocol/codec/shape.ts'
import type { CatalogFacts } from '../../protocol/core/event.ts'
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import { CATALOG_INDEX_BYTES_MAX, STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import { COORDINATORS_MAX } from '../../protocol/manifest/root.ts'
import { openCatalogIndex, type Verified } from '../../protocol/manifest/trust.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Log, Network, Store, Verdict } from '../ports.ts'
import { keyOf, prefixOf } from '../store/keyspace.ts'
import type { Documents } from './documents.ts'
import { OneAtATime } from './one-at-a-time.ts'

/** A document that an index names by sha256. */
interface Opened {
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
  readonly #documents: Documents
  readonly #log: Log
  readonly #coordinators: ReadonlySet<NodeId>
  readonly #known: (key: ShardKey) => Shard | undefined
  readonly #changed: (facts: CatalogFacts) => void
  readonly #indexes = new Map<NodeId, { index: Verified<CatalogIndex>; raw: Uint8Array }>()
  /** By sha256. */
  readonly #opened = new Map<string, Opened>()
  /** By place: the sha256 that is acted on. It stays until the document of a newer index is here, so that nothing flickers. */
  #used = new Map<string, string>()
  #facts: CatalogFacts | null = null
  readonly #pulls = new OneAtATime()

  constructor(options: {
    network: Network
    store: Store
    documents: Documents
    log: Log
    coordinators: ReadonlySet<NodeId>
    /** A shard that this node has in memory anyway. @default none */
    known?: (key: ShardKey) => Shard | undefined
    changed: (facts: CatalogFacts) => void
  }) {
    this.#network = options.network
    this.#store = options.store
    this.#documents = options.documents
    this.#log = options.log
    this.#coordinators = options.coordinators
    this.#known = options.known ?? (() => undefined)
    this.#changed = options.changed
    this.#network.onGossip('catalogs', (data, from) => this.#onGossip(data, from))
    this.#documents.register('index', {
      answer: () => encodeCbor([...this.#indexes.values()].map(({ raw }) => raw)),
      kept: () => this.#kept(),
    })
  }

  /** Reads what was stored before; what does not verify any more is left aside with a warning. */
  async restore(): Promise<void> {
    for await (const { key, value } of this.#store.list(prefixOf('catalogIndex'))) {
      if (this.#takeIndex(value) === 'reject')
        this.#log.warn({ key }, 'a stored catalog index does not verify')
    }
    for (const named of this.#wanted()) {
      const raw = await this.#documents.get(named.reference.sha256)
      if (raw !== null) this.#opened.set(named.reference.sha256, this.#open(raw, named))
    }
    this.#announce()
  }

  /** Takes one's own index and what it names (a coordinator's), stores them and gossips the index. */
  async publish(sealed: Uint8Array, documents: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const isNew = this.#takeIndex(sealed) === 'accept'
    // What it names stands on disk before the index does: nobody else has it yet.
    for (const named of this.#wanted()) {
      const { sha256 } = named.reference
      const raw = documents.get(sha256)
      if (raw === undefined) continue
      this.#opened.set(sha256, this.#open(raw, named))
      await this.#documents.keep(sha256, raw)
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
    const answer = await this.#documents.ask(peer, { index: true })
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

  /** What an index names or what is acted on. */
  #kept(): string[] {
    return [...this.#named().map(({ reference }) => reference.sha256), ...this.#used.values()]
  }

  async #prune(): Promise<void> {
    const kept = new Set(this.#kept())
    for (const sha256 of this.#opened.keys()) if (!kept.has(sha256)) this.#opened.delete(sha256)
    await this.#documents.prune()
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
    return this.#named().filter(({ reference }) => !this.#opened.has(reference.sha256))
  }

  /** Pulls missing documents, one pull at a time. */
  #complete(teller: NodeId): Promise<void> {
    return this.#pulls.run(() => this.#pullMissing(teller))
  }

  async #pullMissing(teller: NodeId): Promise<void> {
    const wanted = this.#wanted()
    for (const named of wanted) {
      const opened = await this.#documents.pull(named.reference, teller, (raw) => this.#open(raw, named))
      if (opened !== null) this.#opened.set(named.reference.sha256, opened)
    }
    if (wanted.length > 0) this.#announce()
    await this.#prune()
  }

  /** All shards of the catalogs that a trusted index names, what is archived of them, and the operators that are listed. */
  #announce(): void {
    const used = new Map<string, string>()
    for (const { place, reference } of this.#named()) {
      const sha256 = this.#opened.has(reference.sha256) ? reference.sha256 : this.#used.get(place)
      if (sha256 !== undefined && this.#opened.has(sha256)) used.set(place, sha256)
    }
    const indexes = [...this.#indexes.values()].map(({ index }) => index)
    const before = this.#facts
    // An index of which catalogs are still to come tells nothing that could be acted on.
    const whole = indexes.filter(({ catalogs }) => catalogs.every(({ sha256 }) => this.#opened.has(sha256)))
    const readAtMs = Math.max(before?.readAtMs ?? 0, ...whole.map((index) => index.readAtMs))
    this.#facts =
      before !== null && sameMap(used, this.#used) && sameMap(before.listed, listedBy(indexes))
        ? { ...before, readAtMs }
        : { ...this.#factsOf(used), listed: listedBy(indexes), readAtMs }
    this.#used = used
    this.#changed(this.#facts)
  }

  /** Checks the bytes against the signed reference before anything is read of them. Throws ShapeError. */
  #open(raw: Uint8Array, { kind, reference }: Named): Opened {
    if (kind === 'archive') return { shards: [], verified: openArchiveList(raw, reference).verified }
    return { shards: openCatalog(raw, reference, this.#known).shards, verified: [] }
  }

  #factsOf(used: ReadonlyMap<string, string>): Pick<CatalogFacts, 'shards' | 'archived'> {
    const shards: Shard[] = []
    const archived = new Map<ShardKey, number>()
    for (const sha256 of used.values()) {
      const opened = this.#opened.get(sha256)
      shards.push(...(opened?.shards ?? []))
      for (const { shard, verifiedAtMs } of opened?.verified ?? [])
        archived.set(shard, Math.max(verifiedAtMs, archived.get(shard) ?? 0))
    }
    return { shards, archived }
  }
}

function listedBy(indexes: readonly CatalogIndex[]): Map<NodeId, string> {
  const listed = new Map<NodeId, string>()
  for (const { operators } of indexes) for (const { node, operator } of operators) listed.set(node, operator)
  return listed
}

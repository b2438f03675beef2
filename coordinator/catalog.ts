/** Writes the catalog of each cycle, what is archived of it, and the signed index that names them (PROTOCOL 1). */
import type { Clock, Identity, Log } from '../node/ports.ts'
import type { CatalogExchange } from '../node/runtime/catalogs.ts'
import { encodeArchiveList } from '../protocol/catalog/archive-list.ts'
import {
  CATALOG_INDEX_DOMAIN,
  CATALOG_INDEX_TYPE,
  type CatalogIndex,
  type CatalogReference,
  encodeCatalog,
  encodeCatalogIndex,
  referenceOf,
  signedAnewAfterMs,
} from '../protocol/catalog/catalog.ts'
import { type Cycle, cycleOf, type NodeId, type ShardKey } from '../protocol/ids.ts'
import type { Parameters } from '../protocol/parameters.ts'
import type { Shard } from '../protocol/shard/shard.ts'

export interface ListedOperator {
  readonly node: NodeId
  readonly operator: string
}

export class CatalogWriter {
  readonly #parts: { identity: Identity; catalogs: CatalogExchange; clock: Clock; log: Log }
  readonly #operators: readonly ListedOperator[]
  /** As they hold now. */
  readonly #parameters: () => Parameters

  constructor(
    parts: { identity: Identity; catalogs: CatalogExchange; clock: Clock; log: Log },
    operators: readonly ListedOperator[],
    parameters: () => Parameters,
  ) {
    this.#parts = parts
    this.#operators = operators
    this.#parameters = parameters
  }

  /**
   * Signs and publishes these shards as the whole catalog, unless the last index says just that and says it lately enough that
   * nodes do not take over. `readAtMs`: unix ms when upstream was last read, null when it was not since the start. `verifiedAtMs`:
   * unix ms when the archive's copy of a shard was verified by hash.
   */
  async write(
    shards: readonly Shard[],
    readAtMs: number | null,
    verifiedAtMs: (shard: ShardKey) => number | undefined,
  ): Promise<void> {
    const { identity, catalogs, clock, log } = this.#parts
    const cycles = new Map<Cycle, Shard[]>()
    for (const shard of [...shards].sort((a, b) => (a.key < b.key ? -1 : 1))) {
      const cycle = cycleOf(shard.date)
      cycles.set(cycle, [...(cycles.get(cycle) ?? []), shard])
    }
    const documents = new Map<string, Uint8Array>()
    const refer = (cycle: Cycle, raw: Uint8Array): CatalogReference => {
      const reference = referenceOf(cycle, raw)
      documents.set(reference.sha256, raw)
      return reference
    }
    const written: CatalogReference[] = []
    const archives: CatalogReference[] = []
    for (const [cycle, members] of [...cycles].sort()) {
      written.push(refer(cycle, encodeCatalog({ cycle, shards: members })))
      const verified = members.flatMap(({ key }) => {
        const atMs = verifiedAtMs(key)
        return atMs === undefined ? [] : [{ shard: key, verifiedAtMs: atMs }]
      })
      if (verified.length > 0) archives.push(refer(cycle, encodeArchiveList({ cycle, verified })))
    }
    const last = catalogs.indexOf(identity.nodeId)
    const issuedAtMs = clock.wallMs()
    const index: CatalogIndex = {
      coordinator: identity.nodeId,
      sequence: Math.max((last?.sequence ?? 0) + 1, issuedAtMs),
      issuedAtMs,
      readAtMs: Math.min(issuedAtMs, readAtMs ?? last?.readAtMs ?? 0),
      catalogs: written,
      archives,
      operators: this.#operators,
    }
    const anewAfterMs = signedAnewAfterMs(this.#parameters())
    const isLate = last !== undefined && index.readAtMs - last.readAtMs >= anewAfterMs
    if (last !== undefined && !isLate && saysTheSame(last, index)) return
    const sealed = identity.seal(CATALOG_INDEX_DOMAIN, CATALOG_INDEX_TYPE, encodeCatalogIndex(index))
    await catalogs.publish(sealed, documents)
    log.info(
      { shards: shards.length, cycles: written.length, sequence: index.sequence },
      'signed the catalog',
    )
  }
}

function saysTheSame(a: CatalogIndex, b: CatalogIndex): boolean {
  const facts = (index: CatalogIndex) => JSON.stringify([index.catalogs, index.archives, index.operators])
  return facts(a) === facts(b)
}

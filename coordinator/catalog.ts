/** Writes the catalog of each cycle and the signed index that names them (PROTOCOL 1). */

import type { Clock, Identity, Log } from '../node/ports.ts'
import type { CatalogExchange } from '../node/runtime/catalogs.ts'
import { type Cycle, cycleOf, type NodeId } from '../protocol/ids.ts'
import {
  CATALOG_INDEX_DOMAIN,
  CATALOG_INDEX_TYPE,
  type CatalogIndex,
  encodeCatalog,
  encodeCatalogIndex,
  referenceOf,
} from '../protocol/manifest/catalog.ts'
import type { Shard } from '../protocol/shard/shard.ts'

export interface ListedOperator {
  readonly node: NodeId
  readonly operator: string
}

export class CatalogWriter {
  readonly #parts: { identity: Identity; catalogs: CatalogExchange; clock: Clock; log: Log }
  readonly #operators: readonly ListedOperator[]

  constructor(
    parts: { identity: Identity; catalogs: CatalogExchange; clock: Clock; log: Log },
    operators: readonly ListedOperator[],
  ) {
    this.#parts = parts
    this.#operators = operators
  }

  /** Signs and publishes these shards as the whole catalog, unless the last index says just that. */
  async write(shards: readonly Shard[]): Promise<void> {
    const { identity, catalogs, clock, log } = this.#parts
    const cycles = new Map<Cycle, Shard[]>()
    for (const shard of [...shards].sort((a, b) => (a.key < b.key ? -1 : 1))) {
      const cycle = cycleOf(shard.date)
      cycles.set(cycle, [...(cycles.get(cycle) ?? []), shard])
    }
    const written = [...cycles].sort().map(([cycle, members]) => {
      const raw = encodeCatalog({ cycle, shards: members })
      return { reference: referenceOf(cycle, raw), raw }
    })
    const last = catalogs.indexOf(identity.nodeId)
    const index: CatalogIndex = {
      coordinator: identity.nodeId,
      sequence: Math.max((last?.sequence ?? 0) + 1, clock.wallMs()),
      issuedAtMs: clock.wallMs(),
      catalogs: written.map((one) => one.reference),
      operators: this.#operators,
    }
    if (last !== undefined && saysTheSame(last, index)) return
    const sealed = identity.seal(CATALOG_INDEX_DOMAIN, CATALOG_INDEX_TYPE, encodeCatalogIndex(index))
    await catalogs.publish(sealed, written)
    log.info(
      { shards: shards.length, cycles: written.length, sequence: index.sequence },
      'signed the catalog',
    )
  }
}

function saysTheSame(a: CatalogIndex, b: CatalogIndex): boolean {
  const facts = (index: CatalogIndex) => JSON.stringify([index.catalogs, index.operators])
  return facts(a) === facts(b)
}

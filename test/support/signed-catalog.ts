/** What a coordinator would have signed, as a node's store keeps it. */
import type { Identity, StoreOperation } from '../../node/ports.ts'
import { keyOf } from '../../node/store/keyspace.ts'
import {
  CATALOG_INDEX_DOMAIN,
  CATALOG_INDEX_TYPE,
  type CatalogIndex,
  encodeCatalog,
  encodeCatalogIndex,
  referenceOf,
} from '../../protocol/catalog/catalog.ts'
import { cycleOf } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'

/** A catalog of these shards, all of one cycle, and its index of now. The same for every store that gets it. */
export function signedCatalog(
  coordinator: Pick<Identity, 'nodeId' | 'seal'>,
  shards: readonly [Shard, ...Shard[]],
  operators: CatalogIndex['operators'] = [],
): StoreOperation[] {
  const cycle = cycleOf(shards[0].date)
  const catalog = encodeCatalog({ cycle, shards })
  const reference = referenceOf(cycle, catalog)
  const index = encodeCatalogIndex({
    coordinator: coordinator.nodeId,
    sequence: 1,
    issuedAtMs: Date.now(),
    readAtMs: Date.now(),
    catalogs: [reference],
    archives: [],
    operators,
  })
  const value = coordinator.seal(CATALOG_INDEX_DOMAIN, CATALOG_INDEX_TYPE, index)
  return [
    { type: 'put', key: keyOf('catalogIndex', coordinator.nodeId), value },
    { type: 'put', key: keyOf('catalogs', reference.sha256), value: catalog },
  ]
}

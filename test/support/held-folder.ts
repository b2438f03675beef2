/** A data folder as a node leaves it that holds a shard. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { layoutOf } from '../../node/files/layout.ts'
import { createIdentity } from '../../node/net/identity.ts'
import { KeptStore } from '../../node/store/kept.ts'
import { openLevelStore } from '../../node/store/level-store.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { type Bytes, type RealShard, writeBytes } from './audit-node.ts'
import { keptOf, ownRow } from './kept.ts'
import { signedCatalog } from './signed-catalog.ts'

/** A node's folder with an identity; with `holds`, it says that it holds the shard and has these bytes of it. */
export async function nodeFolder(dataDir: string, real: RealShard, holds?: Bytes): Promise<NodeId> {
  const { mirror, torrents, store } = layoutOf(dataDir)
  for (const one of [mirror, torrents]) await mkdir(one, { recursive: true })
  const { nodeId } = await createIdentity(dataDir)
  if (holds === undefined) return nodeId
  await writeBytes(real.shard, mirror, holds)
  await writeFile(join(torrents, `${real.infohash}.torrent`), real.torrent)
  const level = await openLevelStore(store)
  const { shard, infohash } = real
  const sinceMs = Date.now() - 60_000
  const own = ownRow(shard, { state: 'held', infohash, sinceMs, doneBytes: shard.sizeBytes })
  await new KeptStore(level).save(keptOf([own]))
  await level.close()
  return nodeId
}

/** Puts the coordinator's words into the store of each: a catalog of the shard, and each node as an operator's. */
export async function listNodes(
  coordinator: Parameters<typeof signedCatalog>[0],
  shard: Shard,
  nodes: readonly { readonly dataDir: string; readonly node: NodeId }[],
): Promise<void> {
  const operators = nodes.map(({ node }) => ({ node, operator: `operator of ${node.slice(-8)}` }))
  const words = signedCatalog(coordinator, [shard], operators)
  for (const { dataDir } of nodes) {
    const level = await openLevelStore(layoutOf(dataDir).store)
    await level.batch(words)
    await level.close()
  }
}

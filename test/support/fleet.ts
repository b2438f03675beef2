/** Many real nodes in one process, on loopback TCP, with a small signed catalog. See fleet-node.ts for what is made up. */

import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import type { FederationId, NodeId } from '../../protocol/ids.ts'
import { DEFAULT_PARAMETERS, type Parameters } from '../../protocol/parameters.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { testShard } from './cores.ts'
import { FleetNode } from './fleet-node.ts'
import { testIdentity } from './records.ts'
import { signedCatalog } from './signed-catalog.ts'
import { Sockets } from './sockets.ts'

export const FLEET_FEDERATION = 'fe'.repeat(32) as FederationId
/** Patient enough for two slow cores, short enough for a test. */
export const FLEET_PARAMETERS: Parameters = {
  ...DEFAULT_PARAMETERS,
  ttlMs: 15_000,
  renewMs: 5_000,
  publishMinMs: 250,
  settleMs: 1_500,
  waveMs: 1_500,
  claimStallMs: 60_000,
  leadStallMs: 10_000,
  restMs: 60_000,
  goneMs: 3_600_000,
  antiEntropyMs: 3_000,
  clockSkewMs: 2_000,
}
const COORDINATOR = testIdentity(1_000_000)
const LISTED_MAX = 64

export class Fleet {
  readonly nodes: FleetNode[] = []
  readonly sockets = new Sockets()
  readonly parameters: Parameters
  readonly shards: readonly Shard[]
  /** May these two be connected? For partitions. */
  admits: (a: NodeId, b: NodeId) => boolean = () => true
  readonly failures: unknown[] = []
  readonly #door: Server
  #count = 0

  private constructor(door: Server, shards: number, parameters: Partial<Parameters>) {
    this.#door = door
    this.parameters = { ...FLEET_PARAMETERS, ...parameters }
    this.shards = Array.from({ length: shards }, (_, i) =>
      testShard(`t${String.fromCharCode(97 + i)}wiki`),
    ).sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  static async create(options: { shards?: number; parameters?: Partial<Parameters> } = {}): Promise<Fleet> {
    const door = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
    return new Fleet(door, options.shards ?? 0, options.parameters ?? {})
  }

  get up(): FleetNode[] {
    return this.nodes.filter((one) => one.isUp)
  }

  /** Starts more nodes, after `prepare` wrote to their disks; each knows the address of the fleet's first, whose disk has the catalog. */
  async add(count: number, prepare?: (node: FleetNode) => Promise<void>): Promise<FleetNode[]> {
    const added: FleetNode[] = []
    for (let i = 0; i < count; i++) {
      const node = new FleetNode(this.#count++, this.#surroundings())
      if (this.nodes.length === 0) await this.#storeCatalog(node)
      await prepare?.(node)
      const first = this.up[0]
      await node.start(first === undefined ? [] : first.network.addresses())
      this.nodes.push(node)
      added.push(node)
    }
    return added
  }

  /** As after kill -9: every connection breaks at once, and nobody is told. */
  async kill(node: FleetNode): Promise<void> {
    const { port } = node
    const stopped = node.stop()
    this.sockets.cut(port)
    await stopped
  }

  /** Ends every node; throws what any of them failed with. */
  async stop(): Promise<void> {
    for (const node of this.nodes) await node.stop()
    this.sockets.close()
    await new Promise((resolve) => this.#door.close(resolve))
    if (this.failures.length > 0) throw this.failures[0]
  }

  #surroundings() {
    return {
      federationId: FLEET_FEDERATION,
      parameters: this.parameters,
      coordinator: COORDINATOR.nodeId,
      bittorrentPort: (this.#door.address() as AddressInfo).port,
      find: (node: NodeId) => this.up.find((one) => one.node === node),
      admits: (a: NodeId, b: NodeId) => this.admits(a, b),
      failed: (error: unknown) => this.failures.push(error),
    }
  }

  async #storeCatalog(node: FleetNode): Promise<void> {
    const [first, ...rest] = this.shards
    if (first === undefined) return
    const operators = Array.from({ length: LISTED_MAX }, (_, number) => ({
      node: testIdentity(number).nodeId,
      operator: `operator-${number}`,
    }))
    await node.store.batch(signedCatalog(COORDINATOR, [first, ...rest], operators))
  }
}

/** Do all of these know the same nodes, in the same states? */
export function agreed(nodes: readonly FleetNode[]): boolean {
  const [first, ...others] = nodes.map((one) => JSON.stringify(one.known()))
  return others.every((one) => one === first)
}

/** How long a change at one node takes until all these others have it, in ms. Rejects after `timeoutMs`. */
export async function spreadMs(
  from: FleetNode,
  to: readonly FleetNode[],
  bytesTotal: number,
  timeoutMs: number,
): Promise<number> {
  const startMs = performance.now()
  from.dispatch({ kind: 'capacity', bytesTotal })
  const has = (one: FleetNode) => one.updates.book.get(from.node)?.head.capacity.bytesTotal === bytesTotal
  while (!to.every(has)) {
    if (performance.now() - startMs > timeoutMs) throw new Error(`not everywhere within ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return performance.now() - startMs
}

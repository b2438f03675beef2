/**
 * Getting to know the others: pulling manifests and catalogs from a peer that connects, anti-entropy with a random one now and
 * then, and asking peers whether they can reach us (PROTOCOL 4).
 */
import { randomInt } from 'node:crypto'
import type { Event } from '../../protocol/core/event.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { Log, Network, Peer } from '../ports.ts'
import type { CatalogExchange } from './catalogs.ts'
import type { ObservationExchange } from './observations.ts'
import type { PortTests } from './port-tests.ts'
import type { UpdateExchange } from './updates.ts'

export interface NeighboursParts {
  readonly network: Network
  readonly updates: UpdateExchange
  readonly catalogs: CatalogExchange
  readonly observations: ObservationExchange
  readonly log: Log
  readonly dispatch: (event: Event) => void
  readonly portTests: PortTests
  /** As it holds now. */
  readonly antiEntropyMs: () => number
}

export class Neighbours {
  readonly #parts: NeighboursParts
  readonly #greeting = new Set<NodeId>()
  #timer: NodeJS.Timeout | null = null

  constructor(parts: NeighboursParts) {
    this.#parts = parts
    parts.network.onPeer(({ kind, peer }) => {
      if (kind === 'connected') this.#greet(peer, true)
      else this.#count()
    })
  }

  start(): void {
    this.#visitLater()
    for (const peer of this.#parts.network.peers()) this.#greet(peer, true)
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #visitLater(): void {
    this.#timer = setTimeout(() => {
      this.#visitOne()
      this.#visitLater()
    }, this.#parts.antiEntropyMs())
  }

  #visitOne(): void {
    const peers = this.#parts.network.peers()
    const peer = peers.length === 0 ? undefined : peers[randomInt(peers.length)]
    if (peer !== undefined) this.#greet(peer, false)
  }

  /** Once at a time a peer. Counted as a connection when it told us what it knows: only then may we claim. */
  #greet(peer: Peer, isNew: boolean): void {
    const { nodeId } = peer
    if (this.#greeting.has(nodeId)) return
    this.#greeting.add(nodeId)
    this.#exchange(peer, isNew)
      .catch((error: unknown) =>
        this.#parts.log.info({ peer: nodeId, error: String(error) }, 'could not sync with a peer'),
      )
      .finally(() => this.#greeting.delete(nodeId))
  }

  async #exchange(peer: Peer, isNew: boolean): Promise<void> {
    const { updates, catalogs, observations, portTests } = this.#parts
    await updates.pull(peer.nodeId, isNew)
    await catalogs.pull(peer.nodeId)
    await observations.pull(peer.nodeId)
    this.#count()
    await portTests.ask(peer)
  }

  #count(): void {
    this.#parts.dispatch({ kind: 'connections', count: this.#parts.network.peers().length })
  }
}

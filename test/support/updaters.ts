/** Nodes that only exchange updates, over whatever network a test gives them. */
import { performance } from 'node:perf_hooks'
import type { Clock, Network, Store } from '../../node/ports.ts'
import { UpdateExchange } from '../../node/runtime/updates.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { NodeRecord, RecordChange } from '../../protocol/manifest/node-record.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { NOW, type Saying, testIdentity } from './records.ts'

/** Wall time stands still, so that nothing expires while a slow machine runs a test. */
export const testClock: Clock = { wallMs: () => NOW, monotonicMs: () => performance.now() }

export class Updater {
  readonly network: Network
  readonly store: Store
  readonly exchange: UpdateExchange
  readonly heard: { record: NodeRecord; change: RecordChange }[] = []
  readonly contradictions: { node: NodeId; proof: readonly [Uint8Array, Uint8Array] }[] = []
  readonly aheads: number[] = []
  sequence = 1

  constructor(number: number, network: Network, options: { store?: Store; publishMinMs?: number } = {}) {
    const { store = createMemoryStore(), publishMinMs = 1 } = options
    this.network = network
    this.store = store
    this.exchange = new UpdateExchange({
      identity: testIdentity(number),
      network,
      store,
      clock: testClock,
      log: silentLog,
      parameters: () => ({ clockSkewMs: 300_000, goneMs: 14 * 86_400_000, publishMinMs }),
      heard: (record, change) => this.heard.push({ record, change }),
      contradicted: (node, proof) => this.contradictions.push({ node, proof }),
      ahead: (sequence) => this.aheads.push(sequence),
      gapPausesMs: [0, 20, 100],
    })
  }

  get node(): NodeId {
    return this.network.nodeId
  }

  say(what: Saying): Promise<void> {
    return this.exchange.publish({ ...what, sequence: this.sequence++, issuedAtMs: NOW, ttlMs: 14_400_000 })
  }

  /** What this one knows of everybody: sequence and digest in hex, by node. */
  known(): Record<string, string> {
    const rows = [...this.exchange.book.records()].map((record) => [
      record.node,
      `${record.sequence} ${Buffer.from(record.digest).toString('hex')}`,
    ])
    return Object.fromEntries(rows.sort())
  }

  /** Sum of all changes that were told since the start, applied: shard keys of this node's entries. */
  toldOf(node: NodeId): string[] {
    const shards = new Set<string>()
    for (const { record, change } of this.heard) {
      if (record.node !== node) continue
      for (const shard of change.unset) shards.delete(shard)
      for (const entry of change.set) shards.add(entry.shard)
    }
    return [...shards].sort()
  }
}

/** A network that does not hear some of the gossip: `lost` decides for each message. */
export function deafened(network: Network, lost: (data: Uint8Array) => boolean): Network {
  return {
    nodeId: network.nodeId,
    addresses: () => network.addresses(),
    listens: () => network.listens(),
    setExternal: (multiaddrs) => network.setExternal(multiaddrs),
    setReachable: (isReachable) => network.setReachable(isReachable),
    natMapping: () => network.natMapping(),
    onAddresses: (handler) => network.onAddresses(handler),
    peers: () => network.peers(),
    start: () => network.start(),
    onGossip: (topic, handler) =>
      network.onGossip(topic, (data, from) => (lost(data) ? 'ignore' : handler(data, from))),
    publish: (topic, data) => network.publish(topic, data),
    handle: (protocol, handler) => network.handle(protocol, handler),
    request: (to, protocol, request, options) => network.request(to, protocol, request, options),
    connect: (multiaddrs) => network.connect(multiaddrs),
    onPeer: (handler) => network.onPeer(handler),
    score: (nodeId) => network.score(nodeId),
    stop: () => network.stop(),
  }
}

const running = new Set<Updater>()

/** Starts its network; `stopAll` ends it. */
export async function started(updater: Updater): Promise<Updater> {
  await updater.network.start()
  running.add(updater)
  return updater
}

export async function stopAll(): Promise<void> {
  for (const updater of running) {
    await updater.exchange.stop()
    await updater.network.stop()
  }
  running.clear()
}

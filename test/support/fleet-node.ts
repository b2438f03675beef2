/**
 * One real node over libp2p: the product's network, runtime, core, exchange of updates and catalogs. Only bytes are made up:
 * a fetch ends after a moment, and an audit passes when its node is up. Bytes are tested elsewhere.
 */
import { serveDialback } from '../../node/net/dialback.ts'
import type { HostIdentity } from '../../node/net/identity.ts'
import { Libp2pNetwork } from '../../node/net/network.ts'
import { CatalogExchange } from '../../node/runtime/catalogs.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import { Documents } from '../../node/runtime/documents.ts'
import { Neighbours } from '../../node/runtime/neighbours.ts'
import { ObservationExchange } from '../../node/runtime/observations.ts'
import { Runtime } from '../../node/runtime/runtime.ts'
import { UpdateExchange } from '../../node/runtime/updates.ts'
import { KeptStore } from '../../node/store/kept.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { observerClass } from '../../protocol/catalog/observers.ts'
import type { Effect } from '../../protocol/core/effect.ts'
import type { Event } from '../../protocol/core/event.ts'
import { initialState } from '../../protocol/core/kept.ts'
import type { CoreState } from '../../protocol/core/state.ts'
import type { FederationId, Infohash, NodeId, ShardKey } from '../../protocol/ids.ts'
import { createNames } from '../../protocol/ledger/names.ts'
import type { Parameters } from '../../protocol/parameters.ts'
import { RankCache } from '../../protocol/placement/rank-cache.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { type MeteredNetwork, metered } from './metered-network.ts'
import { bittorrentTests } from './port-tests.ts'
import { testIdentity } from './records.ts'

const FETCH_MS = 300
const TICK_MS = 50

/** What all nodes of a fleet share. */
export interface Surroundings {
  readonly federationId: FederationId
  readonly parameters: Parameters
  readonly coordinator: NodeId
  /** Where something listens that stands for every node's BitTorrent port. */
  readonly bittorrentPort: number
  /** A node that is up. */
  readonly find: (node: NodeId) => FleetNode | undefined
  readonly admits: (from: NodeId, to: NodeId) => boolean
  readonly failed: (error: unknown) => void
}

/** What a node has between its start and its end. */
interface Life {
  readonly network: MeteredNetwork
  readonly state: CoreState
  readonly runtime: Runtime
  readonly updates: UpdateExchange
  readonly catalogs: CatalogExchange
  readonly neighbours: Neighbours
  readonly fetches: Map<ShardKey, NodeJS.Timeout>
}

export class FleetNode {
  readonly identity: HostIdentity
  readonly store = createMemoryStore()
  readonly #around: Surroundings
  readonly #operator: string
  #life: Life | null = null
  /** Kept over a restart, as a real node's is. */
  port = 0
  /** What it may fill, from its next start on. */
  bytesTotal = 1e12

  constructor(number: number, around: Surroundings) {
    this.identity = testIdentity(number)
    this.#operator = `operator-${number}`
    this.#around = around
  }

  get node(): NodeId {
    return this.identity.nodeId
  }

  get isUp(): boolean {
    return this.#life !== null
  }

  get network(): MeteredNetwork {
    return this.#alive.network
  }

  get state(): CoreState {
    return this.#alive.state
  }

  get updates(): UpdateExchange {
    return this.#alive.updates
  }

  get #alive(): Life {
    if (this.#life === null) throw new Error('this node is not up')
    return this.#life
  }

  dispatch(event: Event): void {
    this.#life?.runtime.dispatch(event)
  }

  /** As `startMember` does it. */
  async start(peers: readonly string[]): Promise<void> {
    const { bittorrentPort } = this.#around
    const life = await this.#begin(peers)
    this.#life = life
    const { runtime, catalogs, updates, network, neighbours, state } = life
    runtime.start((effect) => this.#perform(life, effect))
    await catalogs.restore()
    await updates.restore()
    await network.start()
    await runtime.idle()
    this.port = Number(/\/tcp\/(\d+)/.exec(network.addresses()[0] ?? '')?.[1])
    for (const { node, head } of state.ledger.nodes())
      if (node !== this.node && head.endpoints.libp2p.length > 0)
        void network.connect([...head.endpoints.libp2p])
    this.dispatch({
      kind: 'endpoints',
      libp2p: network.addresses(),
      bittorrent: [{ host: '127.0.0.1', port: bittorrentPort }],
    })
    neighbours.start()
  }

  /** Everything ends at once: nothing more is said, nothing more is stored. */
  async stop(): Promise<void> {
    const life = this.#life
    if (life === null) return
    this.#life = null
    life.neighbours.stop()
    for (const timer of life.fetches.values()) clearTimeout(timer)
    await life.runtime.stop()
    await life.updates.stop()
    await life.network.stop()
  }

  /** Digest in hex of every record that this node has, by node. */
  known(): Record<string, string> {
    const rows = [...this.updates.book.records()].map((record) => [
      record.node,
      Buffer.from(record.digest).toString('hex'),
    ])
    return Object.fromEntries(rows.sort())
  }

  async #begin(peers: readonly string[]): Promise<Life> {
    const { federationId, parameters, coordinator, bittorrentPort, admits } = this.#around
    const { identity, store, port } = this
    const network = metered(
      new Libp2pNetwork({
        identity,
        federationId,
        listen: [`/ip4/127.0.0.1/tcp/${port}`],
        remembered: peers,
        admits: (node) => admits(this.node, node),
        log: silentLog,
      }),
    )
    serveDialback(network)
    const names = createNames()
    const state = initialState(
      {
        names,
        ranks: new RankCache(names),
        self: this.node,
        schedule: [{ activatesAtMs: 0, values: parameters }],
        settings: {
          role: 'volunteer',
          agent: 'fleet',
          operator: this.#operator,
          languages: [],
          projects: [],
          bytesTotal: this.bytesTotal,
          claimsMax: 8,
          fetchesMax: 4,
          originFallback: true,
        },
      },
      await new KeptStore(store).load(),
      { wallMs: systemClock.wallMs(), monotonicMs: systemClock.monotonicMs() },
    )
    const runtime = new Runtime({
      state,
      clock: systemClock,
      log: silentLog,
      tickMs: TICK_MS,
      onFatal: this.#around.failed,
    })
    const dispatch = runtime.dispatch.bind(runtime)
    const updates = new UpdateExchange({
      identity,
      network,
      store,
      clock: systemClock,
      log: silentLog,
      parameters: () => parameters,
      heard: (record, change) => dispatch({ kind: 'record', record, change }),
      contradicted: (node) => dispatch({ kind: 'equivocation', node }),
      ahead: (sequence) => dispatch({ kind: 'ahead', sequence }),
    })
    const documents = new Documents({ network, store, log: silentLog })
    const catalogs = new CatalogExchange({
      network,
      store,
      documents,
      log: silentLog,
      coordinators: new Set([coordinator]),
      changed: (known) => dispatch({ kind: 'catalogs', ...known }),
    })
    const observations = new ObservationExchange({
      identity,
      operator: this.#operator,
      network,
      store,
      documents,
      clock: systemClock,
      log: silentLog,
      parameters: () => parameters,
      classOf: (node) => observerClass(state.ledger, names.nodes.find(node)),
      heard: (observation, replaces) => dispatch({ kind: 'observation', observation, replaces }),
      gotRun: (sha256, shards) => dispatch({ kind: 'run', sha256, shards }),
    })
    const neighbours = new Neighbours({
      network,
      updates,
      catalogs,
      observations,
      log: silentLog,
      dispatch,
      portTests: bittorrentTests(network, bittorrentPort, dispatch),
      antiEntropyMs: () => parameters.antiEntropyMs,
    })
    return { network, state, runtime, updates, catalogs, neighbours, fetches: new Map() }
  }

  async #perform(life: Life, effect: Effect): Promise<void> {
    const { runtime, network, updates, fetches } = life
    const { find, failed } = this.#around
    switch (effect.kind) {
      case 'persist':
        return new KeptStore(this.store).save(effect.kept)
      case 'publish':
        updates.publish(effect.statement).catch((error: unknown) => {
          if (this.#life === life) failed(error)
        })
        return
      case 'forget':
        return updates.forget(effect.node)
      case 'connect':
        void network.connect([...effect.multiaddrs]).catch(() => {})
        return
      case 'fetch':
        return this.#fetch(life, effect)
      case 'stop-fetch':
        return clearTimeout(fetches.get(effect.shard))
      case 'release':
        return clearTimeout(fetches.get(effect.shard.key))
      case 'audit':
      case 'audit-file': {
        const outcome = find(effect.node) === undefined ? 'offline' : 'pass'
        return runtime.dispatch({ kind: 'audited', shard: effect.shard.key, node: effect.node, outcome })
      }
      case 'check':
        return runtime.dispatch({ kind: 'checked', shard: effect.shard.key, damaged: [] })
      case 'ask-promise':
        find(effect.node)?.dispatch({ kind: 'promise-asked', shard: effect.shard.key, from: this.node })
        return
      case 'answer-promise': {
        const granted = effect.untilMs !== null
        find(effect.to)?.dispatch({ kind: 'promised', shard: effect.shard, node: this.node, granted })
        return
      }
      case 'ask-receipt': {
        const { node, auditor } = effect
        return runtime.dispatch({ kind: 'receipt', shard: effect.shard.key, node, auditor, verdict: 'none' })
      }
      default:
        // The rest needs bytes, or upstream.
        return
    }
  }

  #fetch({ runtime, fetches }: Life, { shard, from }: Extract<Effect, { kind: 'fetch' }>): void {
    clearTimeout(fetches.get(shard.key))
    const isOrigin = from.kind === 'origin'
    const event: Event = {
      kind: 'fetched',
      shard: shard.key,
      infohash: from.kind === 'swarm' ? from.infohash : (shard.digest.slice(0, 40) as Infohash),
      fromOriginBytes: isOrigin ? shard.sizeBytes : 0,
      fromSwarmBytes: isOrigin ? 0 : shard.sizeBytes,
    }
    fetches.set(
      shard.key,
      setTimeout(() => runtime.dispatch(event), FETCH_MS),
    )
  }
}

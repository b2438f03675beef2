/**
 * A member of a federation: everything that volunteers and coordinators do alike, from the core's loop down to the sockets.
 * The composition root of both, read top to bottom (HOUSE).
 */
import { type CoreState, initialState, type Settings } from '../protocol/core/state.ts'
import type { ShardKey } from '../protocol/ids.ts'
import { parametersFingerprint } from '../protocol/parameters.ts'
import type { Shard } from '../protocol/shard/shard.ts'
import { Auditor } from './audit/auditor.ts'
import { type Base, type BaseConfig, startBase } from './base.ts'
import type { StatusExtra } from './observe/status.ts'
import { CatalogExchange } from './runtime/catalogs.ts'
import { ManifestExchange } from './runtime/manifests.ts'
import { Neighbours } from './runtime/neighbours.ts'
import { OwnCopies } from './runtime/own-copies.ts'
import { Performer } from './runtime/perform.ts'
import { Runtime } from './runtime/runtime.ts'
import { loadKept } from './store/kept.ts'
import { prefixOf } from './store/keyspace.ts'
import { ShardFetcher } from './transfer/fetch-shard.ts'
import { VERSION } from './version.ts'

export interface Member {
  readonly base: Base
  /** Read only: the runtime changes it. */
  readonly state: CoreState
  readonly catalogs: CatalogExchange
  /** What status needs besides the state. */
  statusExtra(): StatusExtra
  /** Never resolves; rejects with the error that stopped the core. */
  readonly failed: Promise<never>
  stop(): Promise<void>
}

/** Peers dialled at start (PROTOCOL 10). */
const REMEMBERED_MAX = 200
/** The core ticks this often; every rule that waits is in ms, so this only bounds how late it acts. */
const TICK_MS = 250

/** Rejects with an Error of one sentence when it cannot start (see startBase). */
export async function startMember(config: BaseConfig, settings: Settings): Promise<Member> {
  const base = await startBase(config, settings.bytesTotal)
  const fatal = Promise.withResolvers<never>()
  fatal.promise.catch(() => {})
  try {
    return await assemble(base, settings, fatal)
  } catch (error) {
    await base.close()
    throw error
  }
}

async function assemble(base: Base, settings: Settings, fatal: PromiseWithResolvers<never>): Promise<Member> {
  const { identity, store, network, engine, hasher, origin, files, clock, log, parameters, root } = base
  const startedAtMs = clock.wallMs()
  const now = { wallMs: startedAtMs, monotonicMs: clock.monotonicMs() }
  const init = {
    self: identity.nodeId,
    parameters,
    parametersFingerprint: parametersFingerprint(parameters),
    settings,
  }
  const state = initialState(init, await loadKept(store), now)
  const runtime = new Runtime({ state, clock, log, tickMs: TICK_MS, onFatal: fatal.reject })
  const dispatch = runtime.dispatch.bind(runtime)

  const copies = new OwnCopies({ state, files, engine, hasher, log, dispatch })
  const strangers = new Set<string>()
  const manifests = new ManifestExchange({
    network,
    log,
    clock,
    clockSkewMs: parameters.clockSkewMs,
    heard: (manifest, raw) => {
      // PROTOCOL 3: a node on other parameters is heard, with a warning once.
      if (manifest.parameters !== init.parametersFingerprint && !strangers.has(manifest.node)) {
        strangers.add(manifest.node)
        log.warn(
          { node: manifest.node, theirs: manifest.parameters },
          'a node runs with other federation parameters',
        )
      }
      dispatch({ kind: 'manifest', manifest, raw })
    },
  })
  const catalogs = new CatalogExchange({
    network,
    store,
    log,
    coordinators: new Set(root.coordinators.map((one) => one.nodeId)),
    changed: (shards, listed) => dispatch({ kind: 'catalogs', shards, listed }),
  })
  const auditor = new Auditor({
    identity,
    network,
    store,
    clock,
    log,
    parameters,
    mirror: files.mirror,
    held: (key: ShardKey) => copies.held(key),
    checkOwn: (shard: Shard) => copies.check(shard),
  })
  const fetcher = new ShardFetcher({
    files,
    origin,
    engine,
    hasher,
    clock,
    settledAfterMs: parameters.settledAfterMs,
  })
  const performer = new Performer({
    identity,
    network,
    store,
    engine,
    files,
    fetcher,
    auditor,
    manifests,
    log,
    dispatch,
    checkOwn: (shard) => copies.check(shard),
  })
  const neighbours = new Neighbours({
    network,
    manifests,
    catalogs,
    log,
    dispatch,
    bittorrentPort: engine.port,
    antiEntropyMs: parameters.antiEntropyMs,
  })

  runtime.start((effect) => performer.perform(effect))
  await catalogs.restore()
  for await (const { key, value } of store.list(prefixOf('peerManifests'))) {
    if (!manifests.restore(value)) log.warn({ key }, 'a stored manifest does not verify')
  }
  await files.sweep([...state.own.values()].filter((own) => own.state === 'claimed').map((own) => own.shard))
  await copies.resume()
  await network.start()
  await runtime.idle()
  // The nodes that were known before: what their manifests say was taken in before the network stood.
  for (const { node, endpoints } of [...state.ledger.nodes()].slice(0, REMEMBERED_MAX)) {
    if (node !== identity.nodeId && endpoints.libp2p.length > 0) void network.connect([...endpoints.libp2p])
  }
  dispatch({
    kind: 'endpoints',
    libp2p: network.addresses(),
    bittorrent: [{ host: base.config.announceHost ?? base.config.bittorrent.host, port: engine.port }],
  })
  neighbours.start()

  log.info({ addresses: network.addresses(), bittorrent: engine.port }, 'joined the federation')

  return {
    base,
    state,
    catalogs,
    failed: fatal.promise,
    statusExtra: () => ({
      version: VERSION,
      role: settings.role === 'collector' ? 'coordinator' : 'node',
      federation: root.federationId,
      startedAtMs,
      nowMs: clock.wallMs(),
      peers: network.peers().length,
      addresses: network.addresses(),
      bittorrentPort: engine.port,
      originBytes: origin.bytesReceived,
      torrents: engine.stats(),
    }),
    stop: async () => {
      neighbours.stop()
      await performer.stop()
      await runtime.stop()
      await base.close()
    },
  }
}

// Longer than 300 lines: a member is put together in one place, read from top to bottom.
/**
 * A member of a federation: everything that volunteers and coordinators do alike, from the core's loop down to the sockets.
 * The composition root of both, read top to bottom (HOUSE).
 */

import { observerClass } from '../protocol/catalog/observers.ts'
import { initialState } from '../protocol/core/kept.ts'
import { mustReadFirst } from '../protocol/core/observing.ts'
import type { CoreState, Settings } from '../protocol/core/state.ts'
import type { ShardKey } from '../protocol/ids.ts'
import { createNames } from '../protocol/ledger/names.ts'
import { RankCache } from '../protocol/placement/rank-cache.ts'
import type { Shard } from '../protocol/shard/shard.ts'
import { Auditor } from './audit/auditor.ts'
import { FileAuditor } from './audit/file-auditor.ts'
import { Promises } from './audit/promises.ts'
import { Receipts } from './audit/receipts.ts'
import { type Base, type BaseConfig, startBase } from './base.ts'
import { Findings } from './observe/findings.ts'
import type { StatusExtra } from './observe/status.ts'
import { sleep } from './origin/pace.ts'
import { createPacer } from './pace/pacer.ts'
import { windowText } from './pace/quiet-hours.ts'
import { defaultGateway } from './router/default-gateway.ts'
import { NatPmpRouter } from './router/nat-pmp.ts'
import { UpnpRouter } from './router/upnp.ts'
import { CatalogExchange } from './runtime/catalogs.ts'
import { Documents } from './runtime/documents.ts'
import { Neighbours } from './runtime/neighbours.ts'
import { ObservationExchange } from './runtime/observations.ts'
import { OwnCopies } from './runtime/own-copies.ts'
import { Performer } from './runtime/perform.ts'
import { Reach } from './runtime/reach.ts'
import { Reread } from './runtime/reread.ts'
import { Runtime } from './runtime/runtime.ts'
import { SeedWatch } from './runtime/seed-watch.ts'
import { UpdateExchange } from './runtime/updates.ts'
import { WebFiles } from './sources/web-files.ts'
import { HeldFiles } from './store/held-files.ts'
import { KeptStore } from './store/kept.ts'
import { ReceiptStore } from './store/receipts.ts'
import { ShardFetcher } from './transfer/fetch-shard.ts'
import { Observer } from './upstream/observer.ts'
import { VERSION } from './version.ts'

export interface Member {
  readonly base: Base
  /** Read only: the runtime changes it. */
  readonly state: CoreState
  readonly catalogs: CatalogExchange
  readonly receipts: ReceiptStore
  /** What the form of the dump files says that were fetched since the start. */
  readonly findings: Findings
  /** What status needs besides the state. */
  statusExtra(): Promise<StatusExtra>
  /** Hands everything over (PROTOCOL 8); resolves when nothing is left here. */
  leave(): Promise<void>
  /** Never resolves; rejects with the error that stopped the core. */
  readonly failed: Promise<never>
  stop(): Promise<void>
}

/** Peers dialled at start (PROTOCOL 10). */
const REMEMBERED_MAX = 200
/** How often the core is asked whether it is due; every rule that waits is in ms, so this only bounds how late it acts. */
const TICK_MS = 100
/** Wikimedia's robot policy: small requests one at a time, with pauses. */
export const BREATHE_MS = 1_000

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
  const { identity, store, network, engine, hasher, origin, gate, files, clock, log, root } = base
  const startedAtMs = clock.wallMs()
  const now = { wallMs: startedAtMs, monotonicMs: clock.monotonicMs() }
  const names = createNames()
  const init = {
    names,
    ranks: new RankCache(names),
    self: identity.nodeId,
    schedule: root.parameterChanges,
    settings,
  }
  const kept = new KeptStore(store)
  const state = initialState(init, await kept.load(), now)
  // They change at a time that the root names; the core says which hold now.
  const parameters = () => state.parameters
  const runtime = new Runtime({ state, clock, log, tickMs: TICK_MS, onFatal: fatal.reject })
  const dispatch = runtime.dispatch.bind(runtime)

  const held = await HeldFiles.open(store, log)
  const copies = new OwnCopies({ state, files, held, engine, hasher, clock, log, dispatch })
  const looksAtFiles = base.config.engine.kind !== 'own'
  const seedWatch = new SeedWatch({ state, engine, copies, looksAtFiles, clock, log })
  const reread = new Reread({
    files,
    held,
    list: () => copies.list(),
    check: (shard) => copies.check(shard),
    pace: createPacer(base.config.rereadLimitBytesPerSecond, clock, sleep),
    sleep,
    clock,
    log,
  })
  const strangers = new Set<string>()
  const updates = new UpdateExchange({
    identity,
    network,
    store,
    clock,
    log,
    parameters,
    heard: (record, change) => {
      // PROTOCOL 3: a node on other parameters is heard, with a warning once.
      if (record.head.parameters !== state.parametersFingerprint && !strangers.has(record.node)) {
        strangers.add(record.node)
        log.warn({ node: record.node, theirs: record.head.parameters }, 'a node runs with other parameters')
      }
      dispatch({ kind: 'record', record, change })
    },
    contradicted: (node) => dispatch({ kind: 'equivocation', node }),
    ahead: (sequence) => dispatch({ kind: 'ahead', sequence }),
  })
  const documents = new Documents({ network, store, log })
  const catalogs = new CatalogExchange({
    network,
    store,
    documents,
    log,
    coordinators: new Set(root.coordinators.map((one) => one.nodeId)),
    known: (key) => state.own.get(key)?.shard ?? state.shards.get(key),
    changed: (known) => dispatch({ kind: 'catalogs', ...known }),
  })
  const receiptStore = await ReceiptStore.open(store, log)
  const checkOwn = (shard: Shard) => copies.check(shard)
  const observations = new ObservationExchange({
    identity,
    operator: settings.operator,
    network,
    store,
    documents,
    clock,
    log,
    parameters,
    classOf: (node) => observerClass(state.ledger, names.nodes.find(node)),
    heard: (observation, replaces) => dispatch({ kind: 'observation', observation, replaces }),
    gotRun: (sha256, shards) => dispatch({ kind: 'run', sha256, shards }),
  })
  const observer = new Observer({
    origin,
    clock,
    log,
    settledAfterMs: () => parameters().settledAfterMs,
    breathe: (signal) => sleep(BREATHE_MS, signal),
    publish: (runs) => observations.publish(runs),
  })
  const auditor = new Auditor({
    identity,
    network,
    receipts: receiptStore,
    clock,
    log,
    parameters,
    mirror: files.mirror,
    held: (key: ShardKey) => copies.held(key),
    checkOwn,
  })
  const fileAuditor = new FileAuditor({ auditor, engine, hasher, files, log })
  const receipts = new Receipts({
    identity,
    network,
    receipts: receiptStore,
    auditor,
    mirror: files.mirror,
    checkOwn,
    dispatch,
    log,
  })
  const isArchived = (shard: ShardKey) => state.archived.has(shard)
  const web = new WebFiles({
    origin,
    sources: {
      mirrors: base.config.mirrors,
      archiveUrl: base.config.fromArchive ? base.config.archiveSite : null,
      originLabel: origin.label,
    },
    isArchived,
    clock,
    log,
  })
  const findings = new Findings(log)
  const fetcher = new ShardFetcher({
    files,
    origin,
    web,
    gate,
    isArchived,
    engine,
    hasher,
    clock,
    settledAfterMs: () => parameters().settledAfterMs,
    mustReadFirst: (shard) => mustReadFirst(state, shard),
    structureAlways: settings.role === 'collector',
    found: (shard, found) => findings.note(shard, found),
    hold: (shard, infohash) => copies.hold(shard, infohash),
  })
  const promises = new Promises({ identity, network, auditor, log, dispatch })
  const performer = new Performer({
    network,
    kept,
    engine,
    files,
    fetcher,
    auditor,
    fileAuditor,
    receipts,
    promises,
    updates,
    observations,
    observer,
    log,
    dispatch,
    checkOwn,
    forgetHeld: (infohash) => copies.forget(infohash),
  })
  const reach = new Reach({
    network,
    endpoints: base.endpoints,
    dhtPort: base.dhtPort,
    announceHost: base.config.announceHost,
    routers: base.config.mapPorts
      ? [new NatPmpRouter({ gateway: defaultGateway }), new UpnpRouter({ random: Math.random })]
      : [],
    relay: base.config.relay,
    bittorrentHost: base.config.bittorrent.host,
    onOutside: (endpoint) => engine.setOutside(endpoint),
    clock,
    sleep,
    random: Math.random,
    log,
    dispatch,
  })
  const neighbours = new Neighbours({
    network,
    updates,
    catalogs,
    observations,
    log,
    dispatch,
    portTests: reach.tests,
    antiEntropyMs: () => parameters().antiEntropyMs,
  })

  const left = Promise.withResolvers<void>()
  runtime.start(async (effect) => {
    await performer.perform(effect)
    if (effect.kind === 'publish' && state.leaving && state.own.size === 0) left.resolve()
  })
  await catalogs.restore()
  await updates.restore()
  await observations.restore()
  await files.sweep([...state.own.values()].filter((own) => own.state === 'claimed').map((own) => own.shard))
  await copies.resume()
  await network.start()
  await runtime.idle()
  // The nodes that were known before: what their manifests say was taken in before the network stood.
  for (const { node, head } of [...state.ledger.nodes()].slice(0, REMEMBERED_MAX)) {
    const { libp2p } = head.endpoints
    if (node !== identity.nodeId && libp2p.length > 0) void network.connect([...libp2p])
  }
  reach.start()
  neighbours.start()
  seedWatch.start()
  reread.start()

  log.info({ addresses: network.addresses(), bittorrent: engine.port }, 'joined the federation')

  return {
    base,
    state,
    catalogs,
    receipts: receiptStore,
    findings,
    failed: fatal.promise,
    leave: () => {
      dispatch({ kind: 'leave' })
      return left.promise
    },
    statusExtra: async () => ({
      version: VERSION,
      role: settings.role === 'collector' ? 'coordinator' : 'node',
      federation: root.federationId,
      startedAtMs,
      nowMs: clock.wallMs(),
      peers: network.peers().length,
      addresses: network.addresses(),
      ports: reach.ports(),
      bittorrentPort: engine.port,
      originBytes: origin.bytesReceived,
      elsewhereBytes: origin.bytesElsewhere,
      pace: {
        pausedBy: gate.pause?.reason ?? null,
        pausedFetches: gate.pause?.fetches ?? 0,
        webLimitBytesPerSecond: base.config.webLimitBytesPerSecond,
        quietHours: base.config.quietHours.map(windowText),
        monthUsedBytes: base.budget.usedBytes,
        monthlyBudgetBytes: base.config.monthlyBudgetBytes,
      },
      badSources: web.bad,
      torrents: await engine.stats(),
      engine: base.engineAbout(),
      discovery: await engine.discovery(),
    }),
    stop: async () => {
      neighbours.stop()
      await reach.stop()
      seedWatch.stop()
      await reread.stop()
      await copies.stop()
      await performer.stop()
      await runtime.stop()
      await updates.stop()
      await base.close()
    },
  }
}

/**
 * A coordinator (PROTOCOL 9): describe, preserve, publish; never assign. A member of the federation that collects every shard
 * from the swarm, and three loops beside it.
 */
import { readFile } from 'node:fs/promises'
import { startHttp } from '../node/http/server.ts'
import { type Member, startMember } from '../node/member.ts'
import { receiptsStatus } from '../node/observe/receipts-status.ts'
import type { OutsideFacts } from '../node/observe/shard-status.ts'
import { nodeStatus, shardStatuses } from '../node/observe/status.ts'
import { AGENT } from '../node/version.ts'
import { viewOf } from '../protocol/core/state.ts'
import type { Infohash, ShardKey } from '../protocol/ids.ts'
import { health } from '../protocol/ledger/health.ts'
import type { Shard } from '../protocol/shard/shard.ts'
import { CatalogWriter } from './catalog.ts'
import type { CoordinatorConfig } from './config.ts'
import { DiscoverLoop } from './discover-loop.ts'
import { loadKeys } from './federation/keys.ts'
import { realSleep } from './http/sleep.ts'
import { type LocalShard, readLocalShard } from './merge.ts'
import { MirrorProbes } from './mirror-probes.ts'
import { createInternetArchive } from './preserve/internet-archive.ts'
import { PreserveLoop } from './preserve-loop.ts'
import { coordinatorProblems } from './problems.ts'
import type { MergedShard } from './publish/merged-shard.ts'
import { archiveWebSeeds, mirrorWebSeed, WEB_SEEDS_MAX, webSeedMirrors } from './publish/torrent-lists.ts'
import { PublishLoop } from './publish-loop.ts'
import { PublishedLists } from './published-lists.ts'
import { type Accepted, type Archived, Records, readAccepted, readArchived } from './records.ts'
import { publishTargets } from './targets.ts'

export interface RunningCoordinator {
  readonly httpUrl: string
  /** Never resolves; rejects with the error that stopped it. */
  readonly failed: Promise<never>
  stop(): Promise<void>
}

/** Rejects with an Error of one sentence when it cannot start. */
export async function startCoordinator(config: CoordinatorConfig): Promise<RunningCoordinator> {
  const keys = await loadKeys(config.keysDir)
  const member = await startMember(config, {
    role: 'collector',
    agent: AGENT,
    operator: config.operator,
    languages: [],
    projects: [],
    bytesTotal: config.bytesTotal,
    claimsMax: config.fetchesMax,
    fetchesMax: config.fetchesMax,
    originFallback: false,
  })
  try {
    return await assemble(config, keys, member)
  } catch (error) {
    await member.stop()
    throw error
  }
}

async function assemble(
  config: CoordinatorConfig,
  keys: Awaited<ReturnType<typeof loadKeys>>,
  member: Member,
): Promise<RunningCoordinator> {
  const { base, state } = member
  const { clock, log, store, identity, origin, files } = base
  if (!base.root.coordinators.some((one) => one.nodeId === identity.nodeId)) {
    throw new Error(`the root document does not list this coordinator's identity ${identity.nodeId}`)
  }
  const accepted = await Records.open<Accepted>(store, 'merged', readAccepted)
  const archived = await Records.open<Archived>(store, 'archived', readArchived)
  const listed = [{ node: identity.nodeId, operator: config.operator }, ...config.operators]
  const catalog = new CatalogWriter(
    { identity, catalogs: member.catalogs, clock, log },
    listed,
    () => state.parameters,
  )
  const preserve =
    config.archive === null
      ? null
      : new PreserveLoop({
          archive: createInternetArchive({
            ...config.archive,
            userAgent: `${AGENT} (${config.contact})`,
            sleep: realSleep,
            clock,
            log,
          }),
          records: archived,
          clock,
          log,
          verifyEveryMs: () => Math.floor(state.parameters.auditValidMs / 2),
        })
  const publish = await PublishLoop.open({
    root: await readFile(config.rootPath),
    keys,
    targets: await publishTargets(config, { clock, log, folder: base.layout.root }),
    store,
    clock,
    log,
    publicUrl: config.publicUrl,
    places: { archiveSite: config.archiveSite, mirrors: [config.originUrl, ...config.mirrors] },
  })

  const probes = await MirrorProbes.open({
    mirrors: webSeedMirrors(config.mirrors, config.originUrl),
    origin,
    store,
    clock,
    sleep: realSleep,
    log,
  })
  const lists = await PublishedLists.open(store, clock)

  const stopping = new AbortController()
  const { signal } = stopping
  const fatal = Promise.withResolvers<never>()
  fatal.promise.catch(() => {})
  member.failed.catch(fatal.reject)
  const verifiedAtMs = (key: ShardKey) => archived.get(key)?.verifiedAtMs
  const { exports, trackers } = config
  const discovery = new DiscoverLoop({ origin, clock, log, state, catalog, exports, verifiedAtMs })
  const local = new Map<ShardKey, LocalShard>()
  const mergeRound = async () => {
    for (const own of [...state.own.values()]) {
      if (own.state !== 'held' || own.infohash === null || local.has(own.shard.key)) continue
      local.set(own.shard.key, await readLocalShard(own.shard, own.infohash, files))
      if (accepted.get(own.shard.key)?.infohash !== own.infohash) {
        await accepted.set(own.shard.key, { infohash: own.infohash, acceptedAtMs: clock.wallMs() })
      }
    }
  }
  const merged = (): Promise<MergedShard[]> =>
    Promise.all(
      [...local.values()].map(async ({ shard, infohash, files: all, torrent }) => ({
        id: shard.id,
        digest: shard.digest,
        infohash,
        name: shard.name,
        sizeBytes: shard.sizeBytes,
        files: all,
        torrent,
        ...(await lists.of(shard.key, { trackers, webSeeds: webSeedsOf(shard) })),
        replicas: healthOf(shard).audited,
        peers: seedsOf(shard, infohash),
        archive: archived.get(shard.key) ?? null,
        acceptedAtMs: accepted.get(shard.key)?.acceptedAtMs ?? clock.wallMs(),
      })),
    )
  const webSeedsOf = (shard: Shard) => {
    const item = archived.get(shard.key)
    const isFresh = item !== undefined && clock.wallMs() - item.verifiedAtMs < state.parameters.auditValidMs
    const mirrors = probes.whole(shard).map((mirror) => mirrorWebSeed(mirror, shard))
    return [...(isFresh ? archiveWebSeeds(config.archiveSite, item) : []), ...mirrors].slice(0, WEB_SEEDS_MAX)
  }
  /** Holders that others reach, and this coordinator, which holds what it publishes (PROTOCOL 9). */
  const seedsOf = (shard: Shard, infohash: Infohash) => [
    ...state.bittorrent,
    ...healthOf(shard)
      .replicas.filter((one) => one.reachable && one.infohash === infohash)
      .flatMap(
        (one) =>
          state.ledger.record(state.ledger.names.nodes.find(one.node))?.head.endpoints.bittorrent ?? [],
      ),
  ]
  const healthOf = (shard: Shard) => {
    const now = { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() }
    return health(shard.key, viewOf(state, now), verifiedAtMs(shard.key))
  }

  const loops = [
    every(config.discoverEveryMs, () => discovery.round(signal), signal),
    every(
      config.preserveEveryMs,
      async () => {
        await mergeRound()
        await preserve?.round([...local.values()], signal)
      },
      signal,
    ),
    every(
      config.preserveEveryMs,
      () =>
        probes.round(
          [...local.values()].map(({ shard }) => shard),
          signal,
        ),
      signal,
    ),
    every(config.publishEveryMs, async () => void (await publish.round(await merged(), signal)), signal),
  ]
  for (const loop of loops) loop.catch(fatal.reject)

  const outside = (key: ShardKey): OutsideFacts => ({
    infohash: accepted.get(key)?.infohash ?? null,
    archiveItem: archived.get(key)?.item ?? null,
    archiveVerifiedAtMs: verifiedAtMs(key) ?? null,
    published: publish.isPublished(key),
  })
  const problems = () =>
    coordinatorProblems({
      discoverProblem: discovery.problem,
      runProblems: discovery.runProblems,
      preserve,
      publish,
      silentMirrors: probes.silent(),
      nowMs: clock.wallMs(),
    })
  const http = await startHttp({
    ...config.http,
    status: async () =>
      nodeStatus(member.state, { ...(await member.statusExtra()), problems: problems(), outside }),
    shards: () =>
      shardStatuses(state, clock.wallMs(), { outside, structureOf: (shard) => member.findings.of(shard) }),
    receipts: () => receiptsStatus(member.receipts),
  })
  log.info({ http: http.url }, 'the coordinator is up')
  return {
    httpUrl: http.url,
    failed: fatal.promise,
    stop: async () => {
      stopping.abort()
      await http.close()
      await Promise.allSettled(loops)
      await member.stop()
    },
  }
}

/** Runs the round, waits, runs again, until the signal; rejects with what a round throws. */
async function every(waitMs: number, round: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await round()
    if (!signal.aborted) await realSleep(waitMs, signal).catch(() => {})
  }
}

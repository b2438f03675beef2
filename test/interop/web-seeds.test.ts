/**
 * The clients of others with what a coordinator publishes: its own .torrent file, with trackers and web seeds in it (BEP 12, 19), or its
 * magnet link. A web seed's address, the torrent's name and the path in it make the URL of a file: `<url>fatwiki/20240920/<file>`. So a
 * mirror of the dumps fits as it is, and an item of the Internet Archive fits when its keys begin with the torrent's name.
 *
 * The Archive answers `/download/` with a redirect for each file. libtorrent 2.0 follows the first of a connection and forgets the
 * others, and never gets a piece that such files share: with that address alone neither it nor qBittorrent ends. So the address of
 * the storage node stands beside it, as the Archive has it in its own torrents; the metadata API tells it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { createKeys, type FederationKeys } from '../../coordinator/federation/keys.ts'
import { realSleep } from '../../coordinator/http/sleep.ts'
import { MirrorProbes } from '../../coordinator/mirror-probes.ts'
import { type ArchivedItem, createInternetArchive } from '../../coordinator/preserve/internet-archive.ts'
import { buildPublication } from '../../coordinator/publish/publication.ts'
import { archiveWebSeeds, mirrorWebSeed, type TorrentLists } from '../../coordinator/publish/torrent-lists.ts'
import { createOrigin } from '../../node/origin/origin.ts'
import type { TorrentPeer } from '../../node/ports.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { readMergedManifest } from '../../protocol/manifest/merged-manifest.ts'
import { itemPath } from '../../protocol/shard/archive-item.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { OTHERS } from '../support/clients/all.ts'
import type { ClientDriver } from '../support/clients/client.ts'
import { freePort } from '../support/clients/program.ts'
import { startTracker } from '../support/clients/tracker.ts'
import { transmission } from '../support/clients/transmission.ts'
import { realClock } from '../support/fetcher.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { TEST_PLACES, testRoot } from '../support/publication.ts'
import { FIXTURES, type HeldShard, holdRun } from '../support/published.ts'
import { startWorld, type World } from '../world/world.ts'

const WIKI = 'fatwiki'
/** Brings the whole run in 21 s; the mirror does in less than one. */
const SLOW_BYTES_PER_SECOND = 128 * 1024

let base: string
let mirror: string
let run: HeldShard
let world: World
let keys: FederationKeys
let item: ArchivedItem

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'wikiseed-web-seeds-'))
  keys = await createKeys(base)
  mirror = join(base, 'mirror')
  const [held] = await holdRun(mirror, `${WIKI}/20240920`)
  if (held === undefined) throw new Error('the fixture has no run')
  run = held
  world = await startWorld({ dumps: FIXTURES, archiveLagMs: 0 })
  const archive = createInternetArchive({
    s3Url: world.urls.archiveS3,
    siteUrl: world.urls.archive,
    ...world.credentials.archive,
    userAgent: 'wikiseed-test (mailto:test@example.org)',
    clock: realClock,
    sleep: (ms, signal) => realSleep(ms / 100, signal),
    log: silentLog,
  })
  const files = run.merged.files.map((file) => ({
    ...file,
    path: itemPath(run.merged, file.path),
    diskPath: join(mirror, WIKI, file.path),
  }))
  item = await archive.preserve({ ...run.merged, files })
})

afterAll(async () => {
  await world.close()
  await rm(base, { recursive: true, force: true })
})

const isMetadata = (path: string) => path.includes('/wikiseed-')

/** What a coordinator with these lists publishes of the run. */
function published(lists: Partial<TorrentLists>): { torrent: Uint8Array; magnet: string } {
  const nowMs = Date.now()
  const { files } = buildPublication({
    root: testRoot(keys, nowMs),
    keys,
    shards: [{ ...run.merged, ...lists }],
    previous: null,
    nowMs,
    publicUrl: null,
    places: TEST_PLACES,
  })
  const bytesOf = (path: string) => {
    const file = files.get(path)
    if (file === undefined) throw new Error(path)
    return file.bytes
  }
  const [shard] = readMergedManifest(bytesOf('manifest.json')).shards
  if (shard === undefined) throw new Error('no shard')
  return { torrent: bytesOf(shard.torrent), magnet: shard.magnet }
}

/** The web seeds that a coordinator makes of its mirrors. */
async function mirrorSeeds(mirrors: readonly Mirror[]): Promise<string[]> {
  const origin = createOrigin({
    baseUrl: `${world.urls.wikimedia}/`,
    contact: 'test@example.org',
    version: '0.1.0',
    nodeId: 'test',
    clock: realClock,
    random: () => 0.5,
    backoffBaseMs: 1,
  })
  try {
    const probes = await MirrorProbes.open({
      mirrors: mirrors.map(({ url }) => url),
      origin,
      store: createMemoryStore(),
      clock: realClock,
      sleep: async () => {},
      log: silentLog,
    })
    await probes.round([run.shard], new AbortController().signal)
    return probes.whole(run.shard).map((one) => mirrorWebSeed(one, run.shard))
  } finally {
    await origin.close()
  }
}

/** The run by what was published, and nothing else, into a folder of its own; the bytes are compared. */
async function download(
  context: TestContext,
  driver: ClientDriver,
  what: Uint8Array | string,
  onAdded: (client: { dials: boolean; peer: TorrentPeer }) => void = () => {},
): Promise<void> {
  const missing = driver.missing()
  if (missing !== null) context.skip(`${missing} is not installed`)
  const root = await mkdtemp(join(base, 'to-'))
  const client = await driver.start()
  try {
    await client.leech(what, root, [], () => onAdded(client))
    for (const { path } of run.merged.files) {
      const [expected, got] = await Promise.all([mirror, root].map((dir) => readFile(join(dir, WIKI, path))))
      expect(got?.equals(expected ?? Buffer.alloc(0)), path).toBe(true)
    }
  } finally {
    await client.stop()
  }
}

/** The same with a peer that the tracker of the announce list names; returns what it sent. */
async function downloadFromPeer(
  context: TestContext,
  driver: ClientDriver,
  webSeeds: readonly string[],
  { form = 'torrent', ...limit }: { uploadLimitBytesPerSecond?: number; form?: 'torrent' | 'magnet' } = {},
): Promise<number> {
  const engine = new WebTorrentEngine({ port: 0, ...limit })
  await engine.start()
  const tracker = await startTracker([{ host: '127.0.0.1', port: engine.port }])
  try {
    await engine.seed(run.merged.torrent, mirror)
    const what = published({ trackers: [tracker.url], webSeeds })[form]
    // Who takes the tracker's word on 127.x for nonsense is called by the peer.
    await download(context, driver, what, ({ dials, peer }) => {
      if (!dials) engine.addPeers(run.merged.infohash, [peer])
    })
    expect(tracker.announces).toBeGreaterThan(0)
    return (await engine.stats())[0]?.uploadedBytes ?? 0
  } finally {
    await tracker.close()
    await engine.stop()
  }
}

describe.each(OTHERS.map((driver) => ({ name: driver.name, driver })))('$name', ({ driver }) => {
  it('has the whole run by the published .torrent alone, from the Internet Archive', async (context) => {
    const before = world.log.length
    const webSeeds = archiveWebSeeds(`${world.urls.archive}/`, item)
    expect(webSeeds).toHaveLength(2)
    await download(context, driver, published({ webSeeds }).torrent)
    const asked = world.log.slice(before).filter(({ service }) => service === 'archive')
    expect(asked.some(({ status }) => status === 206)).toBe(true)
    expect(asked.filter(({ status }) => status >= 400)).toEqual([])
  }, 90_000)

  it('has the whole run from a peer although the web seed is dead', async (context) => {
    await downloadFromPeer(context, driver, [`http://127.0.0.1:${await freePort()}/`])
  }, 90_000)

  it('has the whole run by the published magnet link alone', async (context) => {
    const webSeeds = archiveWebSeeds(`${world.urls.archive}/`, item)
    await downloadFromPeer(context, driver, webSeeds, { form: 'magnet' })
  }, 90_000)

  it('has the whole run from a mirror without the metadata files, which was probed, and a slow peer', async (context) => {
    const partial = await startMirror(mirror, isMetadata)
    const lacking = await startMirror(mirror, (path) => isMetadata(path) || path.includes('-index.'))
    try {
      const webSeeds = await mirrorSeeds([lacking, partial])
      expect(webSeeds).toEqual([partial.url])
      const askedBytes = partial.sentBytes
      const limit = { uploadLimitBytesPerSecond: SLOW_BYTES_PER_SECOND }
      const sentBytes = await downloadFromPeer(context, driver, webSeeds, limit)
      expect(partial.sentBytes).toBeGreaterThan(askedBytes)
      expect(sentBytes).toBeGreaterThan(0)
      // Transmission 3.00 waits ever longer for a web seed that once had not what it asked for, and took 2.2 of 2.8 MB from a
      // slow peer; the others take from it what the mirror has not.
      if (driver !== transmission) expect(sentBytes).toBeLessThan(run.merged.sizeBytes / 2)
    } finally {
      await partial.close()
      await lacking.close()
    }
  }, 90_000)
})

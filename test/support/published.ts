/** A federation that published real dumps of test/fixtures: a folder with the publication, and seeds that hold the dumps. */
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createKeys } from '../../coordinator/federation/keys.ts'
import { createLocalFolder } from '../../coordinator/publish/local-folder.ts'
import type { MergedShard } from '../../coordinator/publish/merged-shard.ts'
import { buildPublication } from '../../coordinator/publish/publication.ts'
import { readRunFolder } from '../../node/folder/run-folder.ts'
import { buildShard } from '../../node/transfer/build-shard.ts'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import type { WebTorrentEngineOptions } from '../../node/transfer/torrent-client.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { type ExportDataset, makeExportRun, readSha256Sums } from '../../protocol/dump/content-export.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { TEST_PLACES, testRoot } from './publication.ts'

export const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'dumps')

export interface HeldShard {
  readonly shard: Shard
  readonly merged: MergedShard
}

/**
 * Copies a run (a folder `<wiki>/<date>` below `from`, or of an export `mediawiki_<dataset>/<wiki>/<YYYY-MM-DD>`) into the mirror and
 * makes its torrents there, metadata files included.
 */
export async function holdRun(mirror: string, run: string, from = FIXTURES): Promise<HeldShard[]> {
  await cp(join(from, run), join(mirror, run), { recursive: true })
  const hasher = new WorkerHasher()
  try {
    const shards = run.startsWith('mediawiki_')
      ? await exportShards(join(mirror, run, 'xml', 'bzip2'), run)
      : (await readRunFolder(join(mirror, run), hasher)).shards
    const held: HeldShard[] = []
    for (const shard of shards) {
      const result = await buildShard(shard, mirror, hasher)
      if (!result.ok) throw new Error(`${shard.id} is not whole`)
      const { built } = result
      for (const { path, bytes } of built.metadata) {
        await mkdir(dirname(join(mirror, shard.name, path)), { recursive: true })
        await writeFile(join(mirror, shard.name, path), bytes)
      }
      const dumps = shard.files.map(({ path, sizeBytes }) => {
        const digests = built.digests.get(path)
        if (digests === undefined) throw new Error(path)
        return { path, sizeBytes, digests }
      })
      const metadata = built.metadata.map(({ path, bytes }) => {
        const hex = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex')
        return {
          path,
          sizeBytes: bytes.length,
          digests: { md5: hex('md5'), sha1: hex('sha1'), sha256: hex('sha256') },
        }
      })
      held.push({
        shard,
        merged: {
          id: shard.id,
          digest: shard.digest,
          infohash: built.infohash,
          name: shard.name,
          sizeBytes: shard.sizeBytes,
          files: [...dumps, ...metadata],
          torrent: encodeMetainfo({ info: built.info }),
          trackers: [],
          webSeeds: [],
          replicas: 2,
          peers: [],
          archive: null,
          acceptedAtMs: Date.now(),
        },
      })
    }
    return held
  } finally {
    await hasher.close()
  }
}

/** As upstream describes an export: SHA256SUMS, and the sizes of its files. */
async function exportShards(folder: string, run: string): Promise<Shard[]> {
  const [, dataset, wiki = '', date = ''] =
    /^mediawiki_(content_current|content_history)\/([a-z_]+)\/([0-9-]{10})$/.exec(run) ?? []
  const sizes = new Map<string, number>()
  let sums = ''
  for (const name of (await readdir(folder)).sort()) {
    const bytes = await readFile(join(folder, name))
    sizes.set(name, bytes.length)
    sums += `${createHash('sha256').update(bytes).digest('hex')}  ${name}\n`
  }
  const name = { dataset: dataset as ExportDataset, wiki, date: date.replaceAll('-', '') }
  return cutRun(makeExportRun(name, readSha256Sums(sums, 'SHA256SUMS'), sizes, null))
}

/** Counts what goes through it, both ways, handshakes and all. */
export interface Meter {
  readonly port: number
  bytes(): number
  close(): Promise<void>
}

export async function meterTo(port: number): Promise<Meter> {
  let bytes = 0
  const sockets = new Set<Socket>()
  const server: Server = createServer((inner) => {
    const outer = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(from)
      from.setNoDelay(true)
      from.on('data', (data) => {
        bytes += data.length
        to.write(data)
      })
      from.on('close', () => to.destroy())
      from.on('error', () => to.destroy())
    }
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    bytes: () => bytes,
    close: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise((done) => server.close(() => done()))
    },
  }
}

export interface Published {
  /** Everything of this test. */
  readonly base: string
  readonly mirror: string
  /** The folder with manifest.json. */
  readonly dir: string
  /** Path of 1.root.json. */
  readonly rootPath: string
  readonly root: Uint8Array
  readonly held: readonly HeldShard[]
  /** A second seed's folder can be damaged without harm to the first: each has its own. */
  readonly seeds: readonly { engine: WebTorrentEngine; mirror: string; meter: Meter }[]
  /** Bytes that went to and from the seeds. */
  wireBytes(): number
  close(): Promise<void>
}

export interface PublishedOptions {
  readonly runs: readonly string[]
  readonly seeds?: number
  /** Of each seed. @default no limit */
  readonly uploadBytesPerSecond?: number
  /** How the seeds are found besides. */
  readonly discovery?: Pick<WebTorrentEngineOptions, 'dht' | 'trackers'>
  /** Whether the manifest names the seeds as peers. @default true */
  readonly namesPeers?: boolean
  /** Where the runs are copied from. */
  readonly from?: string
  /** Names of Internet Archive items by shard id. */
  readonly items?: Readonly<Record<string, string>>
  /** When it was published. */
  readonly nowMs?: number
  readonly publicUrl?: string | null
  readonly places?: typeof TEST_PLACES
}

export async function publishRuns(options: PublishedOptions): Promise<Published> {
  const base = await mkdtemp(join(tmpdir(), 'wikiseed-published-'))
  const mirror = join(base, 'mirror')
  const held: HeldShard[] = []
  for (const run of options.runs) held.push(...(await holdRun(mirror, run, options.from)))
  const seeds: { engine: WebTorrentEngine; mirror: string; meter: Meter }[] = []
  for (let index = 0; index < (options.seeds ?? 2); index++) {
    const own = join(base, `seed-${index}`)
    await cp(mirror, own, { recursive: true })
    const limit = options.uploadBytesPerSecond
    const engine = new WebTorrentEngine({
      port: 0,
      ...options.discovery,
      ...(limit === undefined ? {} : { uploadLimitBytesPerSecond: limit }),
    })
    await engine.start()
    for (const { merged } of held) await engine.seed(merged.torrent, own)
    seeds.push({ engine, mirror: own, meter: await meterTo(engine.port) })
  }
  const named = options.namesPeers === false ? [] : seeds
  const peers = named.map(({ meter }) => ({ host: '127.0.0.1', port: meter.port }))
  const nowMs = options.nowMs ?? Date.now()
  const keys = await createKeys(base)
  const root = testRoot(keys, Date.now())
  const rootPath = join(base, '1.root.json')
  await writeFile(rootPath, root)
  const shards = held.map(({ merged }) => {
    const item = options.items?.[merged.id]
    return { ...merged, peers, archive: item === undefined ? null : { item, verifiedAtMs: nowMs } }
  })
  const publicUrl = options.publicUrl ?? null
  const { files } = buildPublication({
    root,
    keys,
    shards,
    previous: null,
    nowMs,
    publicUrl,
    places: options.places ?? TEST_PLACES,
  })
  const dir = join(base, 'published')
  await createLocalFolder({ dir }).publish(files)
  return {
    base,
    mirror,
    dir,
    rootPath,
    root,
    held,
    seeds,
    wireBytes: () => seeds.reduce((sum, { meter }) => sum + meter.bytes(), 0),
    close: async () => {
      for (const { engine, meter } of seeds) {
        await meter.close()
        await engine.stop()
      }
      await rm(base, { recursive: true, force: true })
    },
  }
}

/** The bytes of a file of the published mirror. */
export const original = (published: Published, path: string): Promise<Buffer> =>
  readFile(join(published.mirror, path))

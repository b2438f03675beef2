// Longer than 300 lines: the whole contract of one port, to be read from top to bottom.
/** What every TorrentEngine must do, on real sockets of loopback. Another engine runs it by passing its own factory. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TorrentEngine, TorrentPeer, TorrentStats } from '../../node/ports.ts'
import {
  PIECE_BYTES,
  type SampleTorrent,
  sampleTorrent,
  writeSample,
  wrongFiles,
} from '../support/torrents.ts'

/** Makes an engine that is not started and listens on 127.0.0.1; port 0 = the system chooses. */
export type EngineFactory = (options: { port: number }) => TorrentEngine

/** What an engine does not do, or does its own way. */
export interface EngineTraits {
  /** Where it takes connections for what it fetches. @default its port */
  readonly fetchPort?: (engine: TorrentEngine) => number
  /** Another program begins a moment after it was told: resolves when all that was given is seeded. */
  readonly settled?: (engine: TorrentEngine) => Promise<void>
  /** For peers that seed what is wrong, when this engine looks before it seeds. @default the same */
  readonly makeLiar?: EngineFactory
  /** Its seeds dial peers that they are told of. @default true */
  readonly seedsDial?: boolean
  /** What it says it sent holds the heads of messages too: 13 bytes a block. @default false */
  readonly countsHeads?: boolean
  /**
   * Its seeds let a stranger wait before the first byte, some ten seconds: what is about fetching, which the node's own engine does
   * whoever seeds, is left out. @default false
   */
  readonly seedsWait?: boolean
  /** A file that it cannot read fails the seed, without anybody else looking. @default true */
  readonly noticesLoss?: boolean
  /** It listens itself, and says so when it cannot. @default true */
  readonly listens?: boolean
}

/** Another program counts what it sent now and then. */
const COUNTED = { timeout: 10_000 }
/** Some let a stranger wait, twice in one test. */
const PATIENT = { timeout: 90_000 }

export function torrentEngineSuite(
  name: string,
  makeEngine: EngineFactory,
  {
    fetchPort = (engine) => engine.port,
    settled = async () => {},
    makeLiar = makeEngine,
    seedsDial = true,
    countsHeads = false,
    seedsWait = false,
    noticesLoss = true,
    listens = true,
  }: EngineTraits = {},
): void {
  describe(`torrent engine: ${name}`, () => {
    // What does not apply is no test of this engine: a skipped one would say that something is missing.
    const itWhen = (applies: boolean) => (applies ? it : ((() => {}) as unknown as typeof it))
    const itFetches = itWhen(!seedsWait)
    let root: string
    const engines: TorrentEngine[] = []

    beforeEach(async () => {
      root = await mkdtemp(join(tmpdir(), 'wikiseed-engine-'))
    })

    afterEach(async () => {
      await Promise.all(engines.splice(0).map((engine) => engine.stop()))
      await rm(root, { recursive: true })
    })

    async function started(port = 0, make = makeEngine): Promise<TorrentEngine> {
      const engine = make({ port })
      engines.push(engine)
      await engine.start()
      return engine
    }

    async function seeder(...samples: SampleTorrent[]): Promise<TorrentEngine> {
      const engine = await started()
      for (const sample of samples) {
        await writeSample(sample, join(root, 'seed'))
        await engine.seed(sample.torrent, join(root, 'seed'))
      }
      await settled(engine)
      return engine
    }

    const at = (engine: TorrentEngine): TorrentPeer => ({ host: '127.0.0.1', port: engine.port })
    const fetcherAt = (engine: TorrentEngine): TorrentPeer => ({ host: '127.0.0.1', port: fetchPort(engine) })
    /** Its first seed sent these payload bytes, and no more. */
    const expectSent = async (engine: TorrentEngine, count: number) => {
      const sent = async () => (await engine.stats())[0]?.uploadedBytes ?? 0
      await expect.poll(sent, COUNTED).toBeGreaterThanOrEqual(count)
      expect(await sent()).toBeLessThanOrEqual(countsHeads ? count * 1.01 : count)
    }
    const accept = () => true
    const small = sampleTorrent('tenwiki', [40_000, 0, 5, 100_000])

    it('fetches by infohash what another seeds, byte for byte, and says the raw info dictionary', async () => {
      const a = await seeder(small)
      const b = await started()
      const seen: TorrentStats[] = []
      const got = await b.fetch(small.infohash, join(root, 'b'), {
        peers: [at(a)],
        accept: (info) => Buffer.from(info).equals(small.info),
        onProgress: (stats) => seen.push(stats),
      })
      expect(Buffer.from(got.info).equals(small.info)).toBe(true)
      expect(got.downloadedBytes).toBe(small.sizeBytes)
      expect(await wrongFiles(small, join(root, 'b'))).toEqual([])
      expect(seen.at(-1)).toMatchObject({
        state: 'fetching',
        sizeBytes: small.sizeBytes,
        doneBytes: small.sizeBytes,
      })
      expect(await b.stats()).toEqual([])
      expect(await a.stats()).toMatchObject([
        {
          infohash: small.infohash,
          state: 'seeding',
          doneBytes: small.sizeBytes,
        },
      ])
      await expectSent(a, small.sizeBytes)
    })

    it('writes nothing and asks for nothing when the info dictionary is refused', async () => {
      const a = await seeder(small)
      const b = await started()
      const fetching = b.fetch(small.infohash, join(root, 'b'), { peers: [at(a)], accept: () => false })
      await expect(fetching).rejects.toMatchObject({ name: 'TorrentError', code: 'metadata-mismatch' })
      expect(await readdir(root)).not.toContain('b')
      expect((await a.stats())[0]?.uploadedBytes).toBe(0)
      expect(await b.stats()).toEqual([])
    })

    itFetches('asks only for the pieces that are not on disk in the right form', async () => {
      const sample = sampleTorrent('aawiki', [4 * PIECE_BYTES, 4 * PIECE_BYTES, 4 * PIECE_BYTES])
      const a = await seeder(sample)
      const b = await started()
      await writeSample(sample, join(root, 'b'), (bytes, index) => {
        if (index === 0) return bytes
        if (index === 1) return bytes.map((byte, i) => (i === PIECE_BYTES ? byte ^ 1 : byte)) // one piece is wrong
        return bytes.subarray(0, PIECE_BYTES + 7) // three are missing
      })
      const got = await b.fetch(sample.infohash, join(root, 'b'), { peers: [at(a)], accept })
      expect(got.downloadedBytes).toBe(4 * PIECE_BYTES)
      expect(await wrongFiles(sample, join(root, 'b'))).toEqual([])
    })

    it('asks for no payload when everything is on disk, and cuts what an older download left behind a file', async () => {
      const a = await seeder(small)
      const b = await started()
      await writeSample(small, join(root, 'b'), (bytes) => Buffer.concat([bytes, Buffer.from('left over')]))
      const got = await b.fetch(small.infohash, join(root, 'b'), { peers: [at(a)], accept })
      expect(got.downloadedBytes).toBe(0)
      expect(await wrongFiles(small, join(root, 'b'))).toEqual([])
    })

    itFetches('passes a torrent on along a chain whose beginning is gone', async () => {
      const a = await seeder(small)
      const b = await started()
      const c = await started()
      await b.fetch(small.infohash, join(root, 'b'), { peers: [at(a)], accept })
      await b.seed(small.torrent, join(root, 'b'))
      await a.stop()
      await c.fetch(small.infohash, join(root, 'c'), { peers: [at(a), at(b)], accept })
      expect(await wrongFiles(small, join(root, 'c'))).toEqual([])
    })

    itFetches('reaches a peer that comes up after the fetch began', async () => {
      const gone = await started()
      const peer = at(gone)
      await gone.stop()
      const b = await started()
      const fetching = b.fetch(small.infohash, join(root, 'b'), { peers: [peer], accept })
      expect(await b.stats()).toMatchObject([{ state: 'fetching-metadata', sizeBytes: 0, doneBytes: 0 }])
      await writeSample(small, join(root, 'seed'))
      const a = await started(peer.port)
      await a.seed(small.torrent, join(root, 'seed'))
      await fetching
      expect(await wrongFiles(small, join(root, 'b'))).toEqual([])
    })

    itFetches('gets the torrent from a peer that is up but begins to seed later', async () => {
      const a = await started()
      const b = await started()
      const fetching = b.fetch(small.infohash, join(root, 'b'), { peers: [at(a)], accept })
      await writeSample(small, join(root, 'seed'))
      await a.seed(small.torrent, join(root, 'seed'))
      await fetching
      expect(await wrongFiles(small, join(root, 'b'))).toEqual([])
    })

    itFetches('uses peers that are added later, and lets a dead one not hinder it', async () => {
      const a = await seeder(small)
      const dead = await started()
      const deadPeer = at(dead)
      await dead.stop()
      const b = await started()
      const fetching = b.fetch(small.infohash, join(root, 'b'), { peers: [deadPeer], accept })
      b.addPeers(small.infohash, [at(a)])
      b.addPeers(sampleTorrent('xxwiki', [1]).infohash, [at(a)])
      await fetching
      expect(await wrongFiles(small, join(root, 'b'))).toEqual([])
    })

    itWhen(seedsDial)('lets a seed dial a fetcher that cannot dial it', async () => {
      const a = await seeder(small)
      const b = await started()
      const fetching = b.fetch(small.infohash, join(root, 'b'), { peers: [], accept })
      a.addPeers(small.infohash, [fetcherAt(b)])
      await fetching
      expect(await wrongFiles(small, join(root, 'b'))).toEqual([])
    })

    itFetches('stops a fetch when the signal aborts, and goes on from there the next time', async () => {
      const sample = sampleTorrent('fatwiki', Array(8).fill(40 * PIECE_BYTES))
      const a = await seeder(sample)
      const b = await started()
      const abort = new AbortController()
      const cut = b.fetch(sample.infohash, join(root, 'b'), {
        peers: [at(a)],
        accept,
        signal: abort.signal,
        onProgress: () => abort.abort(),
      })
      await expect(cut).rejects.toMatchObject({ name: 'TorrentError', code: 'aborted' })
      expect(await b.stats()).toEqual([])
      const got = await b.fetch(sample.infohash, join(root, 'b'), { peers: [at(a)], accept })
      expect(got.downloadedBytes).toBeLessThan(sample.sizeBytes)
      expect(await wrongFiles(sample, join(root, 'b'))).toEqual([])
    })

    it('does not begin when the signal has aborted', async () => {
      const b = await started()
      const signal = AbortSignal.abort()
      const fetching = b.fetch(small.infohash, join(root, 'b'), { peers: [], accept, signal })
      await expect(fetching).rejects.toMatchObject({ code: 'aborted' })
      expect(await b.stats()).toEqual([])
    })

    it('forgets a removed seed and keeps its files', async () => {
      const a = await seeder(small)
      await a.remove(small.infohash)
      expect(await a.stats()).toEqual([])
      expect(await wrongFiles(small, join(root, 'seed'))).toEqual([])
      await a.remove(small.infohash)
      await a.seed(small.torrent, join(root, 'seed'))
      expect((await a.stats()).length).toBe(1)
    })

    it('rejects a fetch that is removed or whose engine stops', async () => {
      const b = await started()
      const removed = b.fetch(small.infohash, join(root, 'b'), { peers: [], accept })
      const wasRemoved = expect(removed).rejects.toMatchObject({ code: 'aborted' })
      await b.remove(small.infohash)
      await wasRemoved
      const stopped = b.fetch(small.infohash, join(root, 'b'), { peers: [], accept })
      const wasStopped = expect(stopped).rejects.toMatchObject({ code: 'aborted' })
      await b.stop()
      await wasStopped
      await expect(b.fetch(small.infohash, root, { peers: [], accept })).rejects.toMatchObject({
        code: 'engine',
      })
    })

    it('takes seeding the same torrent twice as once, and refuses two fetches of one torrent', async () => {
      const a = await seeder(small)
      await a.seed(small.torrent, join(root, 'seed'))
      expect((await a.stats()).length).toBe(1)
      const b = await started()
      const first = b.fetch(small.infohash, join(root, 'b'), { peers: [], accept })
      const second = b.fetch(small.infohash, join(root, 'b'), { peers: [], accept })
      await expect(second).rejects.toMatchObject({ code: 'engine' })
      b.addPeers(small.infohash, [at(a)])
      await first
    })

    it('seeds nothing whose files are missing or of another size', async () => {
      const a = await started()
      await expect(a.seed(small.torrent, join(root, 'seed'))).rejects.toMatchObject({ code: 'disk' })
      await writeSample(small, join(root, 'seed'), (bytes, i) => (i === 3 ? bytes.subarray(1) : bytes))
      await expect(a.seed(small.torrent, join(root, 'seed'))).rejects.toMatchObject({ code: 'disk' })
      expect(await a.stats()).toEqual([])
    })

    it('seeds nothing that is no .torrent file of ours', async () => {
      const a = await started()
      await expect(a.seed(small.info, root)).rejects.toMatchObject({ code: 'metadata-mismatch' })
      await expect(a.seed(small.torrent.subarray(1), root)).rejects.toMatchObject({
        code: 'metadata-mismatch',
      })
    })

    itWhen(noticesLoss)(
      'says that a seed failed when its file vanishes, and the fetch goes on with another peer',
      PATIENT,
      async () => {
        const one = sampleTorrent('onewiki', [20 * PIECE_BYTES])
        const a = await seeder(one)
        await rm(join(root, 'seed', one.name), { recursive: true })
        const b = await started()
        const fetching = b.fetch(one.infohash, join(root, 'b'), { peers: [at(a)], accept })
        await expect.poll(async () => (await a.stats())[0]?.state, { timeout: 25_000 }).toBe('failed')
        const c = await seeder(one)
        b.addPeers(one.infohash, [at(c)])
        await fetching
        expect(await wrongFiles(one, join(root, 'b'))).toEqual([])
        await a.seed(one.torrent, join(root, 'seed'))
        expect((await a.stats())[0]?.state).toBe('seeding')
      },
    )

    it('rejects with a disk error when it cannot write', async () => {
      const a = await seeder(small)
      const b = await started()
      await writeFile(join(root, 'b'), 'a file where a folder should be')
      const fetching = b.fetch(small.infohash, join(root, 'b'), { peers: [at(a)], accept })
      await expect(fetching).rejects.toMatchObject({ name: 'TorrentError', code: 'disk' })
      expect(await readFile(join(root, 'b'), 'utf8')).toContain('a file')
    })

    itFetches('gets right bytes although one of the peers holds wrong ones', async () => {
      const one = sampleTorrent('onewiki', [30 * PIECE_BYTES])
      await writeSample(one, join(root, 'wrong'), (bytes) => bytes.map((byte) => byte ^ 0xff))
      const liar = await started(0, makeLiar)
      await liar.seed(one.torrent, join(root, 'wrong'))
      const a = await seeder(one)
      const b = await started()
      await b.fetch(one.infohash, join(root, 'b'), { peers: [at(liar), at(a)], accept })
      expect(await wrongFiles(one, join(root, 'b'))).toEqual([])
    })

    itFetches('does not go round in circles with a peer that holds only wrong bytes', async () => {
      const one = sampleTorrent('onewiki', [3 * PIECE_BYTES])
      await writeSample(one, join(root, 'wrong'), (bytes) => bytes.map((byte) => byte ^ 0xff))
      const liar = await started(0, makeLiar)
      await liar.seed(one.torrent, join(root, 'wrong'))
      const b = await started()
      const fetching = b.fetch(one.infohash, join(root, 'b'), { peers: [at(liar)], accept })
      await expect
        .poll(async () => (await liar.stats())[0]?.uploadedBytes, { timeout: 10_000 })
        .toBeGreaterThan(0)
      await expect.poll(async () => (await b.stats())[0]?.peers, { timeout: 10_000 }).toBe(0)
      const a = await seeder(one)
      b.addPeers(one.infohash, [at(a)])
      await fetching
      expect((await liar.stats())[0]?.uploadedBytes).toBeLessThanOrEqual(2 * one.sizeBytes)
    })

    const many = sampleTorrent('aawiki', [10 * PIECE_BYTES, 2 * PIECE_BYTES + 5, 0, 40 * PIECE_BYTES])
    const taken = () => join(root, 'b', 'one')

    it('takes one file of a torrent, and not a byte of the others', PATIENT, async () => {
      const a = await seeder(many)
      const b = await started()
      const got = await b.fetchFile(many.infohash, 1, taken(), { peers: [at(a)], accept })
      expect(Buffer.from(got.info).equals(many.info)).toBe(true)
      expect(got.downloadedBytes).toBe(2 * PIECE_BYTES + 5)
      await expectSent(a, 2 * PIECE_BYTES + 5)
      expect((await readFile(taken())).equals(many.files[1]?.bytes ?? Buffer.alloc(0))).toBe(true)
      expect(await b.stats()).toEqual([])
      await b.fetchFile(many.infohash, 3, taken(), { peers: [at(a)], accept })
      expect((await readFile(taken())).equals(many.files[3]?.bytes ?? Buffer.alloc(0))).toBe(true)
      await b.fetchFile(many.infohash, 2, taken(), { peers: [at(a)], accept })
      expect(await readFile(taken())).toHaveLength(0)
    })

    itFetches('takes one file as it is sent, right or wrong', async () => {
      const bend = (bytes: Uint8Array, index: number) =>
        index === 3 ? bytes.map((byte, i) => (i % (3 * PIECE_BYTES) === 9 ? byte ^ 1 : byte)) : bytes
      await writeSample(many, join(root, 'wrong'), bend)
      const rotten = await started(0, makeLiar)
      await rotten.seed(many.torrent, join(root, 'wrong'))
      const b = await started()
      await b.fetchFile(many.infohash, 3, taken(), { peers: [at(rotten)], accept })
      expect((await readFile(taken())).equals(bend(many.files[3]?.bytes ?? Buffer.alloc(0), 3))).toBe(true)
      await b.fetchFile(many.infohash, 0, taken(), { peers: [at(rotten)], accept })
      expect((await readFile(taken())).equals(many.files[0]?.bytes ?? Buffer.alloc(0))).toBe(true)
    })

    itFetches('takes one file from nobody but the peers that were named', async () => {
      const gone = await started()
      const peer = at(gone)
      await gone.stop()
      const b = await started()
      const taking = b.fetchFile(many.infohash, 1, taken(), { peers: [peer], accept })
      // Somebody dials in who has all of it, and somebody else is recommended.
      await writeSample(many, join(root, 'other'), (bytes) => bytes.map((byte) => byte ^ 0xff))
      const intruder = await started(0, makeLiar)
      await intruder.seed(many.torrent, join(root, 'other'))
      intruder.addPeers(many.infohash, [fetcherAt(b)])
      b.addPeers(many.infohash, [at(intruder)])
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      expect(await b.stats()).toMatchObject([{ state: 'fetching-metadata', downloadedBytes: 0 }])
      await writeSample(many, join(root, 'seed'))
      const a = await started(peer.port)
      await a.seed(many.torrent, join(root, 'seed'))
      await taking
      expect((await readFile(taken())).equals(many.files[1]?.bytes ?? Buffer.alloc(0))).toBe(true)
      expect((await intruder.stats())[0]?.uploadedBytes).toBe(0)
    })

    it('stops taking a file when the signal aborts or it cannot write, and leaves nothing open', async () => {
      const a = await seeder(many)
      const b = await started()
      const signal = AbortSignal.timeout(200)
      const never = b.fetchFile(many.infohash, 1, taken(), { peers: [], accept, signal })
      await expect(never).rejects.toMatchObject({ name: 'TorrentError', code: 'aborted' })
      await writeFile(join(root, 'b'), 'a file where a folder should be')
      const blocked = b.fetchFile(many.infohash, 1, taken(), { peers: [at(a)], accept })
      await expect(blocked).rejects.toMatchObject({ name: 'TorrentError', code: 'disk' })
      const refused = b.fetchFile(many.infohash, 1, taken(), { peers: [at(a)], accept: () => false })
      await expect(refused).rejects.toMatchObject({ code: 'metadata-mismatch' })
      expect(await b.stats()).toEqual([])
    })

    itFetches('moves many torrents at once', { timeout: 60_000 }, async () => {
      const samples = Array.from({ length: 60 }, (_, i) => sampleTorrent(`w${i}wiki`, [30_000, 7]))
      const a = await seeder(...samples)
      const [b, c] = [await started(), await started()]
      const peers = [at(a), at(b), at(c)]
      await Promise.all(
        samples.flatMap((sample) => [
          b.fetch(sample.infohash, join(root, 'b'), { peers, accept }),
          c.fetch(sample.infohash, join(root, 'c'), { peers, accept }),
        ]),
      )
      for (const sample of samples) {
        expect(await wrongFiles(sample, join(root, 'b'))).toEqual([])
        expect(await wrongFiles(sample, join(root, 'c'))).toEqual([])
      }
      expect((await a.stats()).length).toBe(60)
    })

    itWhen(listens)('says in one plain sentence that its port is in use', async () => {
      const a = await started()
      const b = makeEngine({ port: a.port })
      const failure: Error = await b.start().then(
        () => Promise.reject(new Error('it started')),
        (error: Error) => error,
      )
      expect(failure.message).toBe(`BitTorrent port ${a.port} is already in use`)
      await b.stop()
    })

    it('leaves the file system as it is when it stops', async () => {
      const a = await seeder(small)
      await a.stop()
      expect((await stat(join(root, 'seed', small.name))).isDirectory()).toBe(true)
      expect(await wrongFiles(small, join(root, 'seed'))).toEqual([])
    })

    it('reads ranges of one file, asking only for the pieces that hold them, each once', async () => {
      const a = await seeder(many)
      const b = await started()
      const reader = await b.open(many.infohash, { peers: [at(a)], accept })
      expect(Buffer.from(reader.info).equals(many.info)).toBe(true)
      const bytes = many.files[3]?.bytes ?? Buffer.alloc(0)
      const start = 5 * PIECE_BYTES + 3
      expect(await reader.read(3, start, start + 100)).toEqual(
        new Uint8Array(bytes.subarray(start, start + 100)),
      )
      expect(reader.downloadedBytes).toBe(PIECE_BYTES)
      expect(
        Buffer.from(await reader.read(3, start, start + PIECE_BYTES)).equals(
          bytes.subarray(start, start + PIECE_BYTES),
        ),
      ).toBe(true)
      expect(reader.downloadedBytes).toBe(2 * PIECE_BYTES)
      expect(Buffer.from(await reader.read(3, 0, bytes.length)).equals(bytes)).toBe(true)
      expect(await reader.read(2, 0, 0)).toHaveLength(0)
      await expect(reader.read(3, 0, bytes.length + 1)).rejects.toThrow(RangeError)
      await expect(reader.read(9, 0, 1)).rejects.toThrow(RangeError)
      await expectSent(a, reader.downloadedBytes)
      await reader.close()
      expect(await b.stats()).toEqual([])
    })

    itFetches(
      'reads without asking for an info dictionary that it is given, and not by a wrong one',
      async () => {
        const a = await seeder(many)
        const b = await started()
        const reader = await b.open(many.infohash, { peers: [at(a)], accept, info: many.info })
        expect(await reader.read(0, 7, 20)).toEqual(many.files[0]?.bytes.subarray(7, 20))
        await reader.close()
        const other = await b.open(many.infohash, { peers: [at(a)], accept, info: small.info })
        expect(Buffer.from(other.info).equals(many.info)).toBe(true)
        await other.close()
        await expect(b.open(many.infohash, { peers: [at(a)], accept: () => false })).rejects.toMatchObject({
          code: 'metadata-mismatch',
        })
      },
    )

    itFetches('reads from several peers at once', async () => {
      const wide = sampleTorrent('widewiki', [200 * PIECE_BYTES])
      const [a, c] = [await seeder(wide), await seeder(wide)]
      const b = await started()
      const reader = await b.open(wide.infohash, { peers: [at(a), at(c)], accept })
      await expect.poll(async () => (await b.stats())[0]?.peers, { timeout: 10_000 }).toBe(2)
      expect(
        Buffer.from(await reader.read(0, 0, wide.sizeBytes)).equals(wide.files[0]?.bytes ?? Buffer.alloc(0)),
      ).toBe(true)
      const sent = () => Promise.all([a, c].map(async (one) => (await one.stats())[0]?.uploadedBytes ?? 0))
      const all = async () => (await sent()).reduce((sum, one) => sum + one)
      await expect.poll(all, COUNTED).toBeGreaterThanOrEqual(wide.sizeBytes)
      expect(await all()).toBeLessThanOrEqual(countsHeads ? wide.sizeBytes * 1.01 : wide.sizeBytes)
      expect(await sent()).not.toContain(0)
    })

    itFetches(
      'reads right bytes although one of the peers holds wrong ones, and leaves that one',
      async () => {
        const one = sampleTorrent('onewiki', [30 * PIECE_BYTES])
        await writeSample(one, join(root, 'wrong'), (bytes) => bytes.map((byte) => byte ^ 0xff))
        const liar = await started(0, makeLiar)
        await liar.seed(one.torrent, join(root, 'wrong'))
        const a = await seeder(one)
        const b = await started()
        const reader = await b.open(one.infohash, { peers: [at(liar), at(a)], accept })
        expect(
          Buffer.from(await reader.read(0, 0, one.sizeBytes)).equals(one.files[0]?.bytes ?? Buffer.alloc(0)),
        ).toBe(true)
        expect((await liar.stats())[0]?.uploadedBytes).toBeLessThanOrEqual(one.sizeBytes)
      },
    )

    it('says so when nobody sends what is read, and when the reading is stopped', async () => {
      const b = await started()
      const silent = await b.open(many.infohash, { peers: [], accept, info: many.info, patienceMs: 50 })
      await expect(silent.read(0, 0, 1)).rejects.toMatchObject({ name: 'TorrentError', code: 'silent' })
      await silent.close()
      const patient = await b.open(many.infohash, { peers: [], accept, info: many.info })
      const abort = new AbortController()
      const left = patient.read(0, 0, 1, abort.signal)
      abort.abort()
      await expect(left).rejects.toMatchObject({ code: 'aborted' })
      const reading = patient.read(0, 0, 1)
      const stopped = expect(reading).rejects.toMatchObject({ code: 'aborted' })
      await b.stop()
      await stopped
    })

    itFetches('goes on reading from another peer when one goes away', async () => {
      const a = await seeder(many)
      const c = await seeder(many)
      const b = await started()
      const reader = await b.open(many.infohash, { peers: [at(a), at(c)], accept })
      expect(await reader.read(0, 0, 9)).toEqual(many.files[0]?.bytes.subarray(0, 9))
      await a.stop()
      const bytes = many.files[3]?.bytes ?? Buffer.alloc(0)
      expect(Buffer.from(await reader.read(3, 0, bytes.length)).equals(bytes)).toBe(true)
    })
  })
}

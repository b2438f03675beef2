/** What every SeedClient must do, on a real program: with data that is there, with what is lost, and with torrents of others. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { OutsideEngine } from '../../node/engines/outside-engine.ts'
import type { ClientState, SeedClient } from '../../node/engines/seed-client.ts'
import type { TorrentEngine } from '../../node/ports.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { freePort, type Login, type Program } from '../support/seed-programs.ts'
import {
  PIECE_BYTES,
  type SampleTorrent,
  sampleTorrent,
  writeSample,
  wrongFiles,
} from '../support/torrents.ts'
import { silentLog } from './silent-log.ts'

export interface SeedClientFactory {
  start(options?: { port?: number; login?: Login }): Promise<Program>
  client(url: string, login?: Login): SeedClient
  /** Adds a torrent as a person would, without our mark; seeding from this folder. */
  addAsStranger(program: Program, torrent: Uint8Array, folder: string): Promise<void>
}

const PATIENCE = { timeout: 20_000, interval: 50 }
const LOGIN: Login = { user: 'seeder', password: 'päss:wörd' }

export function seedClientSuite(name: string, factory: SeedClientFactory): void {
  describe(`seed client: ${name}`, () => {
    let program: Program
    let client: SeedClient
    let root: string
    const engines: TorrentEngine[] = []
    const small = sampleTorrent('tenwiki', [40_000, 5, 100_000])
    const other = sampleTorrent('otherwiki', [3 * PIECE_BYTES])

    beforeAll(async () => {
      program = await factory.start()
      client = factory.client(program.url)
      await client.connect()
    })
    afterAll(() => program.stop())
    beforeEach(async () => {
      root = await mkdtemp(join(tmpdir(), 'wikiseed-seed-client-'))
    })
    afterEach(async () => {
      await Promise.all(engines.splice(0).map((engine) => engine.stop()))
      await client.remove([small.infohash, other.infohash])
      await vi.waitFor(async () => {
        for (const one of [small, other]) expect(await client.find(one.infohash)).toBeNull()
      }, PATIENCE)
      await rm(root, { recursive: true })
    })

    const reaches = (sample: SampleTorrent, state: ClientState) =>
      vi.waitFor(async () => {
        const found = await client.find(sample.infohash)
        if (found?.state === 'stopped') await client.start([sample.infohash])
        expect(found).toMatchObject({ state })
        return found
      }, PATIENCE)

    async function engine(logins: SeedClient = client): Promise<TorrentEngine> {
      const own = new WebTorrentEngine({ port: 0 })
      const folders = { from: root, to: root }
      const made = new OutsideEngine({ own, client: logins, folders, log: silentLog, pollMs: 50 })
      await made.start()
      engines.push(made)
      return made
    }

    it('says its version and the port where it takes connections', async () => {
      expect(await client.connect()).toEqual({
        version: expect.stringMatching(/^\d+\.\d+/),
        port: program.port,
      })
    })

    it('seeds files that are there, marked, and changes none of them', async () => {
      await writeSample(small, root)
      await client.add(small.torrent, small.infohash, root)
      const found = await reaches(small, 'seeding')
      expect(found).toMatchObject({
        isOurs: true,
        folder: root,
        sizeBytes: small.sizeBytes,
        doneBytes: small.sizeBytes,
        uploadedBytes: 0,
        peers: 0,
      })
      expect(await client.list()).toMatchObject([{ infohash: small.infohash }])
      expect(await wrongFiles(small, root)).toEqual([])
      expect((await readdir(root)).sort()).toEqual([small.name])
    })

    it('says that files are missing, and makes none', async () => {
      await client.add(small.torrent, small.infohash, root)
      await reaches(small, 'missing')
      expect(await readdir(root)).toEqual([])
    })

    it('forgets what is removed, and leaves the files', async () => {
      await writeSample(small, root)
      await client.add(small.torrent, small.infohash, root)
      await reaches(small, 'seeding')
      await client.remove([small.infohash])
      await vi.waitFor(async () => expect(await client.list()).toEqual([]), PATIENCE)
      expect(await wrongFiles(small, root)).toEqual([])
      await client.remove([small.infohash])
    })

    it('neither lists, nor changes, nor removes a torrent of somebody else', async () => {
      await writeSample(other, root)
      await factory.addAsStranger(program, other.torrent, root)
      await vi.waitFor(
        async () => expect(await client.find(other.infohash)).toMatchObject({ isOurs: false }),
        PATIENCE,
      )
      expect(await client.list()).toEqual([])
      const a = await engine()
      await expect(a.seed(other.torrent, root)).rejects.toMatchObject({ code: 'engine' })
      expect(await a.stats()).toMatchObject([{ state: 'failed', failure: { code: 'engine' } }])
      await a.remove(other.infohash)
      expect(await a.stats()).toEqual([])
      expect(await client.find(other.infohash)).toMatchObject({ isOurs: false })
      expect(await wrongFiles(other, root)).toEqual([])
    })

    it('goes on seeding while the node is away, and is found again by the next one', async () => {
      await writeSample(small, root)
      const a = await engine()
      await a.seed(small.torrent, root)
      await reaches(small, 'seeding')
      await a.stop()
      expect(await client.find(small.infohash)).toMatchObject({ state: 'seeding' })
      const b = await engine()
      await b.seed(small.torrent, root)
      expect(await b.stats()).toMatchObject([{ infohash: small.infohash, state: 'seeding' }])
      await b.remove(small.infohash)
      await vi.waitFor(async () => expect(await client.find(small.infohash)).toBeNull(), PATIENCE)
    })

    it('fails a seed that a person took out of the program, and seeds it again when asked', async () => {
      await writeSample(small, root)
      const a = await engine()
      await a.seed(small.torrent, root)
      await reaches(small, 'seeding')
      await client.remove([small.infohash])
      await vi.waitFor(
        async () => expect(await a.stats()).toMatchObject([{ state: 'failed', failure: { code: 'engine' } }]),
        PATIENCE,
      )
      await a.seed(small.torrent, root)
      await reaches(small, 'seeding')
      expect(await a.stats()).toMatchObject([{ state: 'seeding' }])
    })

    it('fails a seed whose files the program does not see, and takes it out of the program', async () => {
      await writeSample(small, root)
      const own = new WebTorrentEngine({ port: 0 })
      const folders = { from: root, to: join(root, 'elsewhere') }
      const a = new OutsideEngine({ own, client, folders, log: silentLog, pollMs: 50 })
      engines.push(a)
      await a.start()
      await a.seed(small.torrent, root)
      await vi.waitFor(
        async () => expect(await a.stats()).toMatchObject([{ state: 'failed', failure: { code: 'engine' } }]),
        PATIENCE,
      )
      await vi.waitFor(async () => expect(await client.find(small.infohash)).toBeNull(), PATIENCE)
      expect(await readdir(root)).toEqual([small.name])
    })

    it('takes what was dropped while the node was away out of the program, once its files are gone', async () => {
      await client.add(small.torrent, small.infohash, root)
      await engine()
      await vi.waitFor(async () => expect(await client.find(small.infohash)).toBeNull(), PATIENCE)
    })

    it('says that the program does not answer, and goes on when it does', async () => {
      const second = await factory.start()
      try {
        const theirs = factory.client(second.url)
        const own = new WebTorrentEngine({ port: 0 })
        const folders = { from: root, to: root }
        const a = new OutsideEngine({ own, client: theirs, folders, log: silentLog, pollMs: 50 })
        engines.push(a)
        await a.start()
        await writeSample(small, root)
        await a.seed(small.torrent, root)
        expect(a.about).toMatchObject({ name: theirs.name, problem: null })
        await second.stop()
        await vi.waitFor(() => expect(a.about.problem).toMatch(/ECONNREFUSED|broke/), PATIENCE)
        // Nothing is thrown at whoever drops a shard meanwhile.
        await a.remove(small.infohash)
        expect(await a.stats()).toEqual([])
      } finally {
        await second.stop()
      }
    })

    it('logs in with a user name and a password, and tells nobody the password', async () => {
      const locked = await factory.start({ login: LOGIN })
      try {
        const right = factory.client(locked.url, LOGIN)
        expect(await right.connect()).toMatchObject({ port: locked.port })
        await writeSample(small, root)
        await right.add(small.torrent, small.infohash, root)
        // qBittorrent lists what it took a moment later.
        await vi.waitFor(async () => expect(await right.list()).toHaveLength(1), PATIENCE)
        for (const login of [undefined, { ...LOGIN, password: 'wrong-secret' }]) {
          const failure = await factory
            .client(locked.url, login)
            .connect()
            .then(
              () => null,
              (error: Error) => error,
            )
          expect(failure).toMatchObject({ name: 'TorrentError', code: 'engine' })
          expect(`${failure?.stack} ${failure?.cause}`).not.toMatch(/wrong-secret|d3Jvbmc/)
        }
      } finally {
        await locked.stop()
      }
    })

    it('says in a sentence that nobody answers', async () => {
      const url = `http://127.0.0.1:${await freePort()}`
      const nobody = factory.client(`${url}/`)
      await expect(nobody.connect()).rejects.toThrow(`${nobody.name} at ${url}: ECONNREFUSED`)
    })

    it('does not fetch what is damaged: the seed fails as doubtful, and the files stay as they are', async () => {
      await writeSample(small, root)
      const a = await engine()
      await a.seed(small.torrent, root)
      await reaches(small, 'seeding')
      const path = join(root, small.name, small.files[2]?.path ?? '')
      const wrong = Buffer.alloc(small.files[2]?.bytes.length ?? 0, 7)
      await writeFile(path, wrong)
      await recheck(program, name, small.infohash)
      await vi.waitFor(
        async () => expect(await a.stats()).toMatchObject([{ state: 'failed', failure: { code: 'disk' } }]),
        PATIENCE,
      )
      await vi.waitFor(async () => expect(await client.find(small.infohash)).toBeNull(), PATIENCE)
      expect(await wrongFiles(small, root)).toEqual([small.files[2]?.path])
    })
  })
}

/** What a person does who doubts the files. */
async function recheck(program: Program, name: string, infohash: string): Promise<void> {
  if (name === 'qBittorrent') {
    await fetch(`${program.url}api/v2/torrents/recheck`, {
      method: 'POST',
      body: new URLSearchParams({ hashes: infohash }),
    })
    return
  }
  const { TransmissionRpc } = await import('../../node/engines/transmission-rpc.ts')
  const rpc = new TransmissionRpc({ url: program.url, user: null, password: null })
  await rpc.call('torrent_verify', { ids: [infohash] })
}

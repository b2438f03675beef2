/** Seeds of the WebTorrent adapter that sleep until somebody asks. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SeedSource, TorrentError } from '../../node/ports.ts'
import type { WebTorrentEngineOptions } from '../../node/transfer/torrent-client.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { handshakeFor, type RawPeer, rawPeer } from '../support/raw-peers.ts'
import {
  PIECE_BYTES,
  type SampleTorrent,
  sampleTorrent,
  writeSample,
  wrongFiles,
} from '../support/torrents.ts'

const sample = sampleTorrent('tenwiki', [3 * PIECE_BYTES, 5])
const HANDSHAKE_BYTES = 68
const INTERESTED = Buffer.from([0, 0, 0, 1, 2])

/** BEP 3: all of a piece of one block. */
function requestOf(piece: number): Buffer {
  const message = Buffer.alloc(17)
  message.writeUInt32BE(13, 0)
  message[4] = 6
  message.writeUInt32BE(piece, 5)
  message.writeUInt32BE(PIECE_BYTES, 13)
  return message
}

describe('dormant seeds', () => {
  let root: string
  const engines: WebTorrentEngine[] = []
  const peers: RawPeer[] = []

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'wikiseed-dormant-'))
  })

  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.socket.destroy()
    await Promise.all(engines.splice(0).map((engine) => engine.stop()))
    await rm(root, { recursive: true })
  })

  async function started(options: Partial<WebTorrentEngineOptions> = {}): Promise<WebTorrentEngine> {
    const engine = new WebTorrentEngine({ port: 0, ...options })
    engines.push(engine)
    await engine.start()
    return engine
  }

  /** Counts how often the .torrent was read. */
  function sourceOf(one: SampleTorrent, change: Partial<SeedSource> = {}): SeedSource & { reads: number } {
    const source = {
      infohash: one.infohash,
      sizeBytes: one.sizeBytes,
      reads: 0,
      torrent: () => {
        source.reads++
        return Promise.resolve(one.torrent)
      },
      ...change,
    }
    return source
  }

  function call(engine: WebTorrentEngine, bytes: Uint8Array = handshakeFor(sample.infohash)): RawPeer {
    const peer = rawPeer(engine.port, bytes)
    peers.push(peer)
    return peer
  }

  const fetchFrom = async (engine: WebTorrentEngine, one: SampleTorrent, to: string): Promise<void> => {
    const b = await started()
    await b.fetch(one.infohash, join(root, to), {
      peers: [{ host: '127.0.0.1', port: engine.port }],
      accept: () => true,
    })
    await b.stop()
    expect(await wrongFiles(one, join(root, to))).toEqual([])
  }

  it('reads nothing of a seed before somebody asks for it, and serves it then', async () => {
    const a = await started()
    const source = sourceOf(sample)
    await a.seed(source, root)
    expect(source.reads).toBe(0)
    expect(await a.stats()).toMatchObject([{ state: 'seeding', dormant: true, doneBytes: sample.sizeBytes }])
    await writeSample(sample, root)
    await fetchFrom(a, sample, 'b')
    expect(source.reads).toBe(1)
  })

  it('sends a seed to sleep when the last peer left, keeps its count, and wakes it again', async () => {
    // Longer than the moment between the two connections of a fetch.
    const a = await started({ sleepAfterMs: 300 })
    const source = sourceOf(sample)
    await writeSample(sample, root)
    await a.seed(source, root)
    for (const times of [1, 2]) {
      await fetchFrom(a, sample, `b${times}`)
      await expect.poll(async () => (await a.stats())[0]?.dormant, { timeout: 10_000 }).toBe(true)
      expect((await a.stats())[0]?.uploadedBytes).toBe(times * sample.sizeBytes)
    }
    expect(source.reads).toBe(2)
  })

  it('wakes once for many handshakes at the same time', async () => {
    const a = await started()
    const source = sourceOf(sample)
    await writeSample(sample, root)
    await a.seed(source, root)
    const callers = Array.from({ length: 20 }, (_, i) =>
      call(a, handshakeFor(sample.infohash, `-XX0000-${String(i).padStart(12, '0')}`)),
    )
    for (const caller of callers) {
      const answer = await caller.received(HANDSHAKE_BYTES)
      expect(answer.toString('hex', 28, 48)).toBe(sample.infohash)
    }
    expect(source.reads).toBe(1)
    await expect.poll(async () => (await a.stats())[0]?.peers).toBe(20)
  })

  it('understands a handshake that comes byte by byte', async () => {
    const a = await started()
    await writeSample(sample, root)
    await a.seed(sourceOf(sample), root)
    const bytes = handshakeFor(sample.infohash)
    const caller = call(a, bytes.subarray(0, 1))
    for (const byte of bytes.subarray(1)) {
      await new Promise<void>((resolve) => caller.socket.write(Uint8Array.of(byte), () => resolve()))
    }
    await caller.received(HANDSHAKE_BYTES)
  })

  it('wakes for peers that were found, and dials them', async () => {
    const a = await started()
    await writeSample(sample, root)
    await a.seed(sourceOf(sample), root)
    const b = await started()
    const fetching = b.fetch(sample.infohash, join(root, 'b'), { peers: [], accept: () => true })
    a.addPeers(sample.infohash, [{ host: '127.0.0.1', port: b.port }])
    await fetching
    expect(await wrongFiles(sample, join(root, 'b'))).toEqual([])
  })

  it('stays asleep when the only peer found is itself', async () => {
    const a = await started()
    const source = sourceOf(sample)
    await a.seed(source, root)
    a.addPeers(sample.infohash, [{ host: '127.0.0.1', port: a.port }])
    expect((await a.stats())[0]?.dormant).toBe(true)
    expect(source.reads).toBe(0)
  })

  it.each([
    ['names a torrent that is not here', handshakeFor(sampleTorrent('xxwiki', [1]).infohash)],
    ['speaks another protocol', Buffer.from(`GET / HTTP/1.1\r\nhost: ${'x'.repeat(60)}\r\n\r\n`)],
    ['sends a handshake of noise', Buffer.alloc(HANDSHAKE_BYTES, 0xaa)],
  ])('hangs up, without a byte, on a caller who %s', async (_what, bytes) => {
    const a = await started()
    const source = sourceOf(sample)
    await a.seed(source, root)
    expect(await call(a, bytes).closed).toHaveLength(0)
    expect(source.reads).toBe(0)
  })

  it('hangs up on a caller whose handshake does not come to its end in time', async () => {
    const a = await started({ handshakeMs: 1 })
    await a.seed(sourceOf(sample), root)
    expect(await call(a, handshakeFor(sample.infohash).subarray(0, 67)).closed).toHaveLength(0)
  })

  it('forgets a seed that is removed while it wakes, and takes it again', async () => {
    const a = await started()
    const reading = Promise.withResolvers<void>()
    const bytes = Promise.withResolvers<Uint8Array>()
    await writeSample(sample, root)
    const torrent = () => {
      reading.resolve()
      return bytes.promise
    }
    await a.seed(sourceOf(sample, { torrent }), root)
    const caller = call(a)
    await reading.promise
    const removed = a.remove(sample.infohash)
    bytes.resolve(sample.torrent)
    await removed
    expect(await a.stats()).toEqual([])
    expect(await caller.closed).toHaveLength(0)
    await a.seed(sourceOf(sample), root)
    await fetchFrom(a, sample, 'b')
  })

  it('keeps no more seeds awake than it may, and serves all', async () => {
    const samples = Array.from({ length: 6 }, (_, i) => sampleTorrent(`w${i}wiki`, [PIECE_BYTES + i]))
    const a = await started({ seedsAwakeMax: 2 })
    for (const one of samples) {
      await writeSample(one, root)
      await a.seed(sourceOf(one), root)
    }
    for (const one of samples) {
      await fetchFrom(a, one, `b-${one.name}`)
      await expect.poll(async () => (await a.stats()).filter((seed) => seed.peers > 0).length).toBe(0)
    }
    await expect
      .poll(async () => (await a.stats()).filter((seed) => seed.dormant === false).length)
      .toBeLessThanOrEqual(2)
    expect((await a.stats()).every((seed) => seed.uploadedBytes > 0)).toBe(true)
  })

  it('serves all of a burst for more seeds than may be awake', async () => {
    const samples = Array.from({ length: 6 }, (_, i) => sampleTorrent(`w${i}wiki`, [PIECE_BYTES + i]))
    const a = await started({ seedsAwakeMax: 2 })
    for (const one of samples) {
      await writeSample(one, root)
      await a.seed(sourceOf(one), root)
    }
    await Promise.all(samples.map((one) => fetchFrom(a, one, `b-${one.name}`)))
    expect((await a.stats()).every((seed) => seed.uploadedBytes > 0)).toBe(true)
  })

  it.each<[string, Partial<SeedSource>]>([
    ['files are not as they were verified', { changed: async () => ['file-0: changed'] }],
    ['.torrent cannot be read', { torrent: () => Promise.reject(new Error('EIO')) }],
    ['.torrent is another', { torrent: async () => sampleTorrent('xxwiki', [1]).torrent }],
  ])('serves nothing, and says so once, when the %s', async (_what, change) => {
    const a = await started()
    const failed: string[] = []
    a.onSeedFailed((infohash) => failed.push(infohash))
    await writeSample(sample, root)
    await a.seed(sourceOf(sample, change), root)
    expect(await call(a).closed).toHaveLength(0)
    expect(await call(a).closed).toHaveLength(0)
    expect(failed).toEqual([sample.infohash])
    expect(await a.stats()).toMatchObject([{ state: 'failed', dormant: true }])
    await a.seed(sourceOf(sample), root)
    await fetchFrom(a, sample, 'b')
  })

  it.each([
    ['written over', (path: string, bytes: Buffer) => writeFile(path, bytes)],
    [
      'replaced',
      async (path: string, bytes: Buffer) => {
        await writeFile(`${path}.new`, bytes)
        await rename(`${path}.new`, path)
      },
    ],
  ])(
    'sends no byte of a file that is %s while it is served, and says that it changed',
    async (_how, change) => {
      const big = sampleTorrent('bigwiki', [64 * PIECE_BYTES, 4 * PIECE_BYTES])
      await writeSample(big, root)
      const a = await started({ openFilesMax: 1 })
      const failed = Promise.withResolvers<TorrentError>()
      a.onSeedFailed((_infohash, error) => failed.resolve(error))
      await a.seed(sourceOf(big), root)
      const peer = call(a, handshakeFor(big.infohash))
      await peer.received(HANDSHAKE_BYTES)
      peer.socket.write(Buffer.concat([INTERESTED, requestOf(0), requestOf(64)]))
      // Both blocks came, each behind 13 bytes: the second took the only descriptor.
      await peer.received(HANDSHAKE_BYTES + 2 * (13 + PIECE_BYTES))
      const [file] = big.files
      const wrong = Buffer.alloc(64 * PIECE_BYTES, 0xaa)
      await change(join(root, big.name, file?.path ?? ''), wrong)
      for (let piece = 1; piece < 64; piece++) peer.socket.write(requestOf(piece))
      expect(await failed.promise).toMatchObject({
        code: 'disk',
        message: expect.stringContaining('changed'),
      })
      expect((await peer.closed).includes(wrong.subarray(0, 64))).toBe(false)
    },
  )

  it('takes a lack of descriptors for no damage, and serves the next caller', async () => {
    const a = await started()
    const failed: string[] = []
    a.onSeedFailed((infohash) => failed.push(infohash))
    await writeSample(sample, root)
    const errors = [Object.assign(new Error('too many open files'), { code: 'EMFILE', syscall: 'open' })]
    const torrent = () => {
      const error = errors.pop()
      return error === undefined ? Promise.resolve(sample.torrent) : Promise.reject(error)
    }
    await a.seed(sourceOf(sample, { torrent }), root)
    expect(await call(a).closed).toHaveLength(0)
    await fetchFrom(a, sample, 'b')
    expect(failed).toEqual([])
  })
})

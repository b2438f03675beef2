import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { EngineProcess } from '../../node/transfer/engine-process.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { bencode } from '../../protocol/codec/bencode.ts'
import { infohashOf } from '../../protocol/torrent/info.ts'
import { sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'
import { silentLog } from './silent-log.ts'
import { torrentEngineSuite } from './torrent-engine.suite.ts'

torrentEngineSuite('WebTorrent', ({ port }) => new WebTorrentEngine({ port }))
torrentEngineSuite(
  'WebTorrent in a process of its own',
  ({ port }) => new EngineProcess({ port, log: silentLog }),
)
torrentEngineSuite(
  'WebTorrent with two open files',
  ({ port }) => new WebTorrentEngine({ port, openFilesMax: 2 }),
)

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanUp.splice(0).reverse()) await clean()
})

async function started(): Promise<WebTorrentEngine> {
  const engine = new WebTorrentEngine({ port: 0 })
  await engine.start()
  cleanUp.push(() => engine.stop())
  return engine
}

/** A peer that answers the BitTorrent handshake with its own and then sends `messages`. */
async function rawPeer(messages: readonly Buffer[]): Promise<{ port: number; calls: () => number }> {
  let calls = 0
  const sockets = new Set<{ destroy(): void }>()
  const server: Server = createServer((socket) => {
    calls++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', (data) => {
      const handshake = Buffer.from(data.subarray(0, 68))
      handshake[25] = 0x10 // BEP 10
      handshake.write('-XX0000-abcdefghijkl', 48, 'latin1')
      socket.write(Buffer.concat([handshake, ...messages]))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanUp.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, calls: () => calls }
}

function message(...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}
const extended = (id: number, ...parts: Uint8Array[]) => message(Uint8Array.of(20, id), ...parts)
const hello = (size: number) => extended(0, bencode({ m: { ut_metadata: 3 }, metadata_size: size }))
/** Our number for ut_metadata differs from run to run of the package, so all small ones get the data. */
const data = (piece: number, bytes: Uint8Array) =>
  Buffer.concat(
    [1, 2, 3, 4, 5].map((id) =>
      extended(id, bencode({ msg_type: 1, piece, total_size: bytes.length }), bytes),
    ),
  )

describe('WebTorrent engine among hostile peers', () => {
  const sample = sampleTorrent('tenwiki', [100_000])

  it.each([
    ['a wrong info dictionary', [hello(100), data(0, Buffer.alloc(100, 'x'))]],
    ['metadata that was not asked for', [data(0, Buffer.alloc(100, 'x'))]],
    ['a piece number out of range', [hello(100), data(99_999, Buffer.alloc(100, 'x'))]],
    ['an info dictionary said to be of 9 MB', [hello(9_000_000)]],
    ['an extended handshake that is no bencode', [extended(0, Buffer.from('nonsense'))]],
    [
      'extended messages that are no bencode',
      [hello(100), ...[1, 2, 3, 4].map((id) => extended(id, Buffer.from('x')))],
    ],
    ['a message of 4 GiB', [Buffer.from([0xff, 0xff, 0xff, 0xf0]), Buffer.alloc(300_000)]],
    ['the plain bytes of another protocol', [Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
  ])('fetches from an honest one although one sends %s', async (_what, messages) => {
    const root = await mkdtemp(join(tmpdir(), 'wikiseed-hostile-'))
    cleanUp.push(() => rm(root, { recursive: true }))
    await writeSample(sample, join(root, 'a'))
    const hostile = await rawPeer(messages)
    const [a, b] = [await started(), await started()]
    const fetching = b.fetch(sample.infohash, join(root, 'b'), {
      peers: [{ host: '127.0.0.1', port: hostile.port }],
      accept: () => true,
    })
    await expect.poll(hostile.calls, { timeout: 10_000 }).toBeGreaterThan(0)
    await a.seed(sample.torrent, join(root, 'a'))
    b.addPeers(sample.infohash, [{ host: '127.0.0.1', port: a.port }])
    await fetching
    expect(await wrongFiles(sample, join(root, 'b'))).toEqual([])
  })

  it('refuses bytes whose SHA-1 is the infohash but which are no info dictionary', async () => {
    const junk = Buffer.from('not even bencode')
    const hostile = await rawPeer([hello(junk.length), data(0, junk)])
    const b = await started()
    const fetching = b.fetch(infohashOf(junk), tmpdir(), {
      peers: [{ host: '127.0.0.1', port: hostile.port }],
      accept: () => true,
    })
    await expect(fetching).rejects.toMatchObject({ code: 'metadata-mismatch' })
  })

  it('listens on 127.0.0.1 and on no other address unless told', async () => {
    const engine = await started()
    const reaches = (host: string) =>
      new Promise<boolean>((resolve) => {
        const socket = connect(engine.port, host)
        socket.once('connect', () => socket.destroy())
        socket.once('connect', () => resolve(true))
        socket.once('error', () => resolve(false))
      })
    expect(await reaches('127.0.0.1')).toBe(true)
    expect(await reaches('127.0.0.2')).toBe(false)
  })
})

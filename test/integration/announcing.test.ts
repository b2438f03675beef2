/** Announces against the tracker of another project, on loopback; and against trackers that are none. */
import { createSocket } from 'node:dgram'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Server } from 'bittorrent-tracker'
import { afterEach, describe, expect, it } from 'vitest'
import { toldPort } from '../../node/transfer/told-hosts.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { announceTo, isTrackerUrl, mayAnnounce } from '../../node/transfer/tracker.ts'
import type { Announce } from '../../node/transfer/tracker-answer.ts'
import { bencode } from '../../protocol/codec/bencode.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { sampleTorrent, writeSample, wrongFiles } from '../support/torrents.ts'

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanUp.splice(0).reverse()) await clean()
})

/** Announce URLs of one tracker: by HTTP and by UDP. */
async function startTracker(): Promise<{ http: string; udp: string }> {
  const server = new Server({ http: true, udp: true, ws: false, stats: false })
  const hosts = { http: '127.0.0.1', udp: '127.0.0.1', udp6: '::1' }
  await new Promise<void>((resolve) => server.listen(0, hosts, resolve))
  cleanUp.push(() => new Promise<void>((resolve) => server.close(resolve)))
  return {
    http: `http://127.0.0.1:${server.http?.address().port}/announce`,
    udp: `udp://127.0.0.1:${server.udp?.address().port}/announce`,
  }
}

async function startHttp(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanUp.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`
}

async function startEngine(trackers: readonly string[]): Promise<WebTorrentEngine> {
  const engine = new WebTorrentEngine({ port: 0, trackers })
  await engine.start()
  cleanUp.push(() => engine.stop())
  return engine
}

const announce = (fields: Partial<Announce> = {}): Announce => ({
  infohash: 'ab'.repeat(20) as Infohash,
  peerId: '2d5858303030302d'.padEnd(40, '0'),
  port: 6_881,
  outsidePort: 6_881,
  uploadedBytes: 0,
  downloadedBytes: 0,
  leftBytes: 0,
  event: 'started',
  ...fields,
})
const forever = new AbortController().signal

describe.each(['http', 'udp'] as const)('a tracker over %s', (by) => {
  it('is told of a seed and of a fetcher, and names each to the other', async () => {
    const url = (await startTracker())[by]
    await announceTo(url, announce({ peerId: 'aa'.repeat(20), port: 1_111 }), forever)
    const answer = await announceTo(
      url,
      announce({ peerId: 'bb'.repeat(20), port: 2_222, leftBytes: 5 }),
      forever,
    )
    expect(answer).toMatchObject({ seeds: 1, leeches: 1 })
    expect(answer.intervalMs).toBeGreaterThan(0)
    expect(answer.peers).toContainEqual({ host: '127.0.0.1', port: 1_111 })
    const again = await announceTo(
      url,
      announce({ peerId: 'aa'.repeat(20), port: 1_111, event: null }),
      forever,
    )
    expect(again.peers).toContainEqual({ host: '127.0.0.1', port: 2_222 })
  })

  it('brings a dormant seed and a fetcher together who know nobody', async () => {
    const root = await mkdtemp(join(tmpdir(), 'wikiseed-announcing-'))
    cleanUp.push(() => rm(root, { recursive: true }))
    const url = (await startTracker())[by]
    const sample = sampleTorrent('tenwiki', [40_000, 5])
    await writeSample(sample, join(root, 'a'))
    const [a, b] = [await startEngine([url]), await startEngine([url])]
    await a.seed(
      { infohash: sample.infohash, sizeBytes: sample.sizeBytes, torrent: async () => sample.torrent },
      join(root, 'a'),
    )
    const asked = announce({
      infohash: sample.infohash,
      peerId: 'cc'.repeat(20),
      leftBytes: 1,
      event: null,
    })
    await expect.poll(async () => (await announceTo(url, asked, forever)).seeds, { timeout: 10_000 }).toBe(1)
    await b.fetch(sample.infohash, join(root, 'b'), { peers: [], accept: () => true })
    expect(await wrongFiles(sample, join(root, 'b'))).toEqual([])
  })
})

describe('a tracker that is none', () => {
  it.each<[string, RequestListener]>([
    ['says no', (_, response) => response.end(bencode({ 'failure reason': 'not here' }))],
    ['is not found', (_, response) => response.writeHead(404).end()],
    ['answers in HTML', (_, response) => response.end('<html>')],
    ['answers with a list', (_, response) => response.end(bencode([1]))],
    ['names no interval', (_, response) => response.end(bencode({ peers: new Uint8Array(6) }))],
    ['answers without end', (_, response) => response.end(Buffer.alloc(1_000_000, 'x'))],
    [
      'is cut in the middle of its answer',
      (_, response) => {
        response.writeHead(200, { 'content-length': 100 })
        response.write('d8:interval')
        response.flushHeaders()
        setImmediate(() => response.destroy())
      },
    ],
    ['hangs up', (_, response) => response.destroy()],
  ])('is an error, and no more, when it %s', async (_what, answer) => {
    const url = await startHttp(answer)
    await expect(announceTo(url, announce(), forever)).rejects.toMatchObject({ name: 'TrackerError' })
  })

  it('does not keep us when we stop', async () => {
    const url = await startHttp(() => {})
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    cleanUp.push(async () => socket.close())
    for (const one of [url, `udp://127.0.0.1:${socket.address().port}`]) {
      const stop = new AbortController()
      const asking = announceTo(one, announce(), stop.signal)
      stop.abort(new Error('we stop'))
      await expect(asking).rejects.toThrow('we stop')
    }
  })

  it.each([
    ['http://tracker.example.org/announce', '192.168.1.7', false],
    ['udp://tracker.example.org:6969', '127.0.0.1', false],
    ['http://tracker.example.org/announce', '0.0.0.0', true],
    ['http://tracker.example.org/announce', '8.8.8.8', true],
    ['http://tracker.example.org/announce', 'node.example.org', true],
    ['http://127.0.0.1:8000/announce', '127.0.0.1', true],
    ['http://[::1]:8000/announce', '10.1.2.3', true],
  ])('%s is told of a node at %s: %s', (url, host, may) => {
    expect(mayAnnounce(url, host)).toBe(may)
  })

  it.each([
    ['tracker.example.org', 49_152],
    ['8.8.8.8', 49_152],
    ['192.168.1.7', 6_881],
    ['127.0.0.1', 6_881],
    ['[2001:db8::1]', 6_881],
    ['2620:0:861::1', 6_881],
  ])('%s is told the port %i when a router maps 49152 outside to 6881', (host, port) => {
    expect(toldPort(host, { port: 6_881, outsidePort: 49_152 })).toBe(port)
  })

  it.each([
    ['http://a.example/announce', true],
    ['udp://a.example:80', true],
    ['udp://a.example', false],
    ['wss://a.example', false],
    ['a.example', false],
  ])('%s as a tracker: %s', (text, is) => {
    expect(isTrackerUrl(text)).toBe(is)
  })
})

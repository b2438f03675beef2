/** `wikiseed get` and `read` with a manifest that names nobody, or nobody who is there: the DHT and trackers know who seeds. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Server } from 'bittorrent-tracker'
import { beforeEach, describe, expect, it } from 'vitest'
import { PeerFinder } from '../../node/getting/peer-finder.ts'
import type { TorrentPeer } from '../../node/ports.ts'
import type { Dht } from '../../node/transfer/dht.ts'
import { bencode } from '../../protocol/codec/bencode.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { at, NO_STRANGERS, sentence, start, useCli } from '../support/cli.ts'
import {
  addressOf,
  announce,
  cleanUp,
  forever,
  ID,
  NOBODY,
  query,
  read,
  startDht,
  startStranger,
  useDht,
} from '../support/dht.ts'
import { type Published, type PublishedOptions, publishRuns } from '../support/published.ts'

const RUN = 'aawiki/20260101'
const HASH = 'c0ffee'.padEnd(40, '5') as Infohash

useDht()
useCli()
let router: Dht
beforeEach(async () => {
  router = await startDht()
})

async function publish(
  discovery: PublishedOptions['discovery'],
  namesPeers = false,
  runs = [RUN],
): Promise<Published> {
  const published = await publishRuns({ runs, seeds: 1, namesPeers, ...(discovery ? { discovery } : {}) })
  cleanUp.push(() => published.close())
  return published
}

const inDht = () => ({ dht: { port: 0, bootstrap: [addressOf(router)], nodesPath: null } })

/** Until every seed was announced. */
async function announced(published: Published): Promise<void> {
  const { engine } = published.seeds[0] ?? {}
  await expect
    .poll(async () => (await engine?.discovery())?.dht.announcedAtMs ?? null, { timeout: 20_000 })
    .not.toBe(null)
}

async function startTracker(): Promise<{ url: string; peers: () => number }> {
  const server = new Server({ http: true, udp: false, ws: false, stats: false })
  let peers = 0
  server.on('start', () => peers++)
  server.on('stop', () => peers--)
  await new Promise<void>((resolve) => server.listen(0, { http: '127.0.0.1' }, resolve))
  cleanUp.push(() => new Promise<void>((resolve) => server.close(resolve)))
  return { url: `http://127.0.0.1:${server.http?.address().port}/announce`, peers: () => peers }
}

function run(published: Published, args: string[], env: Record<string, string> = {}) {
  const from = ['--manifest', published.dir, '--root', published.rootPath]
  const strangers = {
    ...NO_STRANGERS,
    WIKISEED_DHT: 'yes',
    WIKISEED_DHT_BOOTSTRAP: addressOf(router),
    ...env,
  }
  return start([...args, ...from], process.execPath, strangers).ended
}

describe('wikiseed get', () => {
  it('finds in the DHT who seeds what the manifest names nobody for, and says so', async () => {
    const published = await publish(inDht())
    await announced(published)
    const { code, error } = await run(published, ['get', 'aawiki', '--to', at('dumps')])
    expect(error).toContain('dumps/aawiki/20260101: no peer that is known answers; asking the DHT.')
    expect(error).toContain('dumps/aawiki/20260101: the DHT named 1 peer.')
    expect(code).toBe(0)
    const name = `${RUN}/aawiki-20260101-pages-meta-current.xml.bz2`
    expect(readFileSync(at('dumps', name))).toEqual(readFileSync(join(published.mirror, name)))
  })

  it('asks a tracker too, and tells it at the end that it is gone', async () => {
    const tracker = await startTracker()
    const published = await publish({ trackers: [tracker.url] })
    await expect.poll(tracker.peers, { timeout: 10_000 }).toBeGreaterThan(0)
    const seeds = tracker.peers()
    const { code, error } = await run(published, ['get', 'aawiki', '--to', at('dumps')], {
      WIKISEED_DHT: 'no',
      WIKISEED_TRACKER: tracker.url,
    })
    expect(error).toContain('a tracker named 1 peer.')
    expect(code).toBe(0)
    expect(tracker.peers()).toBe(seeds)
  })

  it('says who named nobody, and who did not answer', async () => {
    const published = await publish(undefined)
    const { code, error } = await run(published, ['get', 'aawiki', '--to', at('dumps'), '--patience', '4s'], {
      WIKISEED_TRACKER: 'http://127.0.0.1:9/announce',
    })
    expect(error).toContain('the DHT and a tracker named nobody; no answer from 127.0.0.1:9.')
    expect(code).toBe(1)
  })

  it('asks nobody but those that the manifest names with --no-dht and --tracker none', async () => {
    const published = await publish(inDht())
    const asked = router.stats().nodes
    const ended = await run(published, ['get', 'aawiki', '--to', at('dumps'), '--no-dht'])
    expect(ended.error).not.toContain('asking')
    expect(ended.error).toContain('nobody offers it')
    expect(ended.code).toBe(1)
    expect(router.stats().nodes).toBe(asked)
    expect(sentence(await run(published, ['read', 'aawiki', 'Main Page', '--no-dht']))).toContain(
      'names no peer that has aawiki of 20260101',
    )
  })
})

describe('wikiseed read', () => {
  it('finds in the DHT who seeds when the one whom the manifest names is gone', async () => {
    const published = await publish(inDht(), true, ['fatwiki/20240920'])
    await announced(published)
    await published.seeds[0]?.meter.close()
    const { code, out, error } = await run(published, ['read', 'fatwiki', 'Nhwɛdo:Databox'])
    expect(error).toContain('the DHT named 1 peer.')
    expect([code, out]).toEqual([0, '{{#invoke:Databox|databox}}\n'])
  })
})

describe('whoever looks for peers without being a node', () => {
  const finderAt = (bootstrap: readonly string[]) => {
    const finder = new PeerFinder({ bootstrap, trackers: [] })
    cleanUp.push(() => finder.close())
    return finder
  }

  it('says in each query that it answers none, answers none, and gets into no table', async () => {
    const stranger = await startStranger()
    stranger.socket.on('message', (bytes, from) => {
      const map = read(bytes)
      const t = map.get('t') as Uint8Array
      if (map.has('a'))
        for (const reply of [bencode({ t, y: 'r', r: { id: ID, token: 'x' } }), query('ping', {})])
          stranger.socket.send(reply, from.port, from.address)
    })
    const found = await finderAt([addressOf(stranger)]).find(HASH, () => {}, forever)
    expect(found).toEqual({ peers: 0, silent: [] })
    const heard = stranger.heard.map((bytes) => read(bytes))
    expect(heard.length).toBeGreaterThan(1)
    expect(heard.map((map) => [map.has('a'), map.get('ro')])).toEqual(heard.map(() => [true, 1]))
  })

  it('is told who announced a torrent', async () => {
    const other = await startDht([addressOf(router)])
    await expect.poll(() => other.isUp).toBe(true)
    await other.announce([announce(HASH, 2_222)], forever)
    const told: TorrentPeer[] = []
    const found = await finderAt([addressOf(router)]).find(HASH, (peers) => told.push(...peers), forever)
    expect(told).toEqual([{ host: '127.0.0.1', port: 2_222 }])
    expect(found.peers).toBe(1)
  })

  it('stops when it is told to', async () => {
    const stop = new AbortController()
    const finding = finderAt([NOBODY]).find(HASH, () => {}, stop.signal)
    stop.abort(new Error('enough'))
    await expect(finding).rejects.toThrow('enough')
  })
})

/** Where the files of a shard come from over HTTP (PROTOCOL 6): the Archive, mirrors, origin; one after the other, in the middle of a file too. */
import { readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { readUpstreamRun } from '../../node/upstream/read-run.ts'
import { itemNames } from '../../protocol/shard/archive-item.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { makeFetcher, type TestFetcherOptions } from '../support/fetcher.ts'
import { startWorld, type World, type WorldOptions } from '../world/world.ts'
import { serveFile, startServer, type TestServer } from './origin-server.ts'
import { makeDumps, noise } from './world-support.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

const BIG = 'aawiki/20260101/aawiki-20260101-pages-articles.xml.bz2'
const SMALL = 'aawiki/20260101/aawiki-20260101-page.sql.gz'
const FILES: Record<string, Buffer> = { [BIG]: noise(600_000, 1), [SMALL]: noise(20_000, 2) }

async function aWorld(options: Partial<WorldOptions> = {}, files = FILES): Promise<World> {
  const dumps = await makeDumps(files)
  const world = await startWorld({ dumps, ...options })
  cleanups.push(() => rm(dumps, { recursive: true }), world.close)
  return world
}

/** A place that answers as it is told. */
async function aServer(
  handler: (request: IncomingMessage, response: ServerResponse, count: number) => void,
): Promise<TestServer> {
  const server = await startServer(handler)
  cleanups.push(() => server.close())
  return server
}

const notFound = (response: ServerResponse) =>
  void response.writeHead(404, { 'content-type': 'text/html' }).end('<html>no</html>')

async function aFetcher(world: World, options: Partial<TestFetcherOptions> = {}) {
  const client = await makeFetcher({ originUrl: `${world.url}/`, ...options })
  cleanups.push(client.close)
  const name = { dataset: 'dumps', wiki: 'aawiki', date: '20260101' } as const
  const run = await readUpstreamRun(client.origin, name, { nowMs: Date.now(), settledAfterMs: 1_000 })
  const shard = (run.ready ? run.shards[0] : undefined) as Shard
  const fetch = () =>
    client.fetcher.fetch(
      shard,
      { kind: 'origin' },
      { onProgress: () => {}, signal: new AbortController().signal },
    )
  const isRight = () =>
    Object.entries(FILES).every(([path, bytes]) =>
      readFileSync(join(client.layout.mirror, path)).equals(bytes),
    )
  return { ...client, shard, fetch, isRight }
}

const dumpRequests = (world: World) => world.log.filter((one) => one.kind === 'dump')
const rangesAt = (server: TestServer, path: string) =>
  server.requests.filter((one) => one.path.endsWith(path)).map((one) => one.headers.range)

describe('the files of a shard over HTTP', () => {
  it('come from a mirror first; Wikimedia is asked for the status alone', async () => {
    const [world, mirror] = [await aWorld(), await aWorld()]
    const client = await aFetcher(world, { mirrors: [`${mirror.url}/`] })
    expect((await client.fetch()).fromOriginBytes).toBe(0)
    expect(client.isRight()).toBe(true)
    expect(dumpRequests(world)).toEqual([])
    expect(mirror.summary().originBytes).toBe(620_000)
    expect([client.origin.bytesElsewhere, client.web.bad]).toEqual([620_000, []])
    expect(mirror.log.every((one) => one.userAgent.includes('test@example.org'))).toBe(true)
  })

  it('come from Wikimedia where the mirror has none, which is normal and no problem', async () => {
    const world = await aWorld()
    const mirror = await aServer((_, response) => notFound(response))
    const client = await aFetcher(world, { mirrors: [mirror.baseUrl] })
    await client.fetch()
    expect(client.isRight()).toBe(true)
    expect(mirror.requests).toHaveLength(2)
    expect(client.web.bad).toEqual([])
  })

  it('of another size at a mirror are not taken, before a byte is written', async () => {
    const world = await aWorld()
    const mirror = await aWorld({}, { ...FILES, [BIG]: noise(500_000, 1) })
    const client = await aFetcher(world, { mirrors: [`${mirror.url}/`] })
    expect((await client.fetch()).fromOriginBytes).toBe(600_000)
    expect(client.isRight()).toBe(true)
  })

  it('come from the Archive when a coordinator verified it there, by whichever name its item has', async () => {
    const world = await aWorld()
    for (const which of [0, 1]) {
      let item = ''
      const archive = await aServer((request, response) => {
        const [, door = '', name = '', ...path] = (request.url ?? '').split('/')
        if (name !== item) return notFound(response)
        if (door === 'download')
          return void response.writeHead(302, { location: `/0/${name}/${path.join('/')}` }).end()
        const bytes = FILES[path.join('/')]
        return bytes === undefined ? notFound(response) : serveFile(request, response, { bytes, etag: '"a"' })
      })
      const client = await aFetcher(world, { archiveUrl: archive.baseUrl, isArchived: () => true })
      item = itemNames(client.shard)[which] ?? ''
      expect((await client.fetch()).fromOriginBytes).toBe(0)
      expect(client.isRight()).toBe(true)
    }
    expect(dumpRequests(world)).toEqual([])
  })

  it('of an archived run that Wikimedia has deleted still come, from the Archive', async () => {
    const world = await aWorld()
    let isGone = false
    const origin = await aServer(async (request, response) => {
      if (isGone) return notFound(response)
      const answer = await fetch(`${world.url}${request.url}`, { headers: { 'user-agent': 'a@example.org' } })
      response
        .writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
        .end(Buffer.from(await answer.arrayBuffer()))
    })
    const archive = await aServer((request, response) => {
      const bytes = FILES[(request.url ?? '').split('/').slice(3).join('/')]
      return bytes === undefined ? notFound(response) : serveFile(request, response, { bytes, etag: '"a"' })
    })
    let isArchived = false
    const client = await aFetcher(world, {
      originUrl: origin.baseUrl,
      archiveUrl: archive.baseUrl,
      isArchived: () => isArchived,
    })
    isGone = true
    await expect(client.fetch()).rejects.toMatchObject({ code: 'origin-unavailable' })
    isArchived = true
    await client.fetch()
    expect(client.isRight()).toBe(true)
  })

  it('that a mirror cuts go on at Wikimedia in the middle of the file, and each byte comes once', async () => {
    const world = await aWorld()
    const mirror = await aServer((request, response, count) => {
      if (!request.url?.endsWith('.bz2')) return notFound(response)
      // One good beginning, then nothing any more.
      if (count > 0) return void response.writeHead(500).end()
      serveFile(request, response, { bytes: FILES[BIG] as Buffer, etag: '"m"', cutAfter: 250_000 })
    })
    const client = await aFetcher(world, { mirrors: [mirror.baseUrl] })
    const { fromOriginBytes } = await client.fetch()
    expect(client.isRight()).toBe(true)
    expect(fromOriginBytes).toBe(620_000 - 250_000)
    expect(dumpRequests(world).map((one) => one.range)).toContain('bytes=250000-')
    expect(rangesAt(mirror, '.bz2')).toEqual([undefined, 'bytes=250000-', 'bytes=250000-'])
  })

  it('with wrong bytes from a mirror are fetched anew elsewhere, and the mirror is named for that file', async () => {
    const world = await aWorld()
    const [bad, good] = [
      await aWorld({ faults: { wrongBytes: [{ glob: '**/*.bz2', times: 0 }] } }),
      await aWorld(),
    ]
    const client = await aFetcher(world, { mirrors: [`${bad.url}/`, `${good.url}/`] })
    await client.fetch()
    expect(client.isRight()).toBe(true)
    expect(client.web.bad.map(({ source, path }) => [source, path])).toEqual([
      [new URL(bad.url).host, BIG.slice('aawiki/'.length)],
    ])
    // The file that was right was not fetched again, and the bad mirror was not asked again for the other.
    expect(dumpRequests(bad)).toHaveLength(2)
    expect(dumpRequests(good).map((one) => one.path)).toEqual([`/${BIG}`])
    expect(dumpRequests(world)).toEqual([])
  })

  it('mixed of two sources with wrong bytes are fetched whole from one', async () => {
    const world = await aWorld()
    const wrong = Buffer.from(FILES[BIG] as Buffer)
    wrong.writeUInt8(wrong.readUInt8(10) ^ 1, 10)
    const mirror = await aServer((request, response, count) => {
      if (!request.url?.endsWith('.bz2')) return notFound(response)
      if (count > 0) return void response.writeHead(503).end()
      serveFile(request, response, { bytes: wrong, etag: '"m"', cutAfter: 100_000 })
    })
    const client = await aFetcher(world, { mirrors: [mirror.baseUrl] })
    await client.fetch()
    expect(client.isRight()).toBe(true)
    expect(client.web.bad.map((one) => one.source)).toEqual([mirror.host])
    expect(
      dumpRequests(world)
        .filter((one) => one.path.endsWith('.bz2'))
        .map((one) => one.range),
    ).toEqual(['bytes=100000-', undefined])
  })

  it('that are wrong at Wikimedia too are never held: the failure names them', async () => {
    const faults = { wrongBytes: [{ glob: '**/*.bz2', times: 0 }] }
    const [world, mirror] = [await aWorld({ faults }), await aWorld({ faults })]
    const client = await aFetcher(world, { mirrors: [`${mirror.url}/`] })
    await expect(client.fetch()).rejects.toMatchObject({
      code: 'digest-mismatch',
      message: expect.stringContaining('pages-articles'),
    })
    expect(client.web.bad.map((one) => one.source)).toEqual([
      new URL(mirror.url).host,
      new URL(world.url).host,
    ])
    expect(readdirSync(client.layout.mirror)).toEqual([])
    // The right file stays for the next try.
    expect(readFileSync(join(client.files.staging(client.shard), SMALL)).equals(FILES[SMALL] as Buffer)).toBe(
      true,
    )
  })

  it('that change at a mirror in the middle come from elsewhere', async () => {
    const world = await aWorld()
    const mirror = await aServer((request, response, count) => {
      if (!request.url?.endsWith('.bz2')) return notFound(response)
      const bytes = FILES[BIG] as Buffer
      serveFile(
        request,
        response,
        count === 0 ? { bytes, etag: '"1"', cutAfter: 50_000 } : { bytes, etag: '"2"' },
      )
    })
    const client = await aFetcher(world, { mirrors: [mirror.baseUrl] })
    expect((await client.fetch()).fromOriginBytes).toBe(620_000)
    expect(client.isRight()).toBe(true)
  })

  it('a mirror that is down is asked last for a while', async () => {
    const world = await aWorld()
    const mirror = await aServer((_, response) => void response.writeHead(500).end())
    const client = await aFetcher(world, { mirrors: [mirror.baseUrl] })
    await client.fetch()
    // Two files were under way at once; of each there was one try and two more.
    expect(mirror.requests.length).toBeLessThanOrEqual(6)
    const before = mirror.requests.length
    await rm(client.layout.mirror, { recursive: true })
    await client.fetch()
    expect(mirror.requests).toHaveLength(before)
  })

  it('a mirror that asks for an hour’s pause gets it, and the files come from elsewhere meanwhile', async () => {
    const world = await aWorld()
    const mirror = await aServer(
      (_, response) => void response.writeHead(503, { 'retry-after': '3600' }).end(),
    )
    const origin = { retryAfterMaxMs: 3_600_000 }
    const client = await aFetcher(world, { mirrors: [mirror.baseUrl], origin })
    await client.fetch()
    expect(client.isRight()).toBe(true)
    // The two that were under way when it said so.
    expect(mirror.requests.length).toBeLessThanOrEqual(2)
  })

  it('never take more than two connections at any host, however many shards are fetched', async () => {
    const [world, mirror] = [
      await aWorld({ bytesPerSecond: 2_000_000 }),
      await aWorld({ bytesPerSecond: 2_000_000 }),
    ]
    const client = await aFetcher(world, { mirrors: [`${mirror.url}/`] })
    const options = { onBytes: () => {}, onFound: () => {}, signal: new AbortController().signal }
    // As several shards at once would: each into files of its own; some of mirror and origin side by side.
    await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) =>
        client.web.fetch(
          client.shard,
          (path) => join(client.dataDir, name + path.replaceAll('/', '-')),
          options,
        ),
      ),
    )
    await client.fetch()
    expect(world.summary().maxConcurrentByClient).toBeLessThanOrEqual(2)
    expect(mirror.summary().maxConcurrentByClient).toBeLessThanOrEqual(2)
  })
})

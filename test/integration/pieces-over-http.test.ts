/** A fetch that began in the swarm goes on over HTTP piece by piece, and back (PROTOCOL 6): nothing that is right is fetched twice. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { readUpstreamRun } from '../../node/upstream/read-run.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { decodeInfo, encodeInfo } from '../../protocol/torrent/info.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import {
  bytesOf,
  missingPieces,
  stage,
  type WholeShard,
  wholeShard,
  writeWhole,
} from '../support/begun-in-swarm.ts'
import { makeFetcher, type TestFetcherOptions } from '../support/fetcher.ts'
import type { ChildTask } from '../support/fetching-child.ts'
import { startWorld, type World, type WorldOptions } from '../world/world.ts'
import { startServer, type TestServer } from './origin-server.ts'
import { makeDumps, noise } from './world-support.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

const FOLDER = 'aawiki/20260101/aawiki-20260101-'
// In raw-byte order of path, as they lie in the torrent; the pieces of 16 KiB know nothing of them.
const [TABLE, PAGE, BIG] = [
  `${FOLDER}category.sql.gz`,
  `${FOLDER}page.sql.gz`,
  `${FOLDER}pages-articles.xml.bz2`,
]
const FILES: Record<string, Buffer> = {
  [TABLE]: noise(100_000, 1),
  [PAGE]: noise(30_000, 2),
  [BIG]: noise(3_000_000, 3),
}
const ALL = 3_130_000
const PIECE = 16_384

interface Rig {
  readonly world: World
  readonly whole: WholeShard
  readonly client: Awaited<ReturnType<typeof makeFetcher>>
  readonly dumps: string
}

async function aWorld(
  options: Partial<WorldOptions> = {},
  files = FILES,
): Promise<World & { dumps: string }> {
  const dumps = await makeDumps(files)
  const world = await startWorld({ dumps, ...options })
  cleanups.push(() => rm(dumps, { recursive: true }), world.close)
  return Object.assign(world, { dumps })
}

async function aServer(
  handler: (request: IncomingMessage, response: ServerResponse, count: number) => void,
): Promise<TestServer> {
  const server = await startServer(handler)
  cleanups.push(() => server.close())
  return server
}

async function aRig(
  options: Partial<TestFetcherOptions> = {},
  world: Awaited<ReturnType<typeof aWorld>> | null = null,
): Promise<Rig> {
  const origin = world ?? (await aWorld())
  const client = await makeFetcher({ originUrl: `${origin.url}/`, ...options })
  cleanups.push(client.close)
  const name = { dataset: 'dumps', wiki: 'aawiki', date: '20260101' } as const
  const run = await readUpstreamRun(client.origin, name, { nowMs: Date.now(), settledAfterMs: 1_000 })
  const shard = (run.ready ? run.shards[0] : undefined) as Shard
  return { world: origin, whole: await wholeShard(shard, origin.dumps), client, dumps: origin.dumps }
}

const fromWeb = (
  { client, whole }: Rig,
  signal = new AbortController().signal,
  onProgress = (_: number) => {},
) => client.fetcher.fetch(whole.shard, { kind: 'origin' }, { onProgress, signal })
const staging = ({ client, whole }: Rig) => client.files.staging(whole.shard)
const isHeld = ({ client }: Rig) =>
  Object.entries(FILES).every(([path, bytes]) => readFileSync(join(client.layout.mirror, path)).equals(bytes))
/** What a world gave of dump files: path -> ranges. */
const given = (world: World) => world.log.filter((one) => one.kind === 'dump')
const bytesGiven = (world: World) => given(world).reduce((sum, one) => sum + one.bytes, 0)

/** Every second stretch of ten pieces came from peers. */
const SOME = (piece: number) => Math.floor(piece / 10) % 2 === 0

async function anEngine(options: { uploadLimitBytesPerSecond?: number } = {}): Promise<WebTorrentEngine> {
  const engine = new WebTorrentEngine({ port: 0, ...options })
  await engine.start()
  cleanups.push(() => engine.stop())
  return engine
}

/** A peer that has all of it. */
async function aSeed(whole: WholeShard, options: { uploadLimitBytesPerSecond?: number } = {}) {
  const root = await mkdtemp(join(tmpdir(), 'wikiseed-seed-'))
  cleanups.push(() => rm(root, { recursive: true }))
  await writeWhole(whole, root)
  const engine = await anEngine(options)
  await engine.seed(encodeMetainfo({ info: whole.built.info }), root)
  return engine
}

/** An nginx that gives the dumps, and whatever `change` makes of a request. True: it answered. */
function aMirror(
  change: (path: string, request: IncomingMessage, response: ServerResponse) => boolean = () => false,
  files = FILES,
): Promise<TestServer> {
  return aServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '').slice(1)
    const bytes = files[path]
    if (change(path, request, response)) return
    if (bytes === undefined) return void response.writeHead(404).end()
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const [start, end] = from === undefined ? [0, bytes.length] : [Number(from), Number(to) + 1]
    const headers = { 'content-length': end - start, 'content-type': 'application/octet-stream' }
    if (from === undefined) return void response.writeHead(200, headers).end(bytes)
    const range = { 'content-range': `bytes ${from}-${to}/${bytes.length}` }
    response.writeHead(206, { ...headers, ...range }).end(bytes.subarray(start, end))
  })
}

const CHILD = join(import.meta.dirname, '..', 'support', 'fetching-child.ts')

/** True: it was killed. */
async function runChild(task: ChildTask): Promise<boolean> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(task)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  const [code, signal] = await once(child, 'exit')
  if (signal === 'SIGKILL') return true
  expect([code, errors]).toEqual([0, ''])
  return false
}

const asked = (server: TestServer, path: string) =>
  server.requests.filter((one) => decodeURIComponent(one.path) === `/${path}`).map((one) => one.headers.range)

describe('a shard of which the swarm gave a part', () => {
  it('is completed over HTTP with what is missing and nothing more, when the last peer died halfway', async () => {
    const engine = await anEngine()
    const rig = await aRig({ engine })
    const { whole, world, client } = rig
    const seed = await aSeed(whole, { uploadLimitBytesPerSecond: 1_500_000 })
    const stop = new AbortController()
    const fetching = client.fetcher.fetch(
      whole.shard,
      { kind: 'swarm', infohash: whole.built.infohash, peers: [{ host: '127.0.0.1', port: seed.port }] },
      { onProgress: (done) => done > ALL / 2 && stop.abort(), signal: stop.signal },
    )
    await expect(fetching).rejects.toMatchObject({ code: 'aborted' })
    await seed.stop()
    const missing = bytesOf(await missingPieces(whole, staging(rig)))
    expect(missing).toBeLessThan(0.55 * ALL)
    expect(missing).toBeGreaterThan(0.1 * ALL)
    const progress: number[] = []
    const fetched = await fromWeb(rig, undefined, (done) => progress.push(done))
    expect(isHeld(rig)).toBe(true)
    expect(fetched.infohash).toBe(whole.built.infohash)
    // The last piece is shared with the metadata files, so nobody knows that it is right before all is there.
    expect(fetched.fromOriginBytes).toBeLessThanOrEqual(missing + PIECE)
    expect(bytesGiven(world)).toBe(fetched.fromOriginBytes)
    expect(progress[0]).toBeGreaterThanOrEqual(ALL - missing - PIECE)
    expect(progress).toEqual([...progress].sort((a, b) => a - b))
    expect(given(world).every((one) => one.status === 206)).toBe(true)
    expect(world.summary().maxConcurrentByClient).toBeLessThanOrEqual(2)
  })

  it('goes on in the swarm when peers come back, with what servers gave meanwhile', async () => {
    const engine = await anEngine()
    const rig = await aRig({ engine }, await aWorld({ bytesPerSecond: 3_000_000 }))
    const { whole, client } = rig
    await stage(whole, client.files, (piece) => piece < 40)
    const stop = new AbortController()
    const half = fromWeb(rig, stop.signal, (done) => done > ALL / 2 && stop.abort())
    await expect(half).rejects.toMatchObject({ code: 'aborted' })
    const missing = bytesOf(await missingPieces(whole, staging(rig)))
    expect(missing).toBeLessThan(0.6 * ALL)
    const seed = await aSeed(whole)
    const fetched = await client.fetcher.fetch(
      whole.shard,
      { kind: 'swarm', infohash: whole.built.infohash, peers: [{ host: '127.0.0.1', port: seed.port }] },
      { onProgress: () => {}, signal: new AbortController().signal },
    )
    expect(isHeld(rig)).toBe(true)
    const metadata = whole.built.metadata.reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect(fetched.fromSwarmBytes).toBeLessThanOrEqual(missing + PIECE + metadata)
  })

  it('asks for neighbouring pieces as one range, over the borders of files', async () => {
    const mirror = await aMirror()
    const rig = await aRig({ mirrors: [mirror.baseUrl] })
    // From the sixth piece, which is in the first file, to the ninth, which is in the third.
    await stage(rig.whole, rig.client.files, (piece) => piece < 5 || piece > 9)
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(asked(mirror, TABLE)).toEqual([`bytes=${5 * PIECE}-99999`])
    expect(asked(mirror, PAGE)).toEqual(['bytes=0-29999'])
    const tail = 191 * PIECE - 130_000
    expect(asked(mirror, BIG).sort()).toEqual([
      `bytes=0-${10 * PIECE - 130_000 - 1}`,
      `bytes=${tail}-2999999`,
    ])
    expect(bytesGiven(rig.world)).toBe(0)
  })

  it('asks for no piece again that is right on the disk, however often its process is killed', async () => {
    const rig = await aRig({}, await aWorld({ bytesPerSecond: 2_000_000 }))
    const { whole, world, client } = rig
    await stage(whole, client.files, SOME)
    const lives: { fromAt: string; toAt: string; missing: [number, number][] }[] = []
    for (let isKilled = true; isKilled; ) {
      expect(lives.length).toBeLessThan(20)
      const missing = await missingPieces(whole, staging(rig))
      const fromAt = new Date().toISOString()
      isKilled = await runChild({
        dataDir: client.dataDir,
        originUrl: `${world.url}/`,
        runs: ['dumps/aawiki/20260101'],
        killAt: { step: 'chunk', count: 15 },
      })
      lives.push({ fromAt, toAt: new Date().toISOString(), missing })
    }
    expect(lives.length).toBeGreaterThan(2)
    expect(isHeld(rig)).toBe(true)
    // A line is logged when its answer ended, which may be after the process did.
    for (const { fromAt, toAt, missing } of lives) {
      const may = [...missing, [whole.bytes.length - (whole.bytes.length % PIECE), whole.bytes.length]]
      for (const one of given(world).filter(({ at }) => at >= fromAt && at <= toAt)) {
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(one.range ?? '') ?? []
        const fileStart =
          whole.starts[Object.keys(FILES).findIndex((path) => one.path === `/${path}`)] ?? Number.NaN
        const range = [fileStart + Number(from), fileStart + Number(to) + 1]
        let at = range[0] ?? 0
        for (const [start = 0, end = 0] of may) if (start <= at && at < end) at = end
        expect(at, `${one.path} ${one.range}`).toBeGreaterThanOrEqual(range[1] ?? Number.POSITIVE_INFINITY)
      }
    }
  })

  it('takes each file from who has it: what one source lacks comes from the next, and the rest from it', async () => {
    const mirror = await aMirror((path, _, response) => {
      if (path !== PAGE && path !== TABLE) return false
      response.writeHead(404).end()
      return true
    })
    const rig = await aRig({ mirrors: [mirror.baseUrl] })
    await stage(rig.whole, rig.client.files, (piece) => piece > 9 && SOME(piece))
    const missing = bytesOf(await missingPieces(rig.whole, staging(rig)))
    const { fromOriginBytes } = await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(fromOriginBytes).toBe(130_000)
    expect(rig.client.origin.bytesElsewhere).toBeLessThanOrEqual(missing - 130_000 + PIECE)
    // It said once that it lacks a file.
    expect([asked(mirror, TABLE).length, asked(mirror, PAGE).length]).toEqual([1, 1])
    expect(rig.client.web.bad).toEqual([])
  })

  it('leaves a source that ignores Range, and takes nothing of what it sends', async () => {
    const mirror = await aMirror((path, _, response) => {
      response.writeHead(200, { 'content-length': FILES[path]?.length ?? 0 }).end(FILES[path])
      return true
    })
    const rig = await aRig({ mirrors: [mirror.baseUrl] })
    await stage(rig.whole, rig.client.files, SOME)
    const missing = bytesOf(await missingPieces(rig.whole, staging(rig)))
    const { fromOriginBytes } = await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(fromOriginBytes).toBeLessThanOrEqual(missing + PIECE)
    // One for each of the two ranges that were under way.
    expect(mirror.requests.length).toBeLessThanOrEqual(2)
    expect(rig.client.web.bad).toEqual([])
  })

  it('fetches a file whole when all who have it give no ranges; files of which nothing is missing stay', async () => {
    const origin = await aWorld()
    const rangeless = await aServer(async (request, response) => {
      const answer = await fetch(`${origin.url}${request.url}`, {
        headers: { 'user-agent': 'a@example.org' },
      })
      const headers = { 'content-type': answer.headers.get('content-type') ?? '' }
      response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()))
    })
    const rig = await aRig({ originUrl: rangeless.baseUrl }, origin)
    // All of the first two files; of the third the half.
    await stage(rig.whole, rig.client.files, (piece) => piece < 100)
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect([asked(rangeless, TABLE), asked(rangeless, PAGE)]).toEqual([[], []])
    expect(asked(rangeless, BIG).at(-1)).toBeUndefined()
  })

  it('keeps every piece when nobody has the rest', async () => {
    const origin = await aWorld()
    let isGone = false
    const server = await aServer(async (request, response) => {
      if (isGone && request.url?.endsWith('.bz2')) return void response.writeHead(404).end()
      const { range } = request.headers
      const answer = await fetch(`${origin.url}${request.url}`, {
        headers: { 'user-agent': 'a@example.org', ...(range === undefined ? {} : { range }) },
      })
      const headers = Object.fromEntries(
        ['content-type', 'content-range'].flatMap((name) => {
          const value = answer.headers.get(name)
          return value === null ? [] : [[name, value]]
        }),
      )
      response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()))
    })
    const rig = await aRig({ originUrl: server.baseUrl }, origin)
    await stage(rig.whole, rig.client.files, SOME)
    const before = await missingPieces(rig.whole, staging(rig))
    isGone = true
    await expect(fromWeb(rig)).rejects.toMatchObject({
      code: 'origin-unavailable',
      message: expect.stringContaining('not-found'),
    })
    const after = await missingPieces(rig.whole, staging(rig))
    expect(bytesOf(after)).toBeLessThanOrEqual(bytesOf(before))
    isGone = false
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
  })

  it('finds a wrong piece at once, names who gave it, and takes the rest of that file from others', async () => {
    const wrong = { ...FILES, [BIG]: Buffer.from(FILES[BIG] as Buffer) }
    for (let at = 0; at < 3_000_000; at += 50_000) wrong[BIG]?.fill(0, at, at + 100)
    const [bad, good] = [await aMirror(undefined, wrong), await aMirror()]
    const rig = await aRig({ mirrors: [bad.baseUrl, good.baseUrl] })
    await stage(rig.whole, rig.client.files, SOME)
    const missing = bytesOf(await missingPieces(rig.whole, staging(rig)))
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    const named = rig.client.web.bad.map(({ source, path }) => `${source} aawiki/${path}`)
    expect(new Set(named)).toEqual(new Set([`${bad.host} ${BIG}`]))
    // At most the two ranges under way were begun in vain.
    expect(asked(bad, BIG).length).toBeLessThanOrEqual(2)
    const wasted = rig.client.origin.bytesElsewhere - missing
    expect(wasted).toBeLessThan(2 * (10 * PIECE + 256 * 1024))
    expect(bytesGiven(rig.world)).toBe(0)
  })

  it('judges by digests what no piece proves, and asks others for that alone', async () => {
    const wrong = { ...FILES, [BIG]: Buffer.from(FILES[BIG] as Buffer) }
    wrong[BIG]?.fill(0, 2_999_990)
    const mirror = await aMirror(undefined, wrong)
    const rig = await aRig({ mirrors: [mirror.baseUrl] })
    await stage(rig.whole, rig.client.files, SOME)
    const { fromOriginBytes } = await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(rig.client.web.bad.map(({ source, path }) => [source, `aawiki/${path}`])).toEqual([
      [mirror.host, BIG],
    ])
    expect(fromOriginBytes).toBeLessThanOrEqual(PIECE)
  })

  it('does not let a torrent that lies about its pieces stand against upstream', async () => {
    const [one, two] = [await aMirror(), await aMirror()]
    const rig = await aRig({ mirrors: [one.baseUrl, two.baseUrl] })
    const info = decodeInfo(rig.whole.built.info)
    if (info === null) throw new Error('no info')
    // The pieces that the liar gave pass; those that it did not give never can.
    const pieces = Uint8Array.from(info.pieces, (byte, at) => (SOME(Math.floor(at / 20)) ? byte : byte ^ 1))
    await stage(rig.whole, rig.client.files, SOME, encodeInfo({ ...info, pieces }))
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    // Two that say the same are not named for it, and nobody else had to be asked.
    expect(rig.client.web.bad).toEqual([])
    expect(bytesGiven(rig.world)).toBe(0)
  })

  it('fetches anew what a lying torrent called right', async () => {
    const rig = await aRig()
    const { whole, client } = rig
    const bent = Buffer.from(whole.bytes)
    bent.fill(7, 60 * PIECE + 5, 60 * PIECE + 50)
    const info = decodeInfo(whole.built.info)
    if (info === null) throw new Error('no info')
    const pieces = Uint8Array.from(info.pieces)
    pieces.set(
      createHash('sha1')
        .update(bent.subarray(60 * PIECE, 61 * PIECE))
        .digest(),
      60 * 20,
    )
    await stage({ ...whole, bytes: bent }, client.files, SOME, encodeInfo({ ...info, pieces }))
    await fromWeb(rig)
    expect(isHeld(rig)).toBe(true)
    expect(client.web.bad).toEqual([])
  })

  it('waits with its pieces when the budget of the month is used up in the middle', async () => {
    const stop = new AbortController()
    const rig = await aRig(
      {
        budgetBytes: 400_000,
        // Whoever waits for the next month is stopped.
        gateSleep: (_, signal) =>
          new Promise((_resolve, reject) => {
            signal?.addEventListener('abort', () => reject(signal.reason))
            stop.abort()
          }),
      },
      await aWorld({ bytesPerSecond: 3_000_000 }),
    )
    await stage(rig.whole, rig.client.files, SOME)
    const before = bytesOf(await missingPieces(rig.whole, staging(rig)))
    await expect(fromWeb(rig, stop.signal)).rejects.toMatchObject({ code: 'aborted' })
    expect(rig.client.budget.usedBytes).toBeGreaterThanOrEqual(400_000)
    const after = bytesOf(await missingPieces(rig.whole, staging(rig)))
    expect(before - after).toBeGreaterThan(300_000)
  })
})

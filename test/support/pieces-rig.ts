/** A miniature Wikimedia with one shard, a fetcher of it, and mirrors: for tests of fetches that the swarm began. */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { readUpstreamRun } from '../../node/upstream/read-run.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { startServer, type TestServer } from '../integration/origin-server.ts'
import { makeDumps, noise } from '../integration/world-support.ts'
import { startWorld, type World, type WorldOptions } from '../world/world.ts'
import { type WholeShard, wholeShard } from './begun-in-swarm.ts'
import { makeFetcher, type TestFetcherOptions } from './fetcher.ts'

export const cleanups: (() => Promise<unknown>)[] = []

/** Ends what the tests began, after each. */
export function useRigs(): void {
  afterEach(async () => {
    for (const clean of cleanups.splice(0).reverse()) await clean()
  })
}

const FOLDER = 'aawiki/20260101/aawiki-20260101-'
// In raw-byte order of path, as they lie in the torrent; the pieces of 16 KiB know nothing of them.
export const [TABLE, PAGE, BIG] = [
  `${FOLDER}category.sql.gz`,
  `${FOLDER}page.sql.gz`,
  `${FOLDER}pages-articles.xml.bz2`,
]
export const FILES: Record<string, Buffer> = {
  [TABLE]: noise(100_000, 1),
  [PAGE]: noise(30_000, 2),
  [BIG]: noise(3_000_000, 3),
}
export const ALL = 3_130_000
export const PIECE = 16_384

export interface Rig {
  readonly world: World
  readonly whole: WholeShard
  readonly client: Awaited<ReturnType<typeof makeFetcher>>
  readonly dumps: string
}

export async function aWorld(
  options: Partial<WorldOptions> = {},
  files = FILES,
): Promise<World & { dumps: string }> {
  const dumps = await makeDumps(files)
  const world = await startWorld({ dumps, ...options })
  cleanups.push(() => rm(dumps, { recursive: true }), world.close)
  return Object.assign(world, { dumps })
}

export async function aServer(
  handler: (request: IncomingMessage, response: ServerResponse, count: number) => void,
): Promise<TestServer> {
  const server = await startServer(handler)
  cleanups.push(() => server.close())
  return server
}

export async function aRig(
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

export const fromWeb = (
  { client, whole }: Rig,
  signal = new AbortController().signal,
  onProgress = (_: number) => {},
) => client.fetcher.fetch(whole.shard, { kind: 'origin' }, { onProgress, signal })
export const staging = ({ client, whole }: Rig) => client.files.staging(whole.shard)
export const isHeld = ({ client }: Rig) =>
  Object.entries(FILES).every(([path, bytes]) => readFileSync(join(client.layout.mirror, path)).equals(bytes))
/** What a world gave of dump files: path -> ranges. */
export const given = (world: World) => world.log.filter((one) => one.kind === 'dump')
export const bytesGiven = (world: World) => given(world).reduce((sum, one) => sum + one.bytes, 0)

/** Every second stretch of ten pieces came from peers. */
export const SOME = (piece: number) => Math.floor(piece / 10) % 2 === 0

/** An nginx that gives the dumps, and whatever `change` makes of a request. True: it answered. */
export function aMirror(
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

export const asked = (server: TestServer, path: string) =>
  server.requests.filter((one) => decodeURIComponent(one.path) === `/${path}`).map((one) => one.headers.range)

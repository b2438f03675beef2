/** `wikiseed get` that goes on with another source in the middle of a file: pieces that are right stay, whoever gave them. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { at, start, useCli, wikiseed } from '../support/cli.ts'
import { FIXTURES, type Published, publishRuns } from '../support/published.ts'
import { startWorld, type World } from '../world/world.ts'
import { startServer, type TestServer } from './origin-server.ts'

const RUN = 'fatwiki/20240920'
const CONTENT = `${RUN}/fatwiki-20240920-pages-articles-multistream.xml.bz2`
const BYTES = readFileSync(join(FIXTURES, CONTENT))
const PIECE = 16 * 1024

let published: Published
beforeAll(async () => {
  published = await publishRuns({ runs: [RUN], seeds: 0 })
})
afterAll(() => published.close())
useCli()

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

async function aWorld(bytesPerSecond?: number): Promise<World> {
  const limit = bytesPerSecond === undefined ? {} : { bytesPerSecond }
  const world = await startWorld({ dumps: FIXTURES, seed: 'get-pieces', ...limit })
  cleanups.push(world.close)
  return world
}

/** A mirror that has the one file; `bytes` as it has it. */
async function aMirror(bytes: Buffer, givesRanges = true): Promise<TestServer> {
  const server = await startServer((request: IncomingMessage, response: ServerResponse) => {
    if (request.url !== `/${CONTENT}`) return void response.writeHead(404).end()
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    if (from === undefined || !givesRanges)
      return void response.writeHead(200, { 'content-length': bytes.length }).end(bytes)
    const end = to === '' ? bytes.length : Number(to) + 1
    response.writeHead(206, { 'content-range': `bytes ${from}-${end - 1}/${bytes.length}` })
    response.end(bytes.subarray(Number(from), end))
  })
  cleanups.push(() => server.close())
  return server
}

const get = (from: Published, mirrors: readonly string[]) => [
  ...['get', 'fatwiki', '--manifest', from.dir, '--root', from.rootPath, '--to', at('dumps')],
  ...['--files', '*.xml.bz2', '--patience', '300ms', '--contact', 'me@example.org', '--json'],
  ...mirrors.flatMap((mirror) => ['--mirror', mirror]),
]
const part = () => `${at('dumps', CONTENT)}.part`
const written = () => statSync(part(), { throwIfNoEntry: false })?.size ?? 0
const isWhole = () => readFileSync(at('dumps', CONTENT)).equals(BYTES)
const bytesGiven = (world: World) =>
  world.log.filter((one) => one.kind === 'dump').reduce((sum, one) => sum + one.bytes, 0)

/** As a swarm that fell silent left it. */
function begin(bytes: Uint8Array): void {
  mkdirSync(dirname(part()), { recursive: true })
  writeFileSync(part(), bytes)
}

describe('wikiseed get that goes on in the middle of a file', () => {
  it('takes from a mirror what the swarm did not give before its last peer died, and nothing twice', async () => {
    const slow = await publishRuns({ runs: [RUN], seeds: 1, uploadBytesPerSecond: 1_500_000 })
    cleanups.push(() => slow.close())
    const world = await aWorld()
    const { ended } = start(get(slow, [`${world.urls.wikimedia}/`]))
    await expect.poll(written, { timeout: 20_000, interval: 20 }).toBeGreaterThan(1_000_000)
    for (const { meter, engine } of slow.seeds) {
      await meter.close()
      await engine.stop()
    }
    const { code, out } = await ended
    expect(code).toBe(0)
    expect(isWhole()).toBe(true)
    expect(JSON.parse(out).files).toMatchObject([{ from: 'mirror', state: 'fetched' }])
    expect(bytesGiven(world)).toBeLessThan(BYTES.length - 1_000_000 + PIECE)
  })

  it('asks for no byte again that is right after kill -9 in the middle of what a mirror gives', async () => {
    begin(BYTES.subarray(0, 1_000_000))
    const world = await aWorld(1_000_000)
    const args = get(published, [`${world.urls.wikimedia}/`])
    const first = start(args)
    await expect.poll(written, { timeout: 20_000, interval: 20 }).toBeGreaterThan(1_600_000)
    first.child.kill('SIGKILL')
    await first.ended
    const kept = written()
    const requests = world.log.length
    expect((await wikiseed(...args)).code).toBe(0)
    expect(isWhole()).toBe(true)
    const ranges = world.log.slice(requests).flatMap((one) => (one.kind === 'dump' ? [one.range] : []))
    const from = ranges.map((range) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1]))
    expect(Math.min(...from)).toBeGreaterThan(kept - 2 * PIECE)
  })

  it('leaves a mirror at its first wrong piece, and the next gives the rest', async () => {
    begin(BYTES.subarray(0, 1_000_000))
    const bent = Buffer.from(BYTES)
    bent.fill(0, 1_500_000, 1_500_010)
    const [bad, good] = [await aMirror(bent), await aMirror(BYTES)]
    const { code, out } = await wikiseed(...get(published, [bad.baseUrl, good.baseUrl]))
    expect(code).toBe(0)
    expect(isWhole()).toBe(true)
    expect(JSON.parse(out).files[0].source).toBe(good.host)
    expect(bad.requests).toHaveLength(1)
    const [, from] = /^bytes=(\d+)-/.exec(good.requests[0]?.headers.range ?? '') ?? []
    // Right up to the piece that was wrong.
    expect(Number(from)).toBeGreaterThan(1_500_000 - PIECE)
  })

  it('asks once more, and others, for the edges that no piece proves, when the digest says that they are wrong', async () => {
    const bent = Buffer.from(BYTES)
    bent.fill(0, BYTES.length - 10)
    begin(bent)
    const [bad, good] = [await aMirror(bent), await aMirror(BYTES)]
    const { code, out } = await wikiseed(...get(published, [bad.baseUrl, good.baseUrl]))
    expect(code).toBe(0)
    expect(isWhole()).toBe(true)
    expect(JSON.parse(out).files[0].source).toBe(good.host)
    const asked = [...bad.requests, ...good.requests].map(({ headers }) => {
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
      return Number(to) + 1 - Number(from)
    })
    expect(Math.max(...asked)).toBeLessThanOrEqual(PIECE)
  })

  it('comes back to a mirror that gives only whole files when nobody gives the rest, and keeps its pieces until then', async () => {
    begin(BYTES.subarray(0, 1_000_000))
    const whole = await aMirror(BYTES, false)
    const nothing = await startServer((_, response) => void response.writeHead(404).end())
    cleanups.push(() => nothing.close())
    const { code, out } = await wikiseed(...get(published, [whole.baseUrl, nothing.baseUrl]))
    expect([code, isWhole()]).toEqual([0, true])
    expect(JSON.parse(out).files[0].source).toBe(whole.host)
    expect(whole.requests.map(({ headers }) => headers.range === undefined)).toEqual([false, true])
    // With somebody who gives ranges it is not needed.
    const again = await aMirror(BYTES)
    writeFileSync(at('dumps', CONTENT), '')
    begin(BYTES.subarray(0, 1_000_000))
    expect((await wikiseed(...get(published, [whole.baseUrl, again.baseUrl]))).code).toBe(0)
    expect(isWhole()).toBe(true)
    expect(again.requests.every(({ headers }) => /^bytes=\d+-\d+$/.test(headers.range ?? ''))).toBe(true)
  })

  it('keeps the pieces when nobody has the rest now', async () => {
    begin(BYTES.subarray(0, 1_000_000))
    const nothing = await startServer((_, response) => void response.writeHead(404).end())
    cleanups.push(() => nothing.close())
    expect((await wikiseed(...get(published, [nothing.baseUrl]))).code).toBe(1)
    expect(readFileSync(part()).equals(BYTES.subarray(0, 1_000_000))).toBe(true)
  })
})

/** Probes of mirrors over real HTTP: what a server may answer, and how its address and a file's name are written. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { MirrorProbes } from '../../coordinator/mirror-probes.ts'
import { createOrigin } from '../../node/origin/origin.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { realClock } from '../support/fetcher.ts'
import { shardOfFiles } from '../support/shards.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

const BYTES = Buffer.from('twelve bytes')
const shard = shardOfFiles('aawiki', new Map([['20260101/aawiki-20260101-a+b.sql.gz', BYTES]]))

/** Whether a mirror that answers like this holds the shard, and what it was asked for. */
async function probe(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.range ?? ''}`.trim())
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const origin = createOrigin({
    baseUrl: 'http://127.0.0.1:9/',
    contact: 'test@example.org',
    version: '0.1.0',
    nodeId: 'test',
    clock: realClock,
    random: () => 0.5,
    backoffBaseMs: 1,
  })
  cleanups.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => origin.close(),
  )
  const mirror = `http://127.0.0.1:${port}/d%20%C3%BC/`
  const probes = await MirrorProbes.open({
    mirrors: [mirror],
    origin,
    store: createMemoryStore(),
    clock: realClock,
    sleep: async () => {},
    log: silentLog,
  })
  await probes.round([shard], new AbortController().signal)
  return { isWhole: probes.whole(shard).includes(mirror), asked }
}

const PART = { 'content-length': 1, 'content-range': `bytes 11-11/12` }
const isRange = (request: IncomingMessage) => request.headers.range !== undefined
const whole = (request: IncomingMessage, response: ServerResponse) =>
  isRange(request)
    ? response.writeHead(206, PART).end(BYTES.subarray(11))
    : response.writeHead(200, { 'content-length': 12 }).end()

describe('a mirror', () => {
  it('holds a shard when HEAD tells the size and the Range of the last byte is answered by 206', async () => {
    const { isWhole, asked } = await probe(whole)
    expect(isWhole).toBe(true)
    const url = '/d%20%C3%BC/aawiki/20260101/aawiki-20260101-a%2Bb.sql.gz'
    expect(asked).toEqual([`HEAD ${url}`, `GET ${url} bytes=11-11`])
  })

  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    [
      'answers a Range with the whole file',
      (_request, response) => response.writeHead(200, { 'content-length': 12 }).end(BYTES),
    ],
    [
      'answers a Range about a file of another size',
      (request, response) =>
        isRange(request)
          ? response.writeHead(206, { ...PART, 'content-range': 'bytes 11-11/13' }).end(BYTES.subarray(11))
          : whole(request, response),
    ],
    [
      'tells no size',
      (_request, response) => response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(),
    ],
    ['has not the file', (_request, response) => response.writeHead(404).end()],
    ['wants a log-in', (_request, response) => response.writeHead(401).end()],
    [
      'leads to another host',
      (_request, response) => response.writeHead(302, { location: 'http://elsewhere.example/' }).end(),
    ],
    [
      'asks for a long pause',
      (_request, response) => response.writeHead(503, { 'retry-after': '3600' }).end(),
    ],
  ])('that %s does not', async (_what, answer) => {
    expect((await probe(answer)).isWhole).toBe(false)
  })
})

/** Ranges of a file over HTTP (Origin.range): each byte once and in order, and nothing from whoever gives another range. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { createOrigin, type OriginOptions } from '../../node/origin/origin.ts'
import { realClock } from '../support/fetcher.ts'
import { startServer, type TestServer } from './origin-server.ts'
import { noise } from './world-support.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

const BYTES = noise(3_000_000, 1)
const FILE = 'aawiki/20260101/aawiki-20260101-a+b.sql.gz'
const [START, END] = [1_000, 2_500_000]

async function ask(
  handler: (request: IncomingMessage, response: ServerResponse, count: number) => void,
  options: Partial<OriginOptions> = {},
): Promise<{ server: TestServer; came: () => Buffer; error: unknown; counted: number }> {
  const server = await startServer(handler)
  const origin = createOrigin({
    baseUrl: server.baseUrl,
    contact: 'test@example.org',
    version: '0.1.0',
    nodeId: 'test',
    clock: realClock,
    random: () => 0.5,
    backoffBaseMs: 1,
    retriesMax: 2,
    ...options,
  })
  cleanups.push(
    () => server.close(),
    () => origin.close(),
  )
  const chunks: Buffer[] = []
  let counted = 0
  const error = await origin
    .range(
      { path: FILE, sizeBytes: BYTES.length },
      { start: START, end: END },
      async (chunk) => void chunks.push(Buffer.from(chunk)),
      { onBytes: (count) => (counted += count) },
    )
    .then(
      () => null,
      (reason: unknown) => reason,
    )
  return { server, came: () => Buffer.concat(chunks), error, counted }
}

/** As nginx answers; `cutAfter` body bytes the connection breaks. */
function give(request: IncomingMessage, response: ServerResponse, cutAfter?: number): void {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
  const body = BYTES.subarray(Number(from), Number(to) + 1)
  response.writeHead(206, {
    'content-range': `bytes ${from}-${to}/${BYTES.length}`,
    'content-length': body.length,
  })
  if (cutAfter === undefined) response.end(body)
  else response.write(body.subarray(0, cutAfter), () => response.destroy())
}

describe('a range', () => {
  it('comes in order, by an address in which every name is encoded', async () => {
    const { server, came, error, counted } = await ask((request, response) => give(request, response))
    expect(error).toBeNull()
    expect(came().equals(BYTES.subarray(START, END))).toBe(true)
    expect(counted).toBe(END - START)
    expect(server.requests.map(({ path, headers }) => [path, headers.range])).toEqual([
      ['/aawiki/20260101/aawiki-20260101-a%2Bb.sql.gz', `bytes=${START}-${END - 1}`],
    ])
  })

  it('that breaks is gone on with where it broke: no byte comes twice', async () => {
    const { server, came, error, counted } = await ask((request, response, count) =>
      give(request, response, count < 2 ? 600_000 : undefined),
    )
    expect(error).toBeNull()
    expect(came().equals(BYTES.subarray(START, END))).toBe(true)
    expect(counted).toBe(END - START)
    expect(server.requests.map(({ headers }) => headers.range)).toEqual(
      [0, 600_000, 1_200_000].map((at) => `bytes=${START + at}-${END - 1}`),
    )
  })

  it('of a source that gives a little each time ends after a bounded number of requests', async () => {
    const { server, error } = await ask((request, response) => give(request, response, 1_000))
    expect(error).toMatchObject({ code: 'network' })
    expect(server.requests).toHaveLength(3)
  })

  it('waits when the host asks for a pause, and is asked for again', async () => {
    const { error, server } = await ask(
      (request, response, count) =>
        count === 0 ? void response.writeHead(429, { 'retry-after': '1' }).end() : give(request, response),
      { retryAfterMaxMs: 60 },
    )
    expect(error).toBeNull()
    const [first = 0, second = 0] = server.requests.map(({ atMs }) => atMs)
    expect(second - first).toBeGreaterThanOrEqual(50)
  })

  const total = BYTES.length
  const body = BYTES.subarray(START, END)
  const right = `bytes ${START}-${END - 1}/${total}`
  it.each<[string, string, number, Record<string, string | number>, Buffer]>([
    ['the whole file', 'no-ranges', 200, { 'content-length': total }, BYTES],
    ['a whole file of another size', 'wrong-size', 200, { 'content-length': 5 }, BYTES.subarray(0, 5)],
    ['no Content-Range', 'no-ranges', 206, {}, body],
    ['two Content-Ranges', 'no-ranges', 206, { 'content-range': `${right}, ${right}` }, body],
    ['another start', 'no-ranges', 206, { 'content-range': `bytes ${START + 1}-${END - 1}/${total}` }, body],
    ['another end', 'no-ranges', 206, { 'content-range': `bytes ${START}-${END}/${total}` }, body],
    ['a shorter range', 'no-ranges', 206, { 'content-range': `bytes ${START}-${START}/${total}` }, body],
    [
      'a file of another size',
      'wrong-size',
      206,
      { 'content-range': `bytes ${START}-${END - 1}/${total + 1}` },
      body,
    ],
    ['a total that is not said', 'no-ranges', 206, { 'content-range': `bytes ${START}-${END - 1}/*` }, body],
    [
      'numbers without end',
      'no-ranges',
      206,
      { 'content-range': `bytes ${'9'.repeat(400)}-1/${total}` },
      body,
    ],
    ['another unit', 'no-ranges', 206, { 'content-range': right.replace('bytes', 'items') }, body],
    ['many parts', 'no-ranges', 206, { 'content-type': 'multipart/byteranges; boundary=x' }, body],
    [
      'a length that is not the range’s',
      'no-ranges',
      206,
      { 'content-range': right, 'content-length': 7 },
      body,
    ],
    ['more bytes than it says', 'no-ranges', 206, { 'content-range': right }, Buffer.concat([body, BYTES])],
    ['a range that it says it lacks', 'no-ranges', 416, { 'content-range': `bytes */${total}` }, body],
    ['a shorter file', 'wrong-size', 416, { 'content-range': 'bytes */900' }, body],
    ['a web page', 'busy', 206, { 'content-range': right, 'content-type': 'text/html' }, body],
    ['nothing there', 'not-found', 404, {}, body],
  ])('is not taken from a source that answers with %s', async (_, code, status, headers, sent) => {
    const { error, came, server } = await ask((_request, response) => {
      response.on('error', () => {})
      response.writeHead(status, headers)
      response.write(sent.subarray(0, Number(headers['content-length'] ?? sent.length)))
      response.end()
    })
    expect(error).toMatchObject({ name: 'OriginError', code })
    // What went beyond the range was noticed when all of it had come; nothing else was handed on.
    expect(came().length === 0 || came().equals(BYTES.subarray(START, START + came().length))).toBe(true)
    expect(came().length).toBeLessThanOrEqual(END - START)
    expect(server.requests.length).toBe(code === 'busy' ? 3 : 1)
  })
})

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { putFile } from '../../coordinator/preserve/put-file.ts'

const SIZE = 8 * 1024 * 1024
let dir: string
let path: string
const servers: Server[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wikiseed-put-'))
  path = join(dir, 'file')
  await writeFile(path, Buffer.alloc(SIZE, 7))
})
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  }
  await rm(dir, { recursive: true, force: true })
})

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** Decides at `Expect: 100-continue`, before any byte of the body. */
async function serve(handler: Handler): Promise<string> {
  const server = createServer(handler)
  server.on('checkContinue', handler)
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/item/key`
}

const put = (url: string, change: Partial<Parameters<typeof putFile>[0]> = {}) =>
  putFile({
    url,
    headers: { authorization: 'LOW a:b' },
    path,
    sizeBytes: SIZE,
    idleMs: 2_000,
    continueMs: 500,
    ...change,
  })

/** Accepts the body and counts it. */
const accept: Handler = (request, response) => {
  response.writeContinue()
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  request.on('end', () => response.end(String(bytes)))
}

describe('putFile', () => {
  it('sends the whole file with its length', async () => {
    const counts: number[] = []
    const answer = await put(await serve(accept), { onBytes: (count) => counts.push(count) })
    expect(answer).toEqual({ status: 200, body: String(SIZE) })
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(SIZE)
  })

  it('sends no byte of the body when it is refused at once', async () => {
    const counts: number[] = []
    const url = await serve((_, response) => response.writeHead(503).end('<Code>SlowDown</Code>'))
    expect(await put(url, { onBytes: (count) => counts.push(count) })).toEqual({
      status: 503,
      body: '<Code>SlowDown</Code>',
    })
    expect(counts).toEqual([])
  })

  it('sends the body to a server that never says continue', async () => {
    const url = await serve((request, response) => {
      request.resume()
      request.on('end', () => response.end('late'))
    })
    expect(await put(url, { continueMs: 50 })).toEqual({ status: 200, body: 'late' })
  })

  it('follows a redirect on the same host, with the keys and the body', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/item/key') response.writeHead(307, { location: '/node/key' }).end()
      else if (request.headers.authorization === 'LOW a:b') accept(request, response)
      else response.writeHead(403).end()
    })
    expect(await put(url)).toEqual({ status: 200, body: String(SIZE) })
  })

  it('never takes the keys to a host that is not the archive', async () => {
    let asked = 0
    const elsewhere = await serve((_, response) => {
      asked++
      response.end()
    })
    const url = await serve((_, response) => response.writeHead(307, { location: elsewhere }).end())
    await expect(put(url)).rejects.toMatchObject({ code: 'bad-answer' })
    expect(asked).toBe(0)
  })

  it('gives up on redirects without end', async () => {
    const url = await serve((_, response) => response.writeHead(307, { location: '/item/key' }).end())
    await expect(put(url)).rejects.toMatchObject({ code: 'bad-answer' })
  })

  it('says that the server fell silent', async () => {
    const url = await serve((_, response) => response.writeContinue())
    await expect(put(url, { idleMs: 200, sizeBytes: 1_000 })).rejects.toMatchObject({
      code: 'network',
      message: expect.stringContaining('silent'),
    })
  })

  it('says that the connection broke in the middle', async () => {
    const url = await serve((request, response) => {
      response.writeContinue()
      request.once('data', () => request.socket.destroy())
    })
    await expect(put(url)).rejects.toMatchObject({ code: 'network' })
  })

  it('stops when asked to', async () => {
    const stop = new AbortController()
    const url = await serve((_, response) => {
      response.writeContinue()
      stop.abort()
    })
    await expect(put(url, { signal: stop.signal })).rejects.toMatchObject({ code: 'aborted' })
  })
})

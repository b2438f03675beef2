// Longer than 300 lines: one contract, the origin client against each way in which a server misbehaves.
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createOrigin, type OriginOptions } from '../../node/origin/origin.ts'
import type { Origin } from '../../node/ports.ts'
import { type Handler, serveFile, startServer, type TestServer } from './origin-server.ts'

const FILE = 'aawiki/20260101/aawiki-20260101-page.sql.gz'
const TOO_MANY =
  '<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>nginx</body>\r\n</html>\r\n'
/** Bytes that repeat nowhere, so that a wrong offset shows. */
const bytes = Buffer.concat(
  Array.from({ length: 16_384 }, (_, index) => createHash('sha256').update(String(index)).digest()),
)

let folder: string
let server: TestServer
let origin: Origin
const pauses: number[] = []

async function start(handler: Handler, options: Partial<OriginOptions> = {}): Promise<void> {
  server = await startServer(handler)
  origin = createOrigin({
    baseUrl: server.baseUrl,
    contact: 'test@example.org',
    version: '0.1.0',
    nodeId: '12D3KooWtest4kLm9xQ2',
    clock: { wallMs: () => Date.now(), monotonicMs: () => performance.now() },
    random: () => 0.5,
    requestTimeoutMs: 2_000,
    bodyTimeoutMs: 2_000,
    backoffBaseMs: 5,
    backoffMaxMs: 50,
    retriesMax: 3,
    onPause: (_, ms) => pauses.push(ms),
    ...options,
  })
}

const toPath = (): string => join(folder, 'file.part')
const fetchFile = (
  sizeBytes = bytes.length,
  signal?: AbortSignal,
  onBytes?: (count: number) => void,
): Promise<readonly string[]> =>
  origin.download({ path: FILE, sizeBytes }, toPath(), {
    ...(signal === undefined ? {} : { signal }),
    ...(onBytes === undefined ? {} : { onBytes }),
  })

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wikiseed-origin-'))
  pauses.length = 0
})
afterEach(async () => {
  await origin.close()
  await server.close()
  rmSync(folder, { recursive: true })
})

describe('politeness towards the origin', () => {
  it('says who asks, how to reach the operator and which node, and asks for the bytes as they are', async () => {
    await start((_, response) => void response.end('{}'))
    await origin.dumpStatus('aawiki', '20260101')
    expect(server.requests[0]?.path).toBe('/aawiki/20260101/dumpstatus.json')
    expect(server.requests[0]?.headers['user-agent']).toBe('WikiSeed/0.1.0 (test@example.org; node 4kLm9xQ2)')
    expect(server.requests[0]?.headers['accept-encoding']).toBe('identity')
  })

  it.each(['', 'me', 'a b@example.org', 'x@y)\r\nevil: 1'])(
    'refuses to start with the contact %j',
    async (contact) => {
      await start((_, response) => void response.end('{}'))
      expect(() => createOrigin({ ...optionsForTypes(), contact })).toThrow(/contact/)
    },
  )

  it('never opens more than 2 connections, status reads included', async () => {
    // Answers only once two requests are there, so that both places are surely used; the last of 16 has its partner.
    let waiting: (() => void)[] = []
    let waitingMax = 0
    await start((request, response) => {
      waiting.push(() => {
        if (request.url?.endsWith('.gz')) serveFile(request, response, { bytes, etag: '"1"' })
        else response.end('{"jobs":{}}')
      })
      setImmediate(() => {
        waitingMax = Math.max(waitingMax, waiting.length)
        if (waiting.length < 2) return
        const answers = waiting
        waiting = []
        for (const answer of answers) answer()
      })
    })
    const reads = Array.from({ length: 12 }, () => origin.dumpStatus('aawiki', '20260101'))
    const files = Array.from({ length: 4 }, (_, index) =>
      origin.download({ path: FILE, sizeBytes: bytes.length }, join(folder, String(index)), {}),
    )
    await Promise.all([...reads, ...files])
    expect(server.requests).toHaveLength(16)
    expect(waitingMax).toBe(2)
    expect(server.socketsMax()).toBe(2)
  })

  it('a 429 with Retry-After pauses the whole host, other requests too', async () => {
    await start((request, response, count) => {
      if (request.url?.startsWith('/abwiki') && count === 0) {
        response.writeHead(429, { 'retry-after': '1', 'content-type': 'text/html' }).end(TOO_MANY)
      } else response.end('{"jobs":{}}')
    })
    // Two at a time: the first answer is the 429, the third and later requests must wait for the pause.
    const wikis = ['abwiki', 'aawiki', 'acewiki', 'afwiki', 'akwiki']
    const answers = await Promise.all(wikis.map((wiki) => origin.dumpStatus(wiki, '20260101')))
    expect(answers).toHaveLength(5)
    expect(pauses).toEqual([1_000])
    const [first = 0] = server.requests.map((one) => one.atMs)
    const early = server.requests.filter((one) => one.atMs < first + 900)
    expect(early.length).toBeLessThanOrEqual(2)
    expect(server.requests).toHaveLength(6)
  })

  it('understands Retry-After as a date, and no host can ask for more than the cap', async () => {
    const later = new Date(Date.now() + 3_600_000 * 24).toUTCString()
    await start(
      (_, response, count) => {
        if (count === 0) response.writeHead(503, { 'retry-after': later }).end()
        else response.end('{}')
      },
      { retryAfterMaxMs: 40 },
    )
    await origin.dumpStatus('aawiki', '20260101')
    expect(pauses).toEqual([40])
  })

  it('gives up on a host that stays busy, after a bounded number of requests', async () => {
    await start((_, response) => void response.writeHead(429).end(TOO_MANY))
    await expect(origin.dumpStatus('aawiki', '20260101')).rejects.toMatchObject({ code: 'busy' })
    expect(server.requests).toHaveLength(4)
    expect(pauses).toHaveLength(4)
  })

  it.each([
    [403, 'refused'],
    [404, 'not-found'],
    [410, 'not-found'],
  ])('takes HTTP %i as final', async (status, code) => {
    await start((_, response) => void response.writeHead(status).end('no'))
    await expect(origin.dumpStatus('aawiki', '20260101')).rejects.toMatchObject({ code })
    await expect(fetchFile()).rejects.toMatchObject({ code })
    expect(server.requests).toHaveLength(2)
    expect(existsSync(toPath())).toBe(false)
  })

  it('follows a few redirects on its host, and none to another host or scheme', async () => {
    await start((request, response) => {
      const to: Record<string, string> = {
        '/aawiki/20260101/dumpstatus.json': '/moved.json',
        '/abwiki/20260101/dumpstatus.json': 'http://localhost:1/x',
        '/acewiki/20260101/dumpstatus.json': `https://${server.host}/x`,
        '/afwiki/20260101/dumpstatus.json': '/afwiki/20260101/dumpstatus.json',
      }
      const location = to[request.url ?? '']
      if (location === undefined) response.end('{"moved":true}')
      else response.writeHead(302, { location }).end()
    })
    expect(await origin.dumpStatus('aawiki', '20260101')).toEqual({ moved: true })
    for (const wiki of ['abwiki', 'acewiki', 'afwiki']) {
      await expect(origin.dumpStatus(wiki, '20260101')).rejects.toMatchObject({ code: 'refused' })
    }
    expect(server.requests.filter((one) => one.path.startsWith('/afwiki'))).toHaveLength(4)
  })
})

describe('documents of the origin', () => {
  it('that are half-written or a web page are read again', async () => {
    const answers = ['{"version":"0.8","jobs":{"a', TOO_MANY, '{"version":"0.8","jobs":{}}']
    await start((_, response, count) => void response.end(answers[count]))
    expect(await origin.dumpStatus('aawiki', '20260101')).toEqual({ version: '0.8', jobs: {} })
    expect(server.requests).toHaveLength(3)
  })

  it('that stay a web page are reported with their address and what came', async () => {
    await start((_, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end(TOO_MANY))
    const failure = origin.dumpStatus('aawiki', '20260101')
    await expect(failure).rejects.toMatchObject({ code: 'not-json' })
    await expect(failure).rejects.toThrow(/aawiki\/20260101\/dumpstatus\.json.*text\/html.*429 Too Many/)
    expect(server.requests).toHaveLength(4)
  })

  it('whose connection is cut are read again', async () => {
    await start((_, response, count) => {
      if (count > 0) return void response.end('{"jobs":{}}')
      response.writeHead(200, { 'content-length': 100 })
      response.write('{"jobs"', () => response.destroy())
    })
    expect(await origin.dumpStatus('aawiki', '20260101')).toEqual({ jobs: {} })
  })

  it('that are too large are refused before and while reading', async () => {
    let sent = 0
    await start((request, response) => {
      if (request.url?.startsWith('/abwiki')) {
        return void response.writeHead(200, { 'content-length': 2 ** 31 }).write('{')
      }
      const more = (): void => {
        const chunk = Buffer.alloc(256 * 1024, 0x20)
        sent += chunk.length
        if (!response.destroyed) response.write(chunk, () => setImmediate(more))
      }
      more()
    })
    await expect(origin.dumpStatus('abwiki', '20260101')).rejects.toMatchObject({ code: 'too-large' })
    await expect(origin.dumpStatus('aawiki', '20260101')).rejects.toMatchObject({ code: 'too-large' })
    expect(sent).toBeLessThan(32 * 1024 * 1024)
    expect(server.requests).toHaveLength(2)
  })

  it('that never end their headers or body time out and are reported', async () => {
    await start(
      (request, response) => {
        if (request.url?.startsWith('/abwiki')) response.writeHead(200, { 'content-length': 9 }).write('{')
      },
      { requestTimeoutMs: 200, bodyTimeoutMs: 200, retriesMax: 0 },
    )
    await expect(origin.dumpStatus('aawiki', '20260101')).rejects.toMatchObject({ code: 'network' })
    await expect(origin.dumpStatus('abwiki', '20260101')).rejects.toMatchObject({ code: 'network' })
  })

  it('give checksum lists as text, null when there is none, and no web page', async () => {
    const list = '4316f4ef817d03c6c3bf758813e8d334  aawiki-20260101-page.sql.gz\n'
    await start((request, response) => {
      if (request.url?.endsWith('md5sums.txt')) response.end(list)
      else if (request.url?.startsWith('/abwiki')) response.end(TOO_MANY)
      else response.writeHead(404).end(TOO_MANY)
    })
    expect(await origin.checksums('aawiki', '20260101', 'md5')).toBe(list)
    expect(await origin.checksums('aawiki', '20260101', 'sha1')).toBeNull()
    await expect(origin.checksums('abwiki', '20260101', 'sha1')).rejects.toMatchObject({ code: 'not-json' })
  })

  it('give the newest run of every wiki', async () => {
    const status = (name: string) => ({
      jobs: { pagetable: { status: 'done', updated: '', files: { [name]: { size: 1 } } } },
    })
    const aawiki = status('aawiki-20260101-page.sql.gz')
    await start((_, response) => void response.end(JSON.stringify({ wikis: { aawiki, abwiki: {} } })))
    expect([...(await origin.index())]).toEqual([['aawiki', { date: '20260101', status: aawiki }]])
  })
})

describe('a download', () => {
  it('of a whole file has its bytes, counts them and leaves no side file', async () => {
    await start((request, response) => serveFile(request, response, { bytes, etag: '"1"' }))
    let counted = 0
    await fetchFile(bytes.length, undefined, (count) => {
      counted += count
    })
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
    expect(counted).toBe(bytes.length)
    expect(origin.bytesReceived).toBe(bytes.length)
    expect(existsSync(`${toPath()}.meta.json`)).toBe(false)
  })

  it('that is cut goes on where it stopped, and each byte is fetched once', async () => {
    await start((request, response, count) =>
      serveFile(request, response, { bytes, etag: '"1"', ...(count < 2 ? { cutAfter: 100_000 } : {}) }),
    )
    await fetchFile()
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
    expect(server.requests.map((one) => one.headers.range)).toEqual([
      undefined,
      'bytes=100000-',
      'bytes=200000-',
    ])
    expect(origin.bytesReceived).toBe(bytes.length)
  })

  it('that was stopped goes on in another process, by its side file', async () => {
    const stop = new AbortController()
    await start((request, response, count) => {
      if (count > 0) return serveFile(request, response, { bytes, etag: '"1"' })
      response.writeHead(200, { 'content-length': bytes.length, etag: '"1"' })
      response.write(bytes.subarray(0, 150_000)) // And then silence.
    })
    let seen = 0
    const stopped = fetchFile(bytes.length, stop.signal, (count) => {
      seen += count
      if (seen === 150_000) setImmediate(() => stop.abort())
    })
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
    const first = origin
    const second = createOrigin({ ...optionsForTypes(), baseUrl: server.baseUrl })
    origin = second
    await first.close()
    await fetchFile()
    expect(server.requests[1]?.headers.range).toBe('bytes=150000-')
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
    expect(second.bytesReceived).toBe(bytes.length - 150_000)
  })

  it('notices that the file changed meanwhile, and drops what it had', async () => {
    await start((request, response, count) =>
      serveFile(
        request,
        response,
        count === 0 ? { bytes, etag: '"1"', cutAfter: 100_000 } : { bytes, etag: '"2"' },
      ),
    )
    await expect(fetchFile()).rejects.toMatchObject({ code: 'changed' })
    expect(readFileSync(toPath())).toHaveLength(0)
    await fetchFile()
    expect(server.requests.map((one) => one.headers.range)).toEqual([undefined, 'bytes=100000-', undefined])
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
  })

  it('begins anew when the server has no ranges, or names no version', async () => {
    await start((_, response, count) => {
      response.writeHead(200, { 'content-length': bytes.length })
      if (count === 0) response.write(bytes.subarray(0, 100_000), () => response.destroy())
      else response.end(bytes)
    })
    await fetchFile()
    expect(server.requests.map((one) => one.headers.range)).toEqual([undefined, undefined])
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
  })

  it('begins anew when another range comes than the one asked for', async () => {
    await start((request, response, count) => {
      if (count === 0) return serveFile(request, response, { bytes, etag: '"1"', cutAfter: 100_000 })
      if (count > 1) return serveFile(request, response, { bytes, etag: '"1"' })
      const rest = bytes.subarray(5)
      const range = `bytes 5-${bytes.length - 1}/${bytes.length}`
      response
        .writeHead(206, { etag: '"1"', 'content-range': range, 'content-length': rest.length })
        .end(rest)
    })
    await fetchFile()
    expect(server.requests.map((one) => one.headers.range)).toEqual([undefined, 'bytes=100000-', undefined])
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
  })

  it('of a file of another size is refused before a byte is written', async () => {
    await start((request, response) => serveFile(request, response, { bytes, etag: '"1"' }))
    await expect(fetchFile(bytes.length - 1)).rejects.toMatchObject({ code: 'too-large' })
    await expect(fetchFile(bytes.length + 1)).rejects.toMatchObject({ code: 'wrong-size' })
    expect(server.requests).toHaveLength(2)
    expect(existsSync(toPath())).toBe(false)
  })

  it('that gets more bytes than expected stops and keeps none', async () => {
    await start((_, response) => {
      response.writeHead(200, { etag: '"1"' }) // Chunked: no length to refuse.
      response.end(Buffer.concat([bytes, bytes]))
    })
    await expect(fetchFile()).rejects.toMatchObject({ code: 'too-large' })
    expect(readFileSync(toPath())).toHaveLength(0)
    expect(origin.bytesReceived).toBeLessThan(bytes.length + 512 * 1024)
  })

  it('never saves a web page, whatever status it comes with', async () => {
    await start((_, response, count) => {
      const status = [429, 503, 200, 500][count] ?? 200
      response.writeHead(status, { 'content-type': 'text/html' }).end(TOO_MANY)
    })
    await expect(fetchFile(TOO_MANY.length)).rejects.toMatchObject({ code: 'busy' })
    expect(server.requests).toHaveLength(4)
    expect(existsSync(toPath())).toBe(false)
  })

  it('with a side file of another address or a broken one begins anew', async () => {
    await start((request, response) => serveFile(request, response, { bytes, etag: '"1"' }))
    for (const meta of [
      '{"url":"http://elsewhere/","sizeBytes":1,"etag":"\\"1\\"","lastModified":null}',
      '{',
      '[]',
    ]) {
      writeFileSync(toPath(), Buffer.alloc(1_000))
      writeFileSync(`${toPath()}.meta.json`, meta)
      await fetchFile()
      expect(readFileSync(toPath()).equals(bytes)).toBe(true)
    }
    expect(server.requests.map((one) => one.headers.range)).toEqual([undefined, undefined, undefined])
  })

  it('that is whole already is not fetched again', async () => {
    await start((request, response) => serveFile(request, response, { bytes, etag: '"1"' }))
    await fetchFile()
    await fetchFile()
    expect(server.requests).toHaveLength(1)
  })

  it('into a folder that is not there fails with the error of the disk, not of the network', async () => {
    await start((request, response) => serveFile(request, response, { bytes, etag: '"1"' }))
    rmSync(folder, { recursive: true })
    await expect(fetchFile()).rejects.toMatchObject({ code: 'ENOENT' })
    expect(server.requests).toHaveLength(1)
    folder = mkdtempSync(join(tmpdir(), 'wikiseed-origin-'))
  })

  it('whose path would leave the base is refused', async () => {
    await start((_, response) => void response.end())
    for (const path of ['../x', '/etc/passwd', 'a/../../x', 'http://elsewhere/x', 'a?b', 'a//b', '']) {
      await expect(origin.download({ path, sizeBytes: 1 }, toPath(), {})).rejects.toThrow(TypeError)
    }
    expect(server.requests).toHaveLength(0)
  })
})

function optionsForTypes(): OriginOptions {
  return {
    baseUrl: 'http://127.0.0.1:1/',
    contact: 'https://example.org/contact',
    version: '0.1.0',
    nodeId: 'test',
    clock: { wallMs: () => Date.now(), monotonicMs: () => performance.now() },
    random: () => 0.5,
    backoffBaseMs: 5,
  }
}

/** What a download finds of an earlier one after the power went, and the pace at which it goes (PROTOCOL 6). */
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createOrigin, type OriginOptions } from '../../node/origin/origin.ts'
import { sleep } from '../../node/origin/pace.ts'
import { createPacer } from '../../node/pace/pacer.ts'
import type { Origin } from '../../node/ports.ts'
import { realClock } from '../support/fetcher.ts'
import { serveFile, startServer, type TestServer } from './origin-server.ts'

const FILE = 'aawiki/20260101/aawiki-20260101-page.sql.gz'
/** Bytes that repeat nowhere, so that a wrong offset shows. */
const bytes = Buffer.concat(
  Array.from({ length: 32_768 }, (_, index) => createHash('sha256').update(String(index)).digest()),
)

let folder: string
let server: TestServer
let origin: Origin
const toPath = () => join(folder, 'file')

async function start(options: Partial<OriginOptions> = {}, cutAfter?: number): Promise<void> {
  server = await startServer((request, response, count) =>
    serveFile(request, response, {
      bytes,
      etag: '"1"',
      ...(cutAfter !== undefined && count === 0 ? { cutAfter } : {}),
    }),
  )
  origin = client(options)
}

function client(options: Partial<OriginOptions>): Origin {
  return createOrigin({
    baseUrl: server.baseUrl,
    contact: 'test@example.org',
    version: '0.1.0',
    nodeId: 'test',
    clock: realClock,
    random: () => 0.5,
    backoffBaseMs: 1,
    boot: 'first',
    syncEveryBytes: 200_000,
    retriesMax: 0,
    ...options,
  })
}

const fetchFile = () => origin.download({ path: FILE, sizeBytes: bytes.length }, toPath(), {})
const restart = async (options: Partial<OriginOptions>) => {
  await origin.close()
  origin = client(options)
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wikiseed-partial-'))
})
afterEach(async () => {
  await origin.close()
  await server.close()
  rmSync(folder, { recursive: true })
})

describe('a download that goes on', () => {
  it('after kill -9 asks for nothing again that was written, synced or not', async () => {
    await start({}, 500_000)
    await expect(fetchFile()).rejects.toMatchObject({ code: 'network' })
    await restart({ boot: 'first' })
    await fetchFile()
    expect(server.requests[1]?.headers.range).toBe('bytes=500000-')
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
  })

  it('after a loss of power trusts only what was synced, and throws the zeros behind it away', async () => {
    await start({}, 500_000)
    await expect(fetchFile()).rejects.toMatchObject({ code: 'network' })
    const { syncedBytes } = JSON.parse(readFileSync(`${toPath()}.meta.json`, 'utf8')) as {
      syncedBytes: number
    }
    expect(syncedBytes).toBeGreaterThanOrEqual(200_000)
    // As a file system leaves it: the length was written, the bytes were not.
    truncateSync(toPath(), syncedBytes)
    truncateSync(toPath(), 500_000)
    await restart({ boot: 'second' })
    expect(await fetchFile()).toEqual([server.host])
    expect(server.requests[1]?.headers.range).toBe(`bytes=${syncedBytes}-`)
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
  })

  it('after a loss of power that took the last bytes of a whole file does not take it for whole', async () => {
    await start({}, 500_000)
    await expect(fetchFile()).rejects.toMatchObject({ code: 'network' })
    truncateSync(toPath(), bytes.length)
    await restart({ boot: 'second' })
    await fetchFile()
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
    expect(existsSync(`${toPath()}.meta.json`)).toBe(false)
  })

  it('whose file is shorter than what the side file calls synced goes on from what there is', async () => {
    await start({}, 500_000)
    await expect(fetchFile()).rejects.toMatchObject({ code: 'network' })
    truncateSync(toPath(), 1_000)
    await restart({ boot: 'second' })
    await fetchFile()
    expect(server.requests[1]?.headers.range).toBe('bytes=1000-')
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
  })

  it('with a side file of an earlier build begins anew', async () => {
    await start()
    writeFileSync(toPath(), bytes.subarray(0, 1_000))
    const meta = { url: `${server.baseUrl}${FILE}`, sizeBytes: bytes.length, etag: '"1"', lastModified: null }
    writeFileSync(`${toPath()}.meta.json`, JSON.stringify(meta))
    await fetchFile()
    expect(server.requests.map((one) => one.headers.range)).toEqual([undefined])
    expect(readFileSync(toPath()).equals(bytes)).toBe(true)
  })
})

describe('the cap over a real connection', () => {
  it('takes bytes divided by the rate, for all files together', async () => {
    const rate = 1_400_000
    await start({ pace: createPacer(rate, realClock, sleep) })
    const startedMs = performance.now()
    await Promise.all(
      ['a', 'b'].map((name) =>
        origin.download({ path: FILE, sizeBytes: bytes.length }, join(folder, name), {}),
      ),
    )
    const seconds = (performance.now() - startedMs) / 1_000
    // Half a megabyte may wait in sockets; nothing is faster than the cap by more than its burst.
    expect(seconds).toBeGreaterThanOrEqual((2 * bytes.length) / rate - 0.15)
    expect(seconds).toBeLessThan((2 * bytes.length) / rate + 2)
  })
})

/** The HTTP server on a real socket, with the state of cores that ran in virtual time. */
import { createServer, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type HttpServer, startHttp } from '../../node/http/server.ts'
import { receiptsStatus } from '../../node/observe/receipts-status.ts'
import { shardStatuses } from '../../node/observe/status.ts'
import { createMemoryStore } from '../../node/store/memory-store.ts'
import { ReceiptStore } from '../../node/store/receipts.ts'
import type { ShardKey } from '../../protocol/ids.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { Cores, testShard } from '../support/cores.ts'
import { testIdentity } from '../support/records.ts'
import { statusOf } from '../support/status.ts'

const SHARDS = [testShard('aawiki'), testShard('htwiki'), testShard('tenwiki')]

let server: HttpServer
let cores: Cores

const machine = () => {
  const [first] = cores.machines
  if (first === undefined) throw new Error('no machine')
  return first
}
const status = () => statusOf(cores, machine())
const shards = () => shardStatuses(machine().state, cores.now.wallMs)
const receipts = () => receiptsStatus(failures)
let failures: ReceiptStore

/** More receipts than the API shows at once, the newest last. */
async function filledReceipts(count: number): Promise<ReceiptStore> {
  const store = await ReceiptStore.open(createMemoryStore(), silentLog)
  const auditor = testIdentity(1).nodeId
  for (let i = 0; i < count; i++) {
    const shard = `${SHARDS[0]?.key.slice(0, -40)}${String(i).padStart(40, '0')}` as ShardKey
    const receipt = { challenge: Uint8Array.of(1, i), answer: Uint8Array.of(2, i) }
    await store.keepFailure({ shard, node: machine().id, auditor, atMs: 1_000 + i }, receipt)
  }
  return store
}

beforeAll(async () => {
  cores = new Cores(3, SHARDS)
  cores.run(200_000, () => cores.allSafe(machine()))
  // A lasting problem with files, so that every field of the answer is there.
  machine().state.damages.push({
    shard: SHARDS[0]?.key ?? ('' as never),
    files: ['a'],
    foundAtMs: 1,
    repairedAtMs: 2,
  })
  failures = await filledReceipts(201)
  server = await startHttp({ port: 0, allowedHosts: ['seed.example.org'], status, shards, receipts })
})
afterAll(() => server.close())

interface Answer {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: string
}

function ask(path: string, options: { method?: string; host?: string; body?: string } = {}): Promise<Answer> {
  const headers = { host: options.host ?? `127.0.0.1:${server.port}` }
  return new Promise((resolve, reject) => {
    const sent = request(
      { port: server.port, host: '127.0.0.1', path, method: options.method ?? 'GET', headers },
      (answer) => {
        let body = ''
        answer.setEncoding('utf8')
        answer.on('data', (text) => {
          body += text
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }))
      },
    )
    sent.on('error', reject)
    sent.setTimeout(10_000, () => sent.destroy(new Error('no answer in time')))
    sent.end(options.body)
  })
}

const errorCode = (answer: Answer): unknown => JSON.parse(answer.body).error.code

describe('the API', () => {
  it('answers the whole status: the schema leaves nothing out and lets nothing else through', async () => {
    const answer = await ask('/api/v1/status')
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toMatch(/^application\/json/)
    expect(JSON.parse(answer.body)).toEqual(JSON.parse(JSON.stringify(status())))
    expect(status().problems).toHaveLength(1)
  })

  it('answers all shards, or a page of them', async () => {
    const rows = JSON.parse(JSON.stringify(shards()))
    expect(rows).toHaveLength(3)
    expect(JSON.parse((await ask('/api/v1/shards')).body)).toEqual({ total: 3, offset: 0, shards: rows })
    const page = JSON.parse((await ask('/api/v1/shards?offset=1&limit=1')).body)
    expect(page).toEqual({ total: 3, offset: 1, shards: rows.slice(1, 2) })
  })

  it('refuses a page that is none', async () => {
    for (const query of ['offset=-1', 'limit=x', 'limit=99999999999']) {
      const answer = await ask(`/api/v1/shards?${query}`)
      expect([answer.status, errorCode(answer)]).toEqual([400, 'bad-request'])
    }
  })

  it('answers the newest receipts of failures, both messages as they were sealed, and how many there are', async () => {
    const answer = await ask('/api/v1/receipts')
    expect(answer.status).toBe(200)
    const body = JSON.parse(answer.body)
    expect(body).toEqual(JSON.parse(JSON.stringify(await receipts())))
    expect([body.total, body.receipts.length]).toEqual([201, 200])
    const [newest, next] = body.receipts
    expect([newest.atMs, next.atMs]).toEqual([1_200, 1_199])
    expect(Object.keys(newest)).toEqual(['shard', 'node', 'auditor', 'atMs', 'challenge', 'answer'])
    expect([...Buffer.from(newest.challenge, 'base64')]).toEqual([1, 200])
    expect([...Buffer.from(newest.answer, 'base64')]).toEqual([2, 200])
  })

  it('says that it lives', async () => {
    expect(JSON.parse((await ask('/healthz')).body)).toEqual({
      ok: true,
      version: '1.2.3',
      role: 'node',
      peers: 3,
    })
  })

  it('gives metrics that say the same as the status', async () => {
    const { body, headers } = await ask('/metrics')
    expect(headers['content-type']).toMatch(/^text\/plain/)
    const value = (line: string) =>
      Number(
        body
          .split('\n')
          .find((one) => one.startsWith(`${line} `))
          ?.slice(line.length),
      )
    const { counts, capacity, traffic, peers } = status()
    expect(value('wikiseed_shards{state="safe"}')).toBe(counts.safe)
    expect(value('wikiseed_own_shards{state="held"}')).toBe(counts.held)
    expect(value('wikiseed_audits{outcome="pass"}')).toBe(counts.audits.pass)
    expect(value('wikiseed_capacity_bytes{state="used"}')).toBe(capacity.bytesUsed)
    expect(value('wikiseed_origin_bytes_total')).toBe(traffic.originBytes)
    expect(value('wikiseed_peers')).toBe(peers)
    expect(body).toContain('# TYPE wikiseed_origin_bytes_total counter')
    // Asking twice does not count twice.
    expect((await ask('/metrics')).body).toBe(body)
  })
})

describe('the server', () => {
  it('serves the status page without any inline script', async () => {
    const page = await ask('/')
    expect(page.status).toBe(200)
    expect(page.headers['content-type']).toMatch(/^text\/html/)
    expect(page.body).toContain('<title>WikiSeed</title>')
    expect(page.body).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|https?:\/\//)
    for (const file of ['status.js', 'words.js', 'dom.js', 'status.css', 'icon.svg']) {
      expect((await ask(`/${file}`)).status).toBe(200)
    }
  })

  it('sends its security headers with every answer, errors too', async () => {
    for (const path of ['/', '/api/v1/status', '/gone']) {
      const { headers } = await ask(path)
      expect(headers['content-security-policy']).toMatch(/default-src 'none'; script-src 'self';/)
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers['referrer-policy']).toBe('no-referrer')
    }
  })

  it('refuses a Host that is not its own, whatever is asked', async () => {
    for (const path of ['/', '/api/v1/status', '/metrics', '/gone']) {
      const answer = await ask(path, { host: `evil.example:${server.port}` })
      expect([answer.status, errorCode(answer)]).toEqual([421, 'unknown-host'])
    }
    expect((await ask('/healthz', { host: 'seed.example.org' })).status).toBe(200)
    expect((await ask('/healthz', { host: `localhost:${server.port}` })).status).toBe(200)
    expect((await ask('/healthz', { host: 'localhost:1' })).status).toBe(421)
  })

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND'])('refuses %s', async (method) => {
    const answer = await ask('/api/v1/status', { method, body: '{"a":1}' })
    expect([answer.status, errorCode(answer), answer.headers.allow]).toEqual([
      405,
      'method-not-allowed',
      'GET, HEAD',
    ])
  })

  it('answers what is not there, and paths that lead out, with an error in JSON', async () => {
    for (const path of [
      '/gone',
      '/api/v2/status',
      '/../package.json',
      '/%2e%2e/%2e%2e/package.json',
      '/..%2f..%2fpackage.json',
    ]) {
      const answer = await ask(path)
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.status).toBeLessThan(500)
      expect(typeof errorCode(answer)).toBe('string')
      expect(answer.body).not.toContain('devDependencies')
    }
  })

  it('refuses an endless address, endless headers and what is no HTTP', async () => {
    expect((await ask(`/${'x'.repeat(3_000)}`)).status).toBe(400)
    for (const bytes of [
      `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      'hello\r\n\r\n',
      'GET / HTTP/1.1\r\n\r\n',
    ]) {
      expect(await raw(bytes)).toMatch(/^HTTP\/1\.1 4\d\d /)
    }
  })

  it('says in one sentence that a port is in use', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    await expect(startHttp({ port, status, shards, receipts })).rejects.toThrow(
      `HTTP port ${port} is already in use`,
    )
    await new Promise((resolve) => other.close(resolve))
    const late = await startHttp({ port, status, shards, receipts })
    expect(late.url).toBe(`http://127.0.0.1:${port}/`)
    await late.close()
  })

  it('answers 500 without telling why when the snapshot cannot be made', async () => {
    const broken = await startHttp({
      port: 0,
      status: () => {
        throw new Error('swordfish')
      },
      shards,
      receipts,
    })
    const answer = await fetch(`${broken.url}api/v1/status`)
    const body = await answer.text()
    await broken.close()
    expect([answer.status, body.includes('swordfish')]).toEqual([500, false])
  })
})

function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => socket.write(bytes))
    let text = ''
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer in time')))
    socket.on('data', (data) => {
      text += data
      socket.end()
    })
    socket.on('close', () => resolve(text))
    socket.on('error', reject)
  })
}

/** Programs newer than Debian's, as their documents and sources describe them, told by small fakes: no real one was at hand. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { isBelow, mapFolder } from '../../node/engines/folders.ts'
import { QBittorrent } from '../../node/engines/qbittorrent.ts'
import { Transmission } from '../../node/engines/transmission.ts'
import { sampleTorrent } from '../support/torrents.ts'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((closed) => server.close(closed))
  }
})

type Handler = (request: IncomingMessage, body: string, response: ServerResponse) => void

async function serve(handle: Handler): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => handle(request, Buffer.concat(chunks).toString('latin1'), response))
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`
}

const sample = sampleTorrent('tenwiki', [40_000])
const noLogin = { user: null, password: null }

describe('Transmission 4.1 and later', () => {
  /** JSON-RPC 2.0 alone, with snake_case names, behind a session id. */
  async function fake(results: Readonly<Record<string, unknown>>) {
    const calls: { method: string; params: Record<string, unknown> }[] = []
    const url = await serve((request, body, response) => {
      expect(request.url).toBe('/transmission/rpc')
      response.setHeader('x-transmission-session-id', 'secret-id')
      response.setHeader('x-transmission-rpc-version', '6.0.1')
      if (request.headers['x-transmission-session-id'] !== 'secret-id')
        return void response.writeHead(409).end('<h1>409: Conflict</h1>')
      const { jsonrpc, method, params, id } = JSON.parse(body)
      expect(jsonrpc).toBe('2.0')
      calls.push({ method, params })
      const result = results[method]
      const error = { code: 7, message: 'no such method', data: { error_string: 'x' } }
      response.end(JSON.stringify({ jsonrpc, id, ...(result === undefined ? { error } : { result }) }))
    })
    return { client: new Transmission({ url, ...noLogin }), calls }
  }

  const torrent = {
    hash_string: sample.infohash,
    status: 6,
    error: 0,
    error_string: '',
    left_until_done: 0,
    have_valid: 40_000,
    have_unchecked: 0,
    total_size: 40_000,
    uploaded_ever: 7,
    peers_connected: 2,
    download_dir: '/data/mirror',
    labels: ['wikiseed'],
  }

  it('is spoken to in JSON-RPC 2.0 and snake_case', async () => {
    const { client, calls } = await fake({
      session_get: { version: '4.1.1', rpc_version: 19, rpc_version_semver: '6.0.1', peer_port: 51_413 },
      torrent_add: { torrent_added: { hash_string: sample.infohash, id: 1, name: 'tenwiki' } },
      torrent_set: {},
      torrent_start_now: {},
      torrent_remove: {},
      torrent_get: { torrents: [torrent, { ...torrent, hash_string: 'b'.repeat(40), labels: [] }] },
    })
    expect(await client.connect()).toEqual({ version: '4.1.1', port: 51_413 })
    await client.add(sample.torrent, sample.infohash, '/data/mirror')
    await client.start([sample.infohash])
    expect(await client.list()).toEqual([
      {
        infohash: sample.infohash,
        isOurs: true,
        folder: '/data/mirror',
        state: 'seeding',
        detail: 'seeding',
        sizeBytes: 40_000,
        doneBytes: 40_000,
        uploadedBytes: 7,
        peers: 2,
      },
    ])
    await client.remove([sample.infohash])
    expect(calls).toMatchObject([
      { method: 'session_get' },
      { method: 'torrent_add', params: { paused: true, download_dir: '/data/mirror', labels: ['wikiseed'] } },
      { method: 'torrent_set', params: { seed_ratio_mode: 2, seed_idle_mode: 2, labels: ['wikiseed'] } },
      { method: 'torrent_start_now', params: { ids: [sample.infohash] } },
      { method: 'torrent_get' },
      { method: 'torrent_remove', params: { ids: [sample.infohash], delete_local_data: false } },
    ])
  })

  it('is never asked to start or remove nothing, which would mean everything', async () => {
    const { client, calls } = await fake({})
    await client.start([])
    await client.remove([])
    expect(calls).toEqual([])
  })

  it('refuses in its own words, and strange answers are told by their path', async () => {
    const { client } = await fake({ torrent_get: { torrents: [{ ...torrent, status: 'seeding' }] } })
    await expect(client.start([sample.infohash])).rejects.toThrow(
      'Transmission refused torrent_start_now: no such method',
    )
    await expect(client.list()).rejects.toThrow('torrents[0].status: expected a whole number')
  })

  it.each([
    [{ status: 0, left_until_done: 0 }, 'stopped'],
    [{ status: 5 }, 'stopped'],
    [{ status: 2, left_until_done: 9 }, 'checking'],
    [{ status: 0, left_until_done: 40_000, have_valid: 0 }, 'missing'],
    [{ status: 4, left_until_done: 9 }, 'damaged'],
    [{ error: 3, error_string: 'No data found! Ensure your drives are connected' }, 'missing'],
    [{ error: 3, error_string: 'Input/output error' }, 'damaged'],
    [{ error: 2, error_string: 'the tracker is gone' }, 'seeding'],
  ])('%o is %s', async (fields, state) => {
    const { client } = await fake({ torrent_get: { torrents: [{ ...torrent, ...fields }] } })
    expect(await client.find(sample.infohash)).toMatchObject({ state })
  })
})

describe('qBittorrent with Web API 2.16 and later', () => {
  const torrent = {
    hash: sample.infohash,
    category: 'wikiseed',
    save_path: '/data/mirror/',
    state: 'stoppedUP',
    total_size: 40_000,
    amount_left: 0,
    uploaded: 7,
    num_seeds: 0,
    num_leechs: 2,
  }

  /** Empty answers are 204, wrong credentials 401, adding answers JSON, and the cookie has another name. */
  async function fake(add: { status: number; body: string }, torrents: unknown = [torrent]) {
    const calls: { path: string; body: string }[] = []
    const url = await serve((request, body, response) => {
      const path = (request.url ?? '').replace('/api/v2/', '')
      expect(request.headers.referer).toContain(request.headers.host)
      calls.push({ path, body })
      if (path === 'auth/login') {
        if (body !== 'username=me&password=right') return void response.writeHead(401).end('Unauthorized')
        return void response.writeHead(204, { 'set-cookie': 'QBT_SID_8080=abc; HttpOnly; path=/' }).end()
      }
      if (request.headers.cookie !== 'QBT_SID_8080=abc') return void response.writeHead(403).end('Forbidden')
      if (path === 'torrents/add') return void response.writeHead(add.status).end(add.body)
      if (path === 'app/webapiVersion') return void response.end('2.16.1')
      if (path === 'app/version') return void response.end('v5.3.0')
      if (path === 'app/preferences') return void response.end('{"listen_port":6881}')
      if (path.startsWith('torrents/info')) return void response.end(JSON.stringify(torrents))
      response.writeHead(204).end()
    })
    return { client: new QBittorrent({ url, user: 'me', password: 'right' }), calls, url }
  }

  it('takes files without a check by seedMode, which older ones know as skip_checking, and both are sent', async () => {
    const { client, calls } = await fake({ status: 200, body: '{"success_count":1,"failure_count":0}' })
    expect(await client.connect()).toEqual({ version: '5.3.0', port: 6881 })
    await client.add(sample.torrent, sample.infohash, '/data/mirror')
    const body = calls.find((one) => one.path === 'torrents/add')?.body ?? ''
    for (const name of ['seedMode', 'skip_checking', 'stopped', 'paused'])
      expect(body).toContain(`name="${name}"\r\n\r\ntrue`)
    expect(body).toContain('name="category"\r\n\r\nwikiseed')
    expect(await client.find(sample.infohash)).toMatchObject({ state: 'stopped', uploadedBytes: 7, peers: 2 })
    await client.remove([sample.infohash])
    expect(calls.at(-1)).toEqual({
      path: 'torrents/delete',
      body: `hashes=${sample.infohash}&deleteFiles=false`,
    })
  })

  it('may take a torrent later (202), and refuses one with 409', async () => {
    const later = await fake({ status: 202, body: '{"pending_count":1}' })
    await later.client.connect()
    await later.client.add(sample.torrent, sample.infohash, '/data')
    const refusing = await fake({ status: 409, body: '{"failure_count":1}' }, [])
    await refusing.client.connect()
    await expect(refusing.client.add(sample.torrent, sample.infohash, '/data')).rejects.toMatchObject({
      code: 'engine',
    })
  })

  it('is logged in to again when its session has ended', async () => {
    const { client, calls } = await fake({ status: 200, body: '' })
    expect(await client.list()).toHaveLength(1)
    expect(calls.map((one) => one.path.split('?')[0])).toEqual([
      'torrents/info',
      'auth/login',
      'torrents/info',
    ])
  })

  it('refuses a wrong password with 401', async () => {
    const { url } = await fake({ status: 200, body: '' })
    const wrong = new QBittorrent({ url, user: 'me', password: 'guessed' })
    await expect(wrong.connect()).rejects.toThrow('does not accept this user name and password')
  })

  it.each(['downloading', 'stalledDL', 'metaDL-of-the-future', 'constructor'])(
    'knows what to think of the state %s',
    async (state) => {
      const { client } = await fake({ status: 200, body: '' }, [{ ...torrent, state }])
      const expected = state.endsWith('ing') || state.endsWith('DL') ? 'damaged' : 'checking'
      expect(await client.find(sample.infohash)).toMatchObject({ state: expected })
    },
  )
})

describe('a program that seeds', () => {
  it('gets its password nowhere else: a redirect is refused', async () => {
    const url = await serve((_request, _body, response) => {
      response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()
    })
    for (const client of [
      new QBittorrent({ url, user: 'me', password: 'right' }),
      new Transmission({ url, user: 'me', password: 'right' }),
    ])
      await expect(client.connect()).rejects.toMatchObject({ name: 'TorrentError', code: 'engine' })
  })

  it('may answer with anything, and the node stays on its feet', async () => {
    for (const body of [
      '',
      'null',
      '[]',
      '{"torrents":7}',
      '<html>',
      '{"result":"success","arguments":[]}',
    ]) {
      const url = await serve((_request, _body, response) => void response.end(body))
      for (const client of [new QBittorrent({ url, ...noLogin }), new Transmission({ url, ...noLogin })])
        await expect(client.connect()).rejects.toMatchObject({ name: 'TorrentError', code: 'engine' })
    }
  })
})

describe('folders as another program names them', () => {
  it('are those of the data folder with another beginning', () => {
    const map = { from: '/srv/wikiseed', to: '/data/' }
    expect(mapFolder(map, '/srv/wikiseed/mirror')).toBe('/data/mirror')
    expect(mapFolder({ from: '/srv', to: 'D:\\dumps' }, '/srv/mirror')).toBe('D:/dumps/mirror')
    expect(mapFolder({ from: '/', to: '/' }, '/tmp/a')).toBe('/tmp/a')
    expect(() => mapFolder(map, '/srv/other')).toThrow(RangeError)
  })

  it('are below one another by whole names only', () => {
    expect(isBelow('D:\\dumps\\mirror', 'D:/dumps')).toBe(true)
    expect(isBelow('/data/mirror/', '/data')).toBe(true)
    expect(isBelow('/database', '/data')).toBe(false)
    expect(isBelow('/tmp/a', '/')).toBe(true)
  })
})

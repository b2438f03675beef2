/** The mainline DHT on loopback, and strangers who mean no good. */
import { Socket } from 'node:dgram'
import { type AddressInfo, createServer, Socket as TcpSocket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { Dht } from '../../node/transfer/dht.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { type BencodedMap, bencode } from '../../protocol/codec/bencode.ts'
import type { Infohash } from '../../protocol/ids.ts'
import {
  announce,
  cleanUp,
  forever,
  ID,
  query,
  read,
  startDht,
  startStranger,
  useDht,
} from '../support/dht.ts'

useDht()
const HASH = 'c0ffee'.padEnd(40, '5')

async function answersPings(dht: Dht): Promise<void> {
  const { socket, heard } = await startStranger()
  await expect
    .poll(
      () => {
        socket.send(query('ping', {}), dht.port, '127.0.0.1')
        return heard.some((one) => read(one).has('r'))
      },
      { timeout: 5_000 },
    )
    .toBe(true)
}

describe('strangers', () => {
  const hash = Buffer.alloc(20, 7)
  it.each<[string, Uint8Array]>([
    ['an infohash that is a number', query('get_peers', { info_hash: 5 })],
    ['a target that is a number', query('find_node', { target: 5 })],
    ['a target that is short', query('find_node', { target: 'ab' })],
    ['a token that is a number', query('announce_peer', { info_hash: hash, token: 5, port: 1 })],
    ['no token', query('announce_peer', { info_hash: hash, port: 1 })],
    ['a port that is text', query('announce_peer', { info_hash: hash, token: 'x', port: 'y' })],
    ['arguments that are a list', bencode({ t: 'aa', y: 'q', q: 'ping', a: [1] })],
    ['a kind that is a map', bencode({ t: 'aa', y: { toString: 'x' }, q: 'ping', a: { id: ID } })],
    ['a question that is a map', bencode({ t: 'aa', y: 'q', q: { toString: 'x' }, a: { id: ID } })],
    ['an answer that nobody asked for', bencode({ t: '\x00\x01', y: 'r', r: { id: ID } })],
    ['an answer whose id is a number', bencode({ t: '\x00\x01', y: 'r', r: { id: 1 } })],
    ['an error that is a number', bencode({ t: '\x00\x01', y: 'e', e: 1 })],
    ['a value of strangers to keep', query('put', { v: 'x', token: 'x' })],
    ['lists in lists', Buffer.from('l'.repeat(60_000))],
    ['a cut map', Buffer.from('d1:ad2:id20:')],
    ['nothing', Buffer.alloc(0)],
    ['noise', Buffer.alloc(1_000, 0xa5)],
  ])('do no harm with %s', async (_what, bytes) => {
    const dht = await startDht()
    const { socket, heard } = await startStranger()
    socket.send(bytes, dht.port, '127.0.0.1')
    await answersPings(dht)
    expect(heard.some((one) => read(one).has('r'))).toBe(false)
    expect(dht.stats().nodes).toBe(0)
  })

  it('do no harm with answers of any shape to what they were asked', async () => {
    const dht = await startDht()
    const { socket, port } = await startStranger()
    const shapes: ((t: Uint8Array) => Uint8Array)[] = [
      (t) => bencode({ t, y: 'r', r: { id: 5 } }),
      (t) => bencode({ t, y: 'r', r: [] }),
      (t) => bencode({ t, y: 'e', e: 'x' }),
      (t) => bencode({ t, y: 'r', r: { id: ID, nodes: 5, values: 7, token: 9 } }),
      (t) => bencode({ t, y: 'r', r: { id: ID, nodes: 'short', values: [1, 'ab', [], {}], token: 'x' } }),
      (t) => bencode({ t, y: 'r', r: { id: ID, values: Array(150).fill('abcdef'), token: 'x' } }),
      (t) => bencode({ t, y: 'r', r: { id: Buffer.alloc(20, 9), token: 'x' } }),
    ]
    let asked = 0
    socket.on('message', (bytes, from) => {
      const map = read(bytes)
      const a = map.get('a') as BencodedMap | undefined
      if (a === undefined) return
      const t = map.get('t') as Uint8Array
      const isLookup = a.has('info_hash')
      const good = bencode({ t, y: 'r', r: { id: ID, token: 'x' } })
      const shape = isLookup ? shapes[asked++ % shapes.length] : undefined
      socket.send(shape?.(t) ?? good, from.port, from.address)
    })
    for (let i = 0; i < shapes.length; i++) {
      dht.meet({ host: '127.0.0.1', port })
      await expect.poll(() => dht.isUp, { timeout: 10_000 }).toBe(true)
      const asking = dht.announce([announce(i.toString(16).padStart(40, '0'), 1_111)], forever)
      const answer = await asking.catch((error: Error) => error)
      if (answer instanceof Error) expect(answer.name).toBe('TrackerError')
    }
    expect(asked).toBeGreaterThanOrEqual(shapes.length)
    await answersPings(dht)
  }, 60_000)

  it('are not taken at their word: only who answers gets into the table', async () => {
    const dht = await startDht()
    const [asker, answerer] = [await startStranger(), await startStranger()]
    for (let i = 0; i < 50; i++) {
      const id = Buffer.alloc(20, i)
      asker.socket.send(bencode({ t: 'aa', y: 'q', q: 'ping', a: { id } }), dht.port, '127.0.0.1')
      answerer.socket.send(bencode({ t: '\x00\x01', y: 'r', r: { id } }), dht.port, '127.0.0.1')
    }
    await answersPings(dht)
    expect(dht.stats().nodes).toBe(0)
  })

  it('get no more than some answers a second, and short ones', async () => {
    const dht = await startDht()
    const { socket, heard } = await startStranger()
    const startedMs = performance.now()
    for (let i = 0; i < 2_000; i++) socket.send(query('find_node', { target: ID }), dht.port, '127.0.0.1')
    await answersPings(dht)
    const seconds = 1 + Math.ceil((performance.now() - startedMs) / 1_000)
    const answers = heard.filter((one) => read(one).has('r'))
    expect(answers.length).toBeGreaterThan(0)
    expect(answers.length).toBeLessThanOrEqual(20 * seconds)
    for (const one of answers) expect(one.length).toBeLessThan(600)
  })

  it('get a few of many peers, so that an answer is no weapon', async () => {
    const dht = await startDht()
    const asker = await startStranger()
    const lastOf = () => asker.heard.filter((one) => read(one).has('r')).at(-1)
    const fieldOf = (name: string) => {
      asker.socket.send(query('get_peers', { info_hash: hash }), dht.port, '127.0.0.1')
      return (read(lastOf() ?? Buffer.from('d1:rdee')).get('r') as BencodedMap).get(name)
    }
    const slowly = { timeout: 10_000, interval: 200 }
    await expect.poll(() => fieldOf('token'), slowly).toBeInstanceOf(Uint8Array)
    const token = fieldOf('token') as Uint8Array
    for (let i = 0; i < 5; i++) {
      const { socket } = await startStranger()
      for (let port = 100 * i + 1; port <= 100 * i + 15; port++)
        socket.send(query('announce_peer', { info_hash: hash, token, port }), dht.port, '127.0.0.1')
    }
    await expect.poll(() => fieldOf('values'), slowly).toHaveLength(50)
    expect(lastOf()?.length).toBeLessThan(600)
  })

  it('cannot make an engine call itself by naming its own address', async () => {
    const { socket, port } = await startStranger()
    const other = createServer((connection) => connection.destroy())
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    cleanUp.push(() => new Promise((resolve) => other.close(resolve)))
    const otherPort = (other.address() as AddressInfo).port
    const dht = { port: 0, bootstrap: [`127.0.0.1:${port}`], nodesPath: null }
    const engine = new WebTorrentEngine({ port: 0, dht })
    await engine.start()
    cleanUp.push(() => engine.stop())
    const peer = (at: number) => Buffer.from([127, 0, 0, 1, at >> 8, at & 255])
    socket.on('message', (bytes, from) => {
      const t = read(bytes).get('t') as Uint8Array
      const r = { id: ID, token: 'x', values: [peer(engine.port), peer(otherPort)] }
      socket.send(bencode({ t, y: 'r', r }), from.port, from.address)
    })
    const dialled = vi.spyOn(TcpSocket.prototype, 'connect')
    cleanUp.push(async () => dialled.mockRestore())
    const stop = new AbortController()
    const infohash = HASH as Infohash
    const options = { peers: [], accept: () => true, signal: stop.signal }
    const fetching = engine.fetch(infohash, '/nowhere', options)
    const ports = () => dialled.mock.calls.flat(2).flatMap((one) => Object(one).port ?? [])
    await expect.poll(ports, { timeout: 15_000 }).toContain(otherPort)
    expect(ports()).not.toContain(engine.port)
    stop.abort()
    await expect(fetching).rejects.toMatchObject({ code: 'aborted' })
  })

  it('of a private network are nobody to a node that is known to the world', async () => {
    const { socket, port } = await startStranger()
    const send = vi.spyOn(Socket.prototype, 'send')
    cleanUp.push(async () => send.mockRestore())
    const options = { port: 0, bootstrap: [], nodesPath: null }
    const dht = await Dht.start(options, { host: '127.0.0.1', announceHost: '0.0.0.0' })
    cleanUp.push(() => dht.stop())
    dht.meet({ host: '127.0.0.1', port })
    socket.send(query('ping', {}), dht.port, '127.0.0.1')
    // One that may answer has answered: so would this one have.
    await answersPings(await startDht())
    const targets = new Set(send.mock.calls.map((call) => (call as unknown[]).at(1)))
    expect(targets).not.toContain(port)
  })

  it('cannot make a node of a private network call the world', async () => {
    const { socket, port } = await startStranger()
    const neighbour = await startStranger()
    const node = (host: number[], at: number) =>
      Buffer.concat([Buffer.alloc(20, 3), Buffer.from([...host, at >> 8, at & 255])])
    socket.on('message', (bytes, from) => {
      const map = read(bytes)
      if (!map.has('a')) return
      const nodes = Buffer.concat([node([8, 8, 8, 8], 53), node([127, 0, 0, 1], neighbour.port)])
      const r = { id: ID, nodes, token: 'x' }
      socket.send(bencode({ t: map.get('t') as Uint8Array, y: 'r', r }), from.port, from.address)
    })
    const sent: string[] = []
    const send = vi.spyOn(Socket.prototype, 'send')
    cleanUp.push(async () => send.mockRestore())
    const dht = await startDht([`127.0.0.1:${port}`])
    await expect.poll(() => dht.isUp).toBe(true)
    await dht.announce([announce(HASH, 1_111)], forever)
    for (const [, , host] of send.mock.calls as unknown[][]) if (typeof host === 'string') sent.push(host)
    expect(neighbour.heard.length).toBeGreaterThan(0)
    expect(new Set(sent)).toEqual(new Set(['127.0.0.1']))
  })
})

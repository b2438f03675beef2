import { describe, expect, it } from 'vitest'
import { isQuery, KRPC_BYTES_MAX, readerQuery, readKrpc, trimKrpc } from '../../node/transfer/krpc.ts'
import { type Bencodable, type BencodedMap, bdecode, bencode } from '../../protocol/codec/bencode.ts'

const id = Buffer.alloc(20, 1)
const hash = Buffer.alloc(20, 2)
const read = (bytes: Uint8Array | undefined) =>
  bdecode(bytes ?? Buffer.from('de'), { bytesMax: 65_536, itemsMax: 10_000 }) as BencodedMap
const all = (_host: string) => true
const query = (q: string, a: Record<string, Bencodable>) => bencode({ t: 'aa', y: 'q', q, a: { id, ...a } })
const answer = (r: Record<string, Bencodable>) => bencode({ t: 'aa', y: 'r', r: { id, ...r } })
const node = (host: readonly number[]) => Buffer.from([...hash, ...host, 1, 1])
const fieldsOf = (bytes: Uint8Array, part: 'a' | 'r', mayName = all) =>
  read(readKrpc(bytes, mayName)?.bytes).get(part) as BencodedMap

describe('a datagram of the DHT', () => {
  it.each<[string, Record<string, Bencodable>]>([
    ['ping', {}],
    ['find_node', { target: hash }],
    ['get_peers', { info_hash: hash }],
    ['announce_peer', { implied_port: 0, info_hash: hash, port: 6_881, token: 'x' }],
    ['announce_peer', { implied_port: 1, info_hash: hash, token: 'x' }],
  ])('passes as a query %s with what was understood, and without who asks', (q, a) => {
    const krpc = readKrpc(query(q, { ...a, want: ['n4'], toString: 'x' }), all)
    expect(krpc?.kind).toBe('query')
    expect(krpc?.bytes).toEqual(bencode({ t: 'aa', y: 'q', q, a }))
    expect(isQuery(krpc?.bytes ?? new Uint8Array())).toBe(true)
  })

  it('is known as that of one who only reads, and can be made so', () => {
    const plain = query('ping', {})
    expect(readKrpc(plain, all)?.isReader).toBe(false)
    expect(readKrpc(readerQuery(plain), all)).toEqual({ ...readKrpc(plain, all), isReader: true })
  })

  it.each<[string, Uint8Array]>([
    ['a method that we do not serve', query('put', { v: 'x', token: 'x' })],
    ['no infohash', query('get_peers', {})],
    ['a port out of range', query('announce_peer', { info_hash: hash, token: 'x', port: 70_000 })],
    ['a token without end', query('announce_peer', { info_hash: hash, token: 'x'.repeat(65), port: 1 })],
    ['an id that is short', bencode({ t: 'aa', y: 'q', q: 'ping', a: { id: 'x' } })],
    ['no transaction', bencode({ y: 'q', q: 'ping', a: { id } })],
    ['a transaction without end', bencode({ t: 'a'.repeat(33), y: 'q', q: 'ping', a: { id } })],
    ['no kind', bencode({ t: 'aa', q: 'ping', a: { id } })],
    ['an answer without an id', bencode({ t: 'aa', y: 'r', r: {} })],
    ['more than is read', answer({ nodes: Buffer.alloc(KRPC_BYTES_MAX) })],
    ['more depth than it needs', answer({ values: [[[['x']]]] })],
    ['bytes behind it', Buffer.concat([query('ping', {}), Buffer.from('x')])],
  ])('does not pass with %s', (_what, bytes) => {
    expect(readKrpc(bytes, all)).toBe(null)
  })

  it('passes as an answer with nodes at addresses that may be named, and peers that are some', () => {
    const nodes = Buffer.concat([node([8, 8, 8, 8]), node([10, 0, 0, 1]), Buffer.alloc(7)])
    const r = fieldsOf(
      answer({ nodes, token: 'x', values: ['abcdef', 5, 'short', Buffer.alloc(18)] }),
      'r',
      (host) => host === '8.8.8.8',
    )
    expect(r.get('nodes')).toEqual(new Uint8Array(node([8, 8, 8, 8])))
    expect(r.get('values')).toEqual([new Uint8Array(Buffer.from('abcdef'))])
    expect([...r.keys()].sort()).toEqual(['id', 'nodes', 'token', 'values'])
  })

  it('passes as an error by its number alone', () => {
    const krpc = readKrpc(bencode({ t: 'aa', y: 'e', e: [203, { toString: 'x' }] }), all)
    expect(krpc).toEqual({ kind: 'answer', bytes: bencode({ t: 'aa', y: 'e', e: [203, 'refused'] }) })
  })

  it('leaves with 8 nodes and 50 peers, however many are known', () => {
    const nodes = Buffer.concat(Array.from({ length: 300 }, () => node([8, 8, 8, 8])))
    const r = read(trimKrpc(answer({ nodes, values: Array(500).fill('abcdef'), token: 'x' }))).get('r')
    expect((r as BencodedMap).get('nodes')).toHaveLength(8 * 26)
    expect((r as BencodedMap).get('values')).toHaveLength(50)
    expect((r as BencodedMap).get('token')).toEqual(new Uint8Array(Buffer.from('x')))
    const short = query('ping', {})
    expect(trimKrpc(short)).toBe(short)
  })
})

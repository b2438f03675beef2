import { describe, expect, it } from 'vitest'
import { Ipv6StandIns } from '../../node/transfer/dht-addresses.ts'
import { readKrpc, trimKrpc } from '../../node/transfer/krpc.ts'
import { type Bencodable, type BencodedMap, bdecode, bencode } from '../../protocol/codec/bencode.ts'

const id = Buffer.alloc(20, 1)
/** `2620:0:861::<number>`, compact. */
const at = (number: number) => {
  const bytes = Buffer.from('26200000086100000000000000000000', 'hex')
  bytes.writeUInt32BE(number, 12)
  return bytes
}
const mapOf = (bytes: Uint8Array | undefined) =>
  bdecode(bytes ?? Buffer.from('de'), { bytesMax: 65_536, itemsMax: 10_000 }) as BencodedMap
const answer = (r: Record<string, Bencodable>) => bencode({ t: 'aa', y: 'r', r: { id, ...r } })
const port = Buffer.from([0x1a, 0xe1])

describe('a stand-in for an IPv6 address', () => {
  it('is one of 240.0.0.0/4, the same each time, and stands for it alone', () => {
    const standIns = new Ipv6StandIns()
    const inner = standIns.inner('2620:0:861::7')
    expect(inner).toMatch(/^240\./)
    expect(standIns.inner('2620:0:0861:0:0:0:0:7')).toBe(inner)
    expect(standIns.inner('2620:0:861::8')).not.toBe(inner)
    expect(standIns.outer(inner ?? '')).toBe('2620:0:861::7')
    expect(Buffer.from(standIns.innerBytes(at(7))).join('.')).toBe(inner)
    expect(standIns.outerBytes(standIns.innerBytes(at(9)))).toEqual(new Uint8Array(at(9)))
  })

  it.each(['8.8.8.8', '::ffff:8.8.8.8', 'fe80::1%eth0', 'example.org', ''])('is not had for %j', (host) => {
    expect(new Ipv6StandIns().inner(host)).toBe(null)
  })

  it('is forgotten when many others were used since, never while it is used or kept', () => {
    const standIns = new Ipv6StandIns()
    const [used, unused, kept] = [7, 8, 9].map((number) => standIns.inner(`2620:0:861::${number}`) ?? '')
    standIns.keep(kept ?? '')
    for (let number = 100; number < 40_000; number++) {
      standIns.innerBytes(at(number))
      expect(standIns.outer(used ?? '')).toBe('2620:0:861::7')
    }
    expect(standIns.outer(unused ?? '')).toBe(null)
    expect(standIns.outer(kept ?? '')).toBe('2620:0:861::9')
    expect(standIns.size).toBeLessThanOrEqual(16_384)
  })

  it('has one machine in a /64', () => {
    const standIns = new Ipv6StandIns()
    expect(standIns.machineOf('2620:0:861:1::7')).toBe(standIns.machineOf('2620:0:861:1:2:3:4:5'))
    expect(standIns.machineOf('2620:0:861:1::7')).not.toBe(standIns.machineOf('2620:0:861:2::7'))
  })
})

describe('a datagram of the DHT over IPv6', () => {
  const all = () => true

  it('names nodes and peers as BEP 32 has them, and the package has them in IPv4', () => {
    const standIns = new Ipv6StandIns()
    const nodes6 = Buffer.concat([id, at(7), port])
    const values = [Buffer.concat([at(8), port])]
    const read = readKrpc(answer({ nodes6, values, token: 'x', nodes: Buffer.alloc(26) }), all, standIns)
    const inner = mapOf(read?.bytes).get('r') as BencodedMap
    expect([...inner.keys()].sort()).toEqual(['id', 'nodes', 'token', 'values'])
    expect(inner.get('nodes')).toEqual(new Uint8Array([...id, ...standIns.innerBytes(at(7)), ...port]))
    expect(inner.get('values')).toEqual([new Uint8Array([...standIns.innerBytes(at(8)), ...port])])
    const sent = mapOf(trimKrpc(read?.bytes ?? new Uint8Array(), standIns)).get('r') as BencodedMap
    expect([...sent.keys()].sort()).toEqual(['id', 'nodes6', 'token', 'values'])
    expect(sent.get('nodes6')).toEqual(new Uint8Array(nodes6))
    expect(sent.get('values')).toEqual([new Uint8Array(values[0] ?? [])])
  })

  it('passes without nodes that may not be named, cut ones, and peers of IPv4', () => {
    const standIns = new Ipv6StandIns()
    const nodes6 = Buffer.concat([id, at(7), port, id, at(8), port, Buffer.alloc(11)])
    const read = readKrpc(
      answer({ nodes6, values: ['abcdef', 5] }),
      (host) => host === '2620:0:861::8',
      standIns,
    )
    const inner = mapOf(read?.bytes).get('r') as BencodedMap
    expect(inner.get('nodes')).toEqual(new Uint8Array([...id, ...standIns.innerBytes(at(8)), ...port]))
    expect(inner.get('values')).toEqual([])
    expect(standIns.size).toBe(1)
  })

  it('leaves with 8 nodes and 25 peers, and without those that are forgotten', () => {
    const standIns = new Ipv6StandIns()
    const stranger = Buffer.from([240, 9, 9, 9])
    const node = (inner: Uint8Array) => Buffer.concat([id, inner, port])
    const some = Array.from({ length: 100 }, (_, number) => standIns.innerBytes(at(number)))
    const sent = mapOf(
      trimKrpc(
        answer({
          nodes: Buffer.concat([node(stranger), ...some.map(node)]),
          values: [Buffer.concat([stranger, port]), ...some.map((one) => Buffer.concat([one, port]))],
        }),
        standIns,
      ),
    ).get('r') as BencodedMap
    expect(sent.get('nodes6')).toHaveLength(7 * 38)
    expect(sent.get('values')).toHaveLength(24)
  })
})

/** Which network a node is in, and how many independent places replicas are in (PROTOCOL 5). */
import { BlockList } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { networkOf, networkOfAddress } from '../../protocol/placement/network.ts'
import { countPlaces } from '../../protocol/placement/places.ts'

const heads = (bittorrent: readonly string[], libp2p: readonly string[] = []) => ({
  bittorrent: bittorrent.map((host) => ({ host, port: 6881 })),
  libp2p,
})

describe('the network of an address', () => {
  // The registries of special-purpose addresses, in another form than the code has them.
  const special = new BlockList()
  for (const [net, bits] of [
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.0.2.0', 24],
    ['192.88.99.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
    ['198.51.100.0', 24],
    ['203.0.113.0', 24],
    ['224.0.0.0', 3],
  ] as const)
    special.addSubnet(net, bits, 'ipv4')
  const edge = fc.constantFrom(
    0,
    1,
    2,
    9,
    10,
    11,
    15,
    16,
    18,
    19,
    31,
    32,
    51,
    63,
    64,
    88,
    99,
    100,
    113,
    127,
    128,
    168,
    169,
    172,
    192,
    198,
    203,
    223,
    224,
    254,
    255,
  )
  const octet = fc.oneof(edge, fc.integer({ min: 0, max: 255 }))
  const ipv4 = fc.tuple(octet, octet, octet, octet)

  it('is the /24 of a public IPv4 address, and nothing of any other', () => {
    fc.assert(
      fc.property(ipv4, ([a, b, c, d]) => {
        const address = `${a}.${b}.${c}.${d}`
        expect(networkOfAddress(address)).toBe(special.check(address, 'ipv4') ? null : `v4/${a}.${b}.${c}`)
        expect(networkOfAddress(`::ffff:${address}`)).toBe(networkOfAddress(address))
      }),
      { numRuns: 5_000 },
    )
  })

  it('is the /48 of a public IPv6 address, however it is written', () => {
    const group = fc.oneof(fc.constantFrom(0, 0, 1), fc.integer({ min: 0, max: 0xffff }))
    const groups = fc.tuple(
      fc.integer({ min: 0x2003, max: 0x3ffe }),
      ...Array.from({ length: 7 }, () => group),
    )
    fc.assert(
      fc.property(groups, (all) => {
        const whole = all.map((one) => one.toString(16)).join(':')
        const short = new URL(`http://[${whole}]/`).hostname.slice(1, -1)
        const padded = all.map((one) => one.toString(16).padStart(4, '0').toUpperCase()).join(':')
        const network = `v6/${all
          .slice(0, 3)
          .map((one) => one.toString(16))
          .join(':')}`
        for (const form of [whole, short, padded]) expect(networkOfAddress(form)).toBe(network)
      }),
    )
  })

  it.each([
    '::',
    '::1',
    'fe80::1',
    'fc00::1',
    'fd12:3456::1',
    'ff02::1',
    '2001:db8::1',
    '2001::1',
    '2002:c000:204::1',
    '3fff::1',
    '64:ff9b::1',
  ])('of %s says nothing', (address) => expect(networkOfAddress(address)).toBe(null))

  it('of a text that is no address says nothing, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (textValue) => {
        if (/^[\d.]+$|:/.test(textValue)) return
        expect(networkOfAddress(textValue)).toBe(null)
      }),
    )
    for (const wrong of [
      '',
      '1.2.3',
      '1.2.3.256',
      '1:2:3',
      '1::2::3',
      '1:2:3:4:5:6:7:8:9',
      '2003:::1',
      '::ffff:1.2.3',
      'fe80::1%eth0',
    ])
      expect(networkOfAddress(wrong)).toBe(null)
  })
})

describe('the network of a node', () => {
  it('is that of its first public BitTorrent endpoint, else of its first public libp2p one', () => {
    expect(networkOf(heads(['192.168.1.5', '81.2.69.142', '9.9.9.9']))).toBe('v4/81.2.69')
    expect(networkOf(heads(['127.0.0.1'], ['/ip4/10.0.0.1/tcp/1', '/ip4/81.2.69.1/tcp/4811/p2p/x']))).toBe(
      'v4/81.2.69',
    )
    expect(networkOf(heads([], ['/ip6/2a02:8071:1::9/tcp/4811']))).toBe('v6/2a02:8071:1')
  })

  it('is not known of private and relayed addresses, and of names', () => {
    expect(
      networkOf(
        heads(
          ['127.0.0.1', 'example.org'],
          ['/dns4/example.org/tcp/1', '/ip4/81.2.69.1/tcp/1/p2p/x/p2p-circuit'],
        ),
      ),
    ).toBe(null)
    expect(networkOf(heads([], []))).toBe(null)
  })
})

describe('places', () => {
  const place = fc.record({
    operator: fc.integer({ min: 0, max: 4 }),
    network: fc.integer({ min: -1, max: 3 }),
  })
  const some = fc.array(place, { maxLength: 9 })
  type Place = { readonly operator: number; readonly network: number }
  const count = (places: readonly Place[]) =>
    countPlaces(
      places.map((one) => one.operator),
      places.map((one) => one.network),
    )
  /** Every subset tried. */
  const byForce = (places: readonly Place[]): number => {
    let best = 0
    for (let set = 0; set < 1 << places.length; set++) {
      const chosen = places.filter((_, at) => (set >> at) & 1)
      const operators = new Set(chosen.map((one) => one.operator))
      const known = chosen.filter((one) => one.network >= 0)
      const networks = new Set(known.map((one) => one.network))
      if (operators.size === chosen.length && networks.size === known.length)
        best = Math.max(best, chosen.length)
    }
    return best
  }

  it('are the most replicas of which no two share operator or network', () => {
    fc.assert(
      fc.property(some, (places) => {
        expect(count(places)).toBe(byForce(places))
      }),
      { numRuns: 1_000 },
    )
  })

  it('do not depend on the order, and never become fewer by another replica', () => {
    fc.assert(
      fc.property(some, place, (places, more) => {
        expect(count([...places].reverse())).toBe(count(places))
        expect(count([...places, more])).toBeGreaterThanOrEqual(count(places))
        expect(count([...places, more])).toBeLessThanOrEqual(count(places) + 1)
      }),
    )
  })

  it('are the operators while no network is known', () => {
    fc.assert(
      fc.property(some, (places) => {
        const unknown = places.map(({ operator }) => ({ operator, network: -1 }))
        expect(count(unknown)).toBe(new Set(places.map((one) => one.operator)).size)
      }),
    )
  })
})

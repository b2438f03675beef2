/** The port from which connections to public addresses are made, over a transport of the test's own. */
import type { Connection, DialTransportOptions } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { DialPort, outsideOf, publicAddress } from '../../node/net/dial-port.ts'

interface Dialled {
  readonly address: string
  readonly localPort?: number
  readonly localAddress?: string
}

/** Transport and port; dials fail with these codes first, then succeed. */
function dialling(...failures: string[]) {
  const dialled: Dialled[] = []
  const dial = async (address: Multiaddr, { signal: _, ...rest }: DialTransportOptions) => {
    dialled.push({ address: address.toString(), ...rest })
    const code = failures.shift()
    if (code !== undefined) throw Object.assign(new Error(code), { code })
    return { remoteAddr: address } as Connection
  }
  const port = new DialPort((() => () => ({ dial })) as never)
  const transport = port.transport()({} as never)
  const options = { signal: new AbortController().signal } as DialTransportOptions
  return { dialled, port, dial: (address: string) => transport.dial(multiaddr(address), options) }
}

describe('a connection', () => {
  it('to a public address is made from one port, the same for both families', async () => {
    const { dial, dialled } = dialling()
    await dial('/ip4/9.9.9.9/tcp/1')
    await dial('/ip6/2620:fe::fe/tcp/2')
    const [first, second] = dialled
    expect(first?.localPort).toBeGreaterThanOrEqual(49_152)
    expect(first?.localPort).toBeLessThanOrEqual(65_535)
    expect(first?.localAddress).toBe('0.0.0.0')
    expect(second).toMatchObject({ localPort: first?.localPort, localAddress: '::' })
  })

  it.each(['/ip4/127.0.0.1/tcp/1', '/ip4/192.168.1.5/tcp/1', '/ip6/::1/tcp/1', '/dns4/example.org/tcp/1'])(
    'to %s is made from any port',
    async (address) => {
      const { dial, dialled } = dialling()
      await dial(address)
      expect(dialled).toEqual([{ address }])
    },
  )

  it('is made from any port when one to that address stands or has just ended', async () => {
    const { dial, dialled } = dialling('EADDRNOTAVAIL')
    await dial('/ip4/9.9.9.9/tcp/1')
    await dial('/ip4/9.9.9.9/tcp/2')
    expect(dialled.map(({ localPort }) => typeof localPort)).toEqual(['number', 'undefined', 'number'])
    expect(dialled[2]?.localPort).toBe(dialled[0]?.localPort)
  })

  it('that meets a program which listens at our port has us take another', async () => {
    const { dial, dialled } = dialling('EADDRINUSE')
    await dial('/ip4/9.9.9.9/tcp/1')
    await dial('/ip4/9.9.9.9/tcp/2')
    expect(dialled.map(({ localPort }) => typeof localPort)).toEqual(['number', 'undefined', 'number'])
    expect(dialled[2]?.localPort).not.toBe(dialled[0]?.localPort)
  })

  it('that is refused is not made again', async () => {
    const { dial, dialled } = dialling('ECONNREFUSED')
    await expect(dial('/ip4/9.9.9.9/tcp/1')).rejects.toThrow('ECONNREFUSED')
    expect(dialled).toHaveLength(1)
  })

  it('says where we are outside only if it was made from the port', async () => {
    const { dial, port } = dialling('EADDRNOTAVAIL')
    const [other, own] = [await dial('/ip4/9.9.9.9/tcp/1'), await dial('/ip4/9.9.9.9/tcp/2')]
    port.saw(other, multiaddr('/ip4/9.9.8.8/tcp/6000'))
    port.saw(own, multiaddr('/ip4/9.9.8.8/tcp/5000'))
    expect(port.outside([other, own])).toEqual([{ host: '9.9.8.8', port: 5_000, mapping: 'unknown' }])
    expect(port.outside([other])).toEqual([])
  })

  it.each(['/ip6/2620:fe::9/tcp/5000', '/ip4/10.0.0.1/tcp/5000', '/ip4/9.9.8.8/udp/5000'])(
    'over IPv4 to a public address cannot be seen at %s',
    async (address) => {
      const { dial, port } = dialling()
      const connection = await dial('/ip4/9.9.9.9/tcp/1')
      port.saw(connection, multiaddr(address))
      port.saw(connection, undefined)
      expect(port.outside([connection])).toEqual([])
    },
  )
})

describe('where peers see us', () => {
  const at = (port: number, host = '9.9.9.1') => ({ host, port })

  it.each([
    ['nobody', [], []],
    ['one peer', [at(1)], [{ ...at(1), mapping: 'unknown' }]],
    ['two that agree', [at(1), at(1)], [{ ...at(1), mapping: 'same' }]],
    ['two that do not', [at(1), at(2)], [{ ...at(1), mapping: 'changing' }]],
    ['one that lies among three', [at(9), at(1), at(1)], [{ ...at(1), mapping: 'same' }]],
    [
      'peers over both families',
      [at(1), at(1), at(7, '2620:fe::1')],
      [
        { ...at(7, '2620:fe::1'), mapping: 'unknown' },
        { ...at(1), mapping: 'same' },
      ],
    ],
  ])('is judged by %s', (_, seen, expected) => {
    expect(outsideOf(seen)).toEqual(expected)
  })
})

it.each([
  ['/ip4/9.9.9.1/tcp/5', { host: '9.9.9.1', port: 5 }],
  [
    '/ip4/9.9.9.1/tcp/5/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5',
    { host: '9.9.9.1', port: 5 },
  ],
  ['/ip4/10.0.0.1/tcp/5', null],
  ['/ip4/9.9.9.1/udp/5/quic-v1', null],
  ['/ip4/9.9.9.1/tcp/5/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5/p2p-circuit', null],
])('%s is %j as a public address of a port', (address, expected) => {
  expect(publicAddress(multiaddr(address))).toEqual(expected)
})

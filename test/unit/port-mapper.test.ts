/** Keeping ports forwarded, in virtual time, on the Router twin. */
import { describe, expect, it } from 'vitest'
import { hostsOf, isLoopback } from '../../node/net/addresses.ts'
import type { OwnPort, Router } from '../../node/ports.ts'
import { gatewayIn } from '../../node/router/default-gateway.ts'
import { MemoryGateway, MemoryRouter } from '../../node/router/memory-router.ts'
import { PortMapper } from '../../node/router/port-mapper.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { virtualTime } from '../support/virtual-time.ts'

const PORTS: readonly OwnPort[] = [
  { name: 'libp2p', protocol: 'tcp', port: 4_811 },
  { name: 'bittorrent', protocol: 'tcp', port: 6_881 },
]
const MINUTE_MS = 60_000

function world(
  routersOf: (gateway: MemoryGateway) => readonly Router[] = (gateway) => [new MemoryRouter(gateway, 'ours')],
) {
  const gateway = new MemoryGateway()
  const time = virtualTime(0)
  let asked = 0
  let changes = 0
  const routers = routersOf(gateway).map((router) => ({
    name: router.name,
    map: (...args: Parameters<Router['map']>) => {
      asked++
      return router.map(...args)
    },
    unmap: (...args: Parameters<Router['unmap']>) => router.unmap(...args),
  }))
  const mapper = new PortMapper({
    routers,
    ports: PORTS,
    clock: time.clock,
    sleep: time.sleep,
    random: () => 0.5,
    log: silentLog,
    changed: () => changes++,
  })
  return { gateway, time, mapper, asked: () => asked, changes: () => changes }
}

describe('a port mapper', () => {
  it('has every port forwarded, tells of it once, and takes all away at the end', async () => {
    const { gateway, time, mapper, changes } = world()
    mapper.start()
    await time.settle()
    expect(mapper.ports()).toMatchObject([
      {
        name: 'libp2p',
        by: 'memory',
        error: null,
        mapping: { externalHost: gateway.externalHost, externalPort: 4_811 },
      },
      { name: 'bittorrent', by: 'memory', error: null, mapping: { externalPort: 6_881 } },
    ])
    await time.advance(3 * 60 * MINUTE_MS)
    expect(changes()).toBe(1)
    expect([...gateway.taken.keys()]).toEqual(['tcp 4811', 'tcp 6881'])
    await mapper.stop()
    expect([...gateway.taken.keys()]).toEqual([])
  })

  it.each([
    [60 * MINUTE_MS, 10 * MINUTE_MS],
    [4 * MINUTE_MS, 2 * MINUTE_MS],
    [2_000, 30_000],
  ])('renews a mapping of %i ms after %i ms', async (lifetimeMs, afterMs) => {
    const { gateway, time, mapper, asked } = world()
    gateway.lifetimeMs = lifetimeMs
    mapper.start()
    await time.advance(afterMs - 1)
    expect(asked()).toBe(2)
    await time.advance(1)
    expect(asked()).toBe(4)
    await mapper.stop()
  })

  it('forwards again what a router forgot when it was started anew', async () => {
    const { gateway, time, mapper } = world()
    mapper.start()
    await time.settle()
    gateway.taken.clear()
    await time.advance(10 * MINUTE_MS)
    expect([...gateway.taken.keys()]).toEqual(['tcp 4811', 'tcp 6881'])
    await mapper.stop()
  })

  it('tells the truth about another number outside', async () => {
    const { gateway, time, mapper } = world()
    gateway.taken.set('tcp 6881', { machine: 'theirs', internalPort: 6_881 })
    mapper.start()
    await time.settle()
    expect(mapper.ports()[1]).toMatchObject({ port: 6_881, error: null, mapping: { externalPort: 6_882 } })
    await mapper.stop()
    expect([...gateway.taken.keys()]).toEqual(['tcp 6881'])
  })

  it('goes on asking a silent router, at a growing distance up to half an hour', async () => {
    const { gateway, time, mapper, asked, changes } = world()
    gateway.isOn = false
    mapper.start()
    await time.advance(24 * 60 * MINUTE_MS)
    expect(mapper.ports()[0]).toMatchObject({ by: null, mapping: null, error: 'memory: does not answer' })
    expect(changes()).toBe(0)
    // Two ports: a quarter of an hour to half of one apart, and a few more at the beginning.
    expect(asked() / 2).toBeGreaterThan(48)
    expect(asked() / 2).toBeLessThan(100)
    gateway.isOn = true
    await time.advance(30 * MINUTE_MS)
    expect(mapper.ports()[0]).toMatchObject({ by: 'memory', error: null })
    expect(changes()).toBe(1)
    await mapper.stop()
  })

  it('keeps a mapping while a router is silent for a moment, and drops it when its time is over', async () => {
    const { gateway, time, mapper, changes } = world()
    mapper.start()
    await time.settle()
    gateway.isOn = false
    await time.advance(30 * MINUTE_MS)
    expect(mapper.ports()[0]).toMatchObject({ by: 'memory', error: 'memory: does not answer' })
    expect(changes()).toBe(1)
    await time.advance(62 * MINUTE_MS)
    expect(mapper.ports()[0]).toMatchObject({ by: null, mapping: null })
    expect(changes()).toBe(2)
    await mapper.stop()
  })

  it('takes the second way when the first fails, and stays with it', async () => {
    const off = new MemoryGateway()
    off.isOn = false
    const { time, mapper, asked } = world((gateway) => [
      new MemoryRouter(off, 'ours', 'first'),
      new MemoryRouter(gateway, 'ours', 'second'),
    ])
    mapper.start()
    await time.settle()
    expect(mapper.ports().map(({ by }) => by)).toEqual(['second', 'second'])
    expect(asked()).toBe(4)
    await time.advance(10 * MINUTE_MS)
    expect(asked()).toBe(6)
    await mapper.stop()
  })

  it('names every way that failed', async () => {
    const { time, mapper, gateway } = world((one) => [
      new MemoryRouter(one, 'ours', 'first'),
      new MemoryRouter(one, 'ours', 'second'),
    ])
    gateway.isOn = false
    mapper.start()
    await time.settle()
    expect(mapper.ports()[0]?.error).toBe('first: does not answer; second: does not answer')
    await mapper.stop()
  })

  it('says that a router which is itself behind another is of no use', async () => {
    const { gateway, time, mapper } = world()
    gateway.externalHost = '100.64.3.4'
    mapper.start()
    await time.settle()
    expect(mapper.ports()[0]).toMatchObject({
      by: 'memory',
      error: expect.stringContaining('100.64.3.4 is not public'),
    })
    await mapper.stop()
  })
})

describe('the default gateway', () => {
  const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n'
  const row = (destination: string, gateway: string, flags: string, metric: number, mask: string) =>
    `eth0\t${destination}\t${gateway}\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0\n`

  it('is that of the default route with the smallest metric', () => {
    const text = [
      HEAD,
      row('00000000', 'FE01A8C0', '0003', 600, '00000000'),
      row('00000000', '0101A8C0', '0003', 100, '00000000'),
      row('0001A8C0', '00000000', '0001', 0, '00FFFFFF'),
    ].join('')
    expect(gatewayIn(text)).toBe('192.168.1.1')
  })

  it('is null without one', () => {
    expect(gatewayIn('')).toBeNull()
    expect(gatewayIn(HEAD + row('0001A8C0', '0101A8C0', '0003', 0, '00FFFFFF'))).toBeNull()
    expect(gatewayIn(HEAD + row('00000000', '00000000', '0001', 0, '00000000'))).toBeNull()
  })
})

describe('the addresses of this machine', () => {
  const address = (text: string, family: 'IPv4' | 'IPv6', internal = false) =>
    ({ address: text, family, internal }) as never
  const interfaces = {
    lo: [address('127.0.0.1', 'IPv4', true), address('::1', 'IPv6', true)],
    eth0: [
      address('192.168.1.5', 'IPv4'),
      address('fe80::1', 'IPv6'),
      address('fd00::5', 'IPv6'),
      address('2a00:1450::5', 'IPv6'),
    ],
  }

  it('stand for the address of all of them, public ones first', () => {
    expect(hostsOf('0.0.0.0', interfaces)).toEqual(['192.168.1.5'])
    expect(hostsOf('::', interfaces)).toEqual(['2a00:1450::5', '192.168.1.5', 'fd00::5'])
    expect(hostsOf('seed.example.org', interfaces)).toEqual(['seed.example.org'])
  })

  it('are of no use to others when they are loopback', () => {
    for (const host of ['127.0.0.1', '127.8.0.1', '::1', '::ffff:127.0.0.1', 'localhost'])
      expect(isLoopback(host)).toBe(true)
    for (const host of ['0.0.0.0', '::', '192.168.1.5', '12.7.0.0']) expect(isLoopback(host)).toBe(false)
  })
})

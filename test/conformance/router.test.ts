/** The Router port: the twin, NAT-PMP and UPnP against small routers on loopback, and what routers do wrong. */
import { afterEach, describe, expect, it } from 'vitest'
import type { OwnPort } from '../../node/ports.ts'
import { MemoryGateway, MemoryRouter } from '../../node/router/memory-router.ts'
import { NatPmpRouter } from '../../node/router/nat-pmp.ts'
import { UpnpRouter } from '../../node/router/upnp.ts'
import { type Igd, igd } from '../support/routers/igd.ts'
import { type NatPmpResponder, natPmpResponder } from '../support/routers/nat-pmp-responder.ts'
import type { RouterWorld } from '../support/routers/world.ts'
import { routerSuite } from './router.suite.ts'

const EXTERNAL = '185.15.59.224'
const OWN: OwnPort = { name: 'libp2p', protocol: 'tcp', port: 4_811 }
const options = { signal: AbortSignal.timeout(60_000) }

routerSuite('in memory', async () => {
  const gateway = new MemoryGateway()
  return {
    router: new MemoryRouter(gateway, 'ours'),
    externalHost: gateway.externalHost,
    take: (protocol, port) =>
      gateway.taken.set(`${protocol} ${port}`, { machine: 'theirs', internalPort: port }),
    mappings: () =>
      [...gateway.taken]
        .filter(([, { machine }]) => machine === 'ours')
        .map(([key, { internalPort }]) => `${key} -> ${internalPort}`),
    off: async () => {
      gateway.isOn = false
    },
    close: async () => {},
  }
})

/** Waits of a tenth: silence is found out in under a second. */
const natPmp = ({ port }: NatPmpResponder) =>
  new NatPmpRouter({ gateway: async () => '127.0.0.1', port, firstWaitMs: 25 })

routerSuite('NAT-PMP', async (): Promise<RouterWorld> => {
  const responder = await natPmpResponder(EXTERNAL)
  return {
    router: natPmp(responder),
    externalHost: EXTERNAL,
    take: (protocol, port) => responder.taken.set(`${protocol} ${port}`, null),
    mappings: () =>
      [...responder.taken].filter(([, port]) => port !== null).map(([key, port]) => `${key} -> ${port}`),
    off: async () => {
      responder.deafTo = Number.POSITIVE_INFINITY
    },
    close: () => responder.close(),
  }
})

const upnp = ({ ssdpPort }: Igd, random: () => number = Math.random) =>
  new UpnpRouter({ to: { host: '127.0.0.1', port: ssdpPort }, waitMs: 100, random })

for (const version of [1, 2] as const) {
  routerSuite(`UPnP of version ${version}`, async (): Promise<RouterWorld> => {
    const router = await igd(version, EXTERNAL)
    let isOpen = true
    const close = async () => {
      if (isOpen) await router.close()
      isOpen = false
    }
    return {
      router: upnp(router),
      externalHost: EXTERNAL,
      take: (protocol, port) =>
        router.entries.set(`${protocol.toUpperCase()} ${port}`, {
          client: '192.168.1.99',
          port,
          leaseSeconds: 0,
          description: 'a game',
        }),
      mappings: () =>
        [...router.entries]
          .filter(([, { client }]) => client === '127.0.0.1')
          .map(([key, { port }]) => `${key.toLowerCase()} -> ${port}`),
      off: close,
      close,
    }
  })
}

const open: { close(): Promise<void> }[] = []
afterEach(() => Promise.all(open.splice(0).map((one) => one.close())))
const kept = <T extends { close(): Promise<void> }>(one: T): T => {
  open.push(one)
  return one
}

describe('NAT-PMP', () => {
  it('asks again when a datagram was lost', async () => {
    const responder = kept(await natPmpResponder(EXTERNAL))
    responder.deafTo = 2
    expect(await natPmp(responder).map(OWN, options)).toMatchObject({ externalPort: 4_811 })
    expect(responder.asked).toHaveLength(4)
  })

  it.each([
    [2, 'refused', 'it is switched off or does not allow it'],
    [3, 'refused', 'it has no outside address now'],
    [77, 'refused', '77'],
  ])('says what result %i means', async (result, code, text) => {
    const responder = kept(await natPmpResponder(EXTERNAL))
    responder.result = result
    await expect(natPmp(responder).map(OWN, options)).rejects.toMatchObject({
      code,
      message: `127.0.0.1: ${text}`,
    })
  })

  it('does not take short, foreign or senseless datagrams for an answer', async () => {
    const responder = kept(await natPmpResponder(EXTERNAL))
    const bends: ((answer: Buffer) => Buffer)[] = [
      () => Buffer.alloc(0),
      (answer) => answer.subarray(0, 11),
      () => Buffer.alloc(16, 0xff),
      (answer) => answer,
      (answer) => answer,
    ]
    responder.bend = (answer) => (bends.shift() ?? ((one) => one))(answer)
    expect(await natPmp(responder).map(OWN, options)).toMatchObject({ externalPort: 4_811 })
    expect(responder.asked).toHaveLength(5)
  })

  it('does not believe an answer about another port', async () => {
    const responder = kept(await natPmpResponder(EXTERNAL))
    responder.bend = (answer) => {
      if (answer.length === 16) answer.writeUInt16BE(22, 8)
      return answer
    }
    await expect(natPmp(responder).map(OWN, options)).rejects.toMatchObject({ code: 'malformed' })
  })

  it('is absent without a default gateway', async () => {
    const router = new NatPmpRouter({ gateway: async () => null })
    await expect(router.map(OWN, options)).rejects.toMatchObject({ code: 'absent' })
  })
})

describe('UPnP', () => {
  it('asks for a lease that never ends where there is no other, and says so', async () => {
    const router = kept(await igd(1, EXTERNAL))
    router.refuse = (action, body) =>
      action === 'AddPortMapping' && !body.includes('<NewLeaseDuration>0<') ? 725 : null
    expect(await upnp(router).map(OWN, options)).toMatchObject({ externalPort: 4_811, lifetimeMs: null })
    expect([...router.entries.values()]).toEqual([
      { client: '127.0.0.1', port: 4_811, leaseSeconds: 0, description: 'WikiSeed libp2p' },
    ])
  })

  it('gives up when four ports are taken', async () => {
    const router = kept(await igd(1, EXTERNAL))
    router.refuse = (action) => (action === 'AddPortMapping' ? 718 : null)
    await expect(upnp(router).map(OWN, options)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/^127\.0\.0\.1:\d+: error 718 Said no$/),
    })
    expect(router.actions.filter((action) => action === 'AddPortMapping')).toHaveLength(4)
  })

  it('says that a router is not connected', async () => {
    const router = kept(await igd(1, '0.0.0.0'))
    await expect(upnp(router).map(OWN, options)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('no outside address'),
    })
  })

  it('follows no router to another machine', async () => {
    const router = kept(await igd(1, EXTERNAL))
    const own = router.location
    router.location = own.replace('127.0.0.1', '127.0.0.2')
    await expect(upnp(router).map(OWN, options)).rejects.toMatchObject({ message: 'no router answers' })
    router.location = own
    router.bend = (text) => text.replace('/ctl/IPConn', 'http://127.0.0.2/ctl/IPConn')
    await expect(upnp(router).map(OWN, options)).rejects.toMatchObject({
      message: expect.stringContaining('maps no ports'),
    })
    expect(router.actions).toEqual([])
  })

  it('reads no endless description', async () => {
    const router = kept(await igd(1, EXTERNAL))
    router.bend = (text) => text + ' '.repeat(200_000)
    await expect(upnp(router).map(OWN, options)).rejects.toMatchObject({
      code: 'malformed',
      message: expect.stringContaining('says too much'),
    })
  })
})

/** What the Router port promises, run on the twin and on real sockets. */
import { afterEach, describe, expect, it } from 'vitest'
import type { OwnPort } from '../../node/ports.ts'
import type { RouterWorld } from '../support/routers/world.ts'

export function routerSuite(name: string, makeWorld: () => Promise<RouterWorld>): void {
  const open: RouterWorld[] = []
  const made = async () => {
    const world = await makeWorld()
    open.push(world)
    return world
  }
  afterEach(() => Promise.all(open.splice(0).map((world) => world.close())))
  const libp2p: OwnPort = { name: 'libp2p', protocol: 'tcp', port: 4_811 }
  const options = { signal: AbortSignal.timeout(60_000) }

  describe(name, () => {
    it('forwards the same number, tells the address outside, and takes it away again', async () => {
      const { router, externalHost, mappings } = await made()
      const mapping = await router.map(libp2p, options)
      expect(mapping).toEqual({
        protocol: 'tcp',
        internalPort: 4_811,
        externalHost,
        externalPort: 4_811,
        lifetimeMs: 3_600_000,
      })
      expect(mappings()).toEqual(['tcp 4811 -> 4811'])
      await router.unmap(mapping, options.signal)
      expect(mappings()).toEqual([])
    })

    it('tells the number outside when another machine has the wanted one, and renews that', async () => {
      const { router, take, mappings } = await made()
      take('tcp', 4_811)
      const { externalPort, internalPort } = await router.map(libp2p, options)
      expect(internalPort).toBe(4_811)
      expect(externalPort).not.toBe(4_811)
      expect(mappings()).toEqual([`tcp ${externalPort} -> 4811`])
      const again = await router.map(libp2p, { ...options, externalPort })
      expect(again.externalPort).toBe(externalPort)
      expect(mappings()).toEqual([`tcp ${externalPort} -> 4811`])
    })

    it('keeps UDP and TCP apart', async () => {
      const { router, mappings } = await made()
      const udp = await router.map({ name: 'bittorrent', protocol: 'udp', port: 6_881 }, options)
      const tcp = await router.map({ name: 'bittorrent', protocol: 'tcp', port: 6_881 }, options)
      expect(mappings().sort()).toEqual(['tcp 6881 -> 6881', 'udp 6881 -> 6881'])
      await router.unmap(tcp, options.signal)
      expect(mappings()).toEqual(['udp 6881 -> 6881'])
      await router.unmap(udp, options.signal)
      expect(mappings()).toEqual([])
    })

    it('takes away what is gone already without an error', async () => {
      const { router, mappings } = await made()
      const mapping = await router.map(libp2p, options)
      await router.unmap(mapping, options.signal)
      await router.unmap(mapping, options.signal)
      expect(mappings()).toEqual([])
    })

    it('says that nobody answers, in bounded time', async () => {
      const { router, off } = await made()
      await off()
      await expect(router.map(libp2p, options)).rejects.toMatchObject({ name: 'RouterError', code: 'absent' })
    })

    it('stops when it is told to', async () => {
      const { router, mappings } = await made()
      const reason = new Error('stopping')
      await expect(router.map(libp2p, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      expect(mappings()).toEqual([])
    })
  })
}

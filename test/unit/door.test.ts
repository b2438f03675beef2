/** The door before the BitTorrent engine, on sockets of loopback. What it lets in is tested with the engine. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Door, type DoorOptions, HANDSHAKE_BYTES } from '../../node/transfer/door.ts'
import type { Infohash } from '../../protocol/ids.ts'
import { handshakeFor } from '../support/raw-peers.ts'

const INFOHASH = 'ab'.repeat(20) as Infohash
const servers: Server[] = []
const sockets: Socket[] = []

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of servers.splice(0)) server.close()
})

async function doorWith(options: Partial<DoorOptions>) {
  const admitted: Socket[] = []
  const server = createServer()
  servers.push(server)
  new Door(server, {
    wake: async () => true,
    admit: (socket) => {
      sockets.push(socket)
      admitted.push(socket)
    },
    ...options,
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  /** A caller from one address of this machine; resolves when it is connected. */
  const call = async (from = '127.0.0.1', bytes: Uint8Array = handshakeFor(INFOHASH)) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from })
    sockets.push(socket)
    socket.on('error', () => {})
    socket.resume()
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    await new Promise((resolve) => socket.once('connect', resolve))
    socket.write(bytes)
    return { socket, closed }
  }
  return { admitted, call }
}

describe('the door before the engine', () => {
  it('hands a connection on with every byte that came, those behind the handshake too', async () => {
    const { admitted, call } = await doorWith({})
    const bytes = Buffer.concat([handshakeFor(INFOHASH), Buffer.from('and more')])
    await call('127.0.0.1', bytes)
    await expect.poll(() => admitted.length).toBe(1)
    const came: Buffer[] = []
    admitted[0]?.on('data', (chunk) => came.push(chunk))
    await expect.poll(() => Buffer.concat(came).toString('latin1')).toBe(bytes.toString('latin1'))
  })

  it('lets the one go that has waited longest when too many say nothing', async () => {
    const { call } = await doorWith({ waitingMax: 2 })
    const silent = Buffer.alloc(1, 0x13)
    const [first] = [await call('127.0.0.1', silent), await call('127.0.0.1', silent)]
    await call('127.0.0.1', silent)
    await first?.closed
  })

  it('takes no more of one address than it may, and others all the same', async () => {
    const { admitted, call } = await doorWith({ perAddressMax: 2 })
    await call('127.0.0.2')
    await call('127.0.0.2')
    await (await call('127.0.0.2')).closed
    await call('127.0.0.3')
    await expect.poll(() => admitted.length).toBe(3)
  })

  it('takes one who comes when all places are taken, and lets one of the most greedy go', async () => {
    const { admitted, call } = await doorWith({ openMax: 3 })
    const greedy = [await call('127.0.0.2'), await call('127.0.0.2')]
    await call('127.0.0.3')
    await expect.poll(() => admitted.length).toBe(3)
    await call('127.0.0.4')
    await greedy[0]?.closed
    await expect.poll(() => admitted.length).toBe(4)
    expect(greedy[1]?.socket.destroyed).toBe(false)
  })

  it('gives the place of one who left to another', async () => {
    const { admitted, call } = await doorWith({ perAddressMax: 1 })
    const first = await call()
    await expect.poll(() => admitted.length).toBe(1)
    admitted[0]?.destroy()
    await first.closed
    await call()
    await expect.poll(() => admitted.length).toBe(2)
  })

  it.each<[string, Uint8Array]>([
    ['noise', Buffer.alloc(HANDSHAKE_BYTES, 0xaa)],
    ['names what is not here', handshakeFor('cd'.repeat(20) as Infohash)],
    ['hangs up at once', Buffer.alloc(0)],
  ])(
    'does not listen to an address any more that says %s again and again, but to others',
    async (_what, bytes) => {
      let woken = 0
      const wake = async (infohash: Infohash) => {
        woken++
        return infohash === INFOHASH
      }
      const { admitted, call } = await doorWith({ wake, wastedMax: 2, forgiveMs: 60_000 })
      for (let i = 0; i < 3; i++) {
        const { socket, closed } = await call('127.0.0.2', bytes)
        socket.end()
        await closed
      }
      const before = woken
      await (await call('127.0.0.2')).closed
      expect(woken).toBe(before)
      await call('127.0.0.3')
      await expect.poll(() => admitted.length).toBe(1)
    },
  )

  it('does not listen to an address any more whose callers are found hostile behind the door', async () => {
    const { admitted, call } = await doorWith({ wastedMax: 0, forgiveMs: 60_000 })
    await call('127.0.0.2')
    await expect.poll(() => admitted.length).toBe(1)
    admitted[0]?.emit('hostile')
    await (await call('127.0.0.2')).closed
    await call('127.0.0.3')
    await expect.poll(() => admitted.length).toBe(2)
  })

  it('forgives an address after a while', async () => {
    const { admitted, call } = await doorWith({ wastedMax: 0, forgiveMs: 100 })
    await (await call('127.0.0.2', Buffer.alloc(HANDSHAKE_BYTES, 0xaa))).closed
    await (await call('127.0.0.2')).closed
    expect(admitted).toHaveLength(0)
    await expect
      .poll(async () => {
        await call('127.0.0.2')
        return admitted.length
      })
      .toBeGreaterThan(0)
  })

  it('hangs up on who hangs up, and on what waking failed for', async () => {
    const { call } = await doorWith({ wake: () => Promise.reject(new Error('no')) })
    await (await call()).closed
    const half = await call('127.0.0.1', handshakeFor(INFOHASH).subarray(0, HANDSHAKE_BYTES - 1))
    half.socket.end()
    await half.closed
  })
})

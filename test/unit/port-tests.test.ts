/** What a node makes of the dial-backs of its peers. */
import { describe, expect, it } from 'vitest'
import type { Network, Peer } from '../../node/ports.ts'
import { PortTests } from '../../node/runtime/port-tests.ts'
import { encodeCbor } from '../../protocol/codec/cbor.ts'
import type { NodeId } from '../../protocol/ids.ts'

const HOUR_MS = 3_600_000

interface Said {
  readonly reached: readonly boolean[]
  readonly host: string
}

function world() {
  let nowMs = 1_000_000
  let asked = 0
  let said: Said | null = null
  const heard: boolean[] = []
  const network = {
    request: async () => {
      asked++
      return said === null ? new Uint8Array() : encodeCbor(said)
    },
  } as unknown as Network
  const tests = new PortTests({
    network,
    ports: () => [
      { name: 'libp2p', port: 4_811 },
      { name: 'bittorrent', port: 6_881 },
    ],
    clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
    heard: (reachable) => heard.push(reachable),
  })
  let peers = 0
  /** A new peer at that address answers so. */
  const ask = async (address: string, answer: Said | null) => {
    said = answer
    const peer: Peer = { nodeId: `12D3KooW${peers++}` as NodeId, address }
    await tests.ask(peer)
  }
  return { tests, heard, ask, asked: () => asked, pass: (ms: number) => (nowMs += ms) }
}

const both = (host: string): Said => ({ reached: [true, true], host })
const none = (host: string): Said => ({ reached: [false, false], host })
const OURS = '9.9.9.7'

describe('port tests', () => {
  it('believe one peer from outside that it reached us, and two that they did not', async () => {
    const { tests, ask } = world()
    expect(tests.isReached('libp2p')).toBeNull()
    await ask('192.168.1.3', both('192.168.1.2'))
    expect(tests.isReached('libp2p'), 'at home').toBeNull()
    await ask('8.1.1.1', none(OURS))
    expect(tests.isReached('libp2p')).toBeNull()
    await ask('8.2.2.2', none(OURS))
    expect(tests.isReached('libp2p')).toBe(false)
    await ask('8.3.3.3', both(OURS))
    expect(tests.isReached('libp2p')).toBe(true)
    expect(tests.reached('libp2p', 'ipv4')).toMatchObject({
      reachedBy: 2,
      reachedFromOutsideBy: 1,
      missedBy: 2,
    })
  })

  it('believe an address that reached us when two networks say it, and not two peers of one', async () => {
    const { tests, ask } = world()
    await ask('8.1.1.1', both(OURS))
    await ask('8.1.1.2', both(OURS))
    expect(tests.seenHost('libp2p', 'ipv4')).toBeNull()
    await ask('8.2.2.2', both('9.9.9.8'))
    expect(tests.seenHost('libp2p', 'ipv4')).toBeNull()
    await ask('8.3.3.3', both(OURS))
    expect(tests.seenHost('libp2p', 'ipv4')).toBe(OURS)
    expect(tests.seenHost('libp2p', 'ipv6')).toBeNull()
  })

  it.each([
    ['a private address', both('192.168.1.2')],
    ['text that is no address', both('evil.example.org')],
    ['an address of the other family', both('2a00:1450::1')],
    ['an address at which they did not get in', none(OURS)],
  ])('believe nobody that names %s', async (_what, answer) => {
    const { tests, ask } = world()
    for (const address of ['8.1.1.1', '8.2.2.2', '8.3.3.3']) await ask(address, answer)
    expect(tests.seenHost('libp2p', 'ipv4')).toBeNull()
  })

  it('keep the two families apart', async () => {
    const { tests, ask } = world()
    await ask('2a00:1450::1', both('2a01::7'))
    await ask('2a00:1460:1::1', both('2a01::7'))
    expect(tests.reached('bittorrent', 'ipv6')).toMatchObject({ reachedBy: 2, reachedFromOutsideBy: 2 })
    expect(tests.reached('bittorrent', 'ipv4')).toMatchObject({ reachedBy: 0, missedBy: 0 })
    expect(tests.seenHost('bittorrent', 'ipv6')).toBe('2a01::7')
  })

  it('ask nobody over a relay, four an hour over a family, and again after that', async () => {
    const { ask, asked, pass } = world()
    await ask('', both(OURS))
    expect(asked()).toBe(0)
    for (let number = 1; number < 10; number++) await ask(`8.${number}.1.1`, both(OURS))
    expect(asked()).toBe(4)
    pass(HOUR_MS)
    await ask('8.99.1.1', both(OURS))
    expect(asked()).toBe(5)
  })

  it('stay with what one peer said of BitTorrent once it was reached, and learn nothing of who does not answer', async () => {
    const { tests, heard, ask } = world()
    await ask('127.0.0.1', null)
    await ask('127.0.0.1', { reached: [true], host: OURS })
    expect(heard).toEqual([])
    await ask('127.0.0.1', none('127.0.0.1'))
    await ask('127.0.0.1', both('127.0.0.1'))
    await ask('127.0.0.1', none('127.0.0.1'))
    expect(heard).toEqual([false, true])
    tests.forget()
    expect(tests.reached('bittorrent', 'ipv4')).toMatchObject({
      reachedBy: 0,
      missedBy: 0,
      reachedAtMs: null,
    })
  })

  it('remember thirty-two peers of a family', async () => {
    const { tests, ask } = world()
    for (let number = 0; number < 40; number++) await ask(`8.${number}.1.1`, none(OURS))
    expect(tests.reached('libp2p', 'ipv4').missedBy).toBe(32)
  })
})

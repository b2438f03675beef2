/**
 * One port from which all connections to public addresses are made, so that a router gives them all one address outside, at
 * which somebody whom we dial at that moment gets in (RFC 5382, REQ-1). It is not the port that we listen on: the kernel lets
 * nobody dial from that (docs/decisions/0038).
 */
import { randomInt } from 'node:crypto'
import { isIPv4 } from 'node:net'
import type { Connection, DialTransportOptions } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import type { Multiaddr } from '@multiformats/multiaddr'
import { networkOfAddress } from '../../protocol/placement/network.ts'
import type { NatMapping } from '../ports.ts'
import { errorCode } from '../system-error.ts'
import { type TcpAddress, tcpAddressIn } from './multiaddrs.ts'

/** RFC 6335, section 6: dynamic ports. */
const PORT_MIN = 49_152
const PORT_MAX = 65_535
/** So many peers that see one address, or each another, and we know what the router does. */
const WITNESSES = 2

type TcpTransport = ReturnType<ReturnType<typeof tcp>>
type Dial = (address: Multiaddr, options: DialTransportOptions) => Promise<Connection>

/** How our port looks from outside, by one family of addresses. */
export interface Outside extends TcpAddress {
  readonly mapping: NatMapping
}

export class DialPort {
  readonly #tcp: typeof tcp
  #port = randomPort()
  #dial: Dial | null = null
  readonly #madeFrom = new WeakMap<Connection, number>()
  readonly #seenAt = new WeakMap<Connection, TcpAddress>()

  constructor(makeTcp: typeof tcp = tcp) {
    this.#tcp = makeTcp
  }

  /** libp2p's TCP, dialling from this port, and from any other when this one cannot be had. */
  transport(): ReturnType<typeof tcp> {
    return (components) => {
      const transport: TcpTransport = this.#tcp()(components)
      const dial: Dial = transport.dial.bind(transport)
      this.#dial = dial
      transport.dial = async (address, options) => {
        if (publicAddress(address) === null) return dial(address, options)
        try {
          return await this.dial(address, options)
        } catch (error) {
          if (!isPortTaken(error)) throw error
          return dial(address, options)
        }
      }
      return transport
    }
  }

  /** Rejects with EADDRINUSE or EADDRNOTAVAIL when it cannot be dialled from here. */
  async dial(address: Multiaddr, options: DialTransportOptions): Promise<Connection> {
    const to = publicAddress(address)
    if (this.#dial === null || to === null) throw new Error(`${address.toString()} is not dialled from here`)
    const localPort = this.#port
    const bound = { ...options, localPort, localAddress: isIPv4(to.host) ? '0.0.0.0' : '::' }
    try {
      const connection = await this.#dial(address, bound)
      this.#madeFrom.set(connection, localPort)
      return connection
    } catch (error) {
      // Somebody listens there by now. A connection from here to that address which stands or has just ended is EADDRNOTAVAIL.
      if (errorCode(error) === 'EADDRINUSE' && localPort === this.#port) this.#port = randomPort()
      throw error
    }
  }

  /** Where the other end of a connection says that it sees ours; in another family than it was dialled in nobody can. */
  saw(connection: Connection, address: Multiaddr | undefined): void {
    const seen = address === undefined ? null : publicAddress(address)
    const dialled = publicAddress(connection.remoteAddr)
    if (seen === null || dialled === null || isIPv4(seen.host) !== isIPv4(dialled.host)) return
    this.#seenAt.set(connection, seen)
  }

  /** By what the peers at the other end of these connections say: `outsideOf`. */
  outside(connections: readonly Connection[]): Outside[] {
    const fromHere = connections.filter((one) => this.#madeFrom.get(one) === this.#port)
    return outsideOf(fromHere.flatMap((one) => this.#seenAt.get(one) ?? []))
  }
}

/** One for each family in which peers see us, IPv6 first: what most of them say, each of whom may lie. */
export function outsideOf(seen: readonly TcpAddress[]): Outside[] {
  const counts = new Map<string, { readonly address: TcpAddress; count: number }>()
  for (const address of seen) {
    const key = `${address.host} ${address.port}`
    const counted = counts.get(key) ?? { address, count: 0 }
    counted.count++
    counts.set(key, counted)
  }
  const rows = [...counts.values()].sort((a, b) => b.count - a.count)
  return [false, true].flatMap((wantsIpv4) => {
    const [best, ...others] = rows.filter(({ address }) => isIPv4(address.host) === wantsIpv4)
    if (best === undefined) return []
    if (best.count >= WITNESSES) return { ...best.address, mapping: 'same' }
    return { ...best.address, mapping: others.length + 1 >= WITNESSES ? 'changing' : 'unknown' }
  })
}

/** Host and port of a direct TCP address that is public, whatever follows them; null for any other. */
export function publicAddress(address: Multiaddr): TcpAddress | null {
  const text = address.toString()
  if (text.includes('/p2p-circuit')) return null
  const found = tcpAddressIn(text.split('/').slice(0, 5).join('/'))
  return found === null || networkOfAddress(found.host) === null ? null : found
}

function isPortTaken(error: unknown): boolean {
  return ['EADDRINUSE', 'EADDRNOTAVAIL'].includes(errorCode(error) ?? '')
}

function randomPort(): number {
  return randomInt(PORT_MIN, PORT_MAX + 1)
}

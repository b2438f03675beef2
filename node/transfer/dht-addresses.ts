/**
 * Addresses as they stand in datagrams of the DHT, and as its package knows them. It has IPv4 only: over IPv6 (BEP 32) it is given a
 * stand-in for each address, out of 240.0.0.0/4, which nobody has (RFC 1112 4), and what it sends there goes to whom it stands for.
 */
import { isIPv4, SocketAddress } from 'node:net'
import { parseIpv6 } from '../../protocol/placement/network.ts'

export type Family = 'ipv4' | 'ipv6'

/** `inner` is the package's side, `outer` the network's. */
export interface DhtAddresses {
  readonly family: Family
  /** Of an address in compact form. */
  readonly bytes: 4 | 16
  /** Name of the list of nodes in an answer (BEP 5, 32). */
  readonly nodesKey: 'nodes' | 'nodes6'
  /** Peers in an answer of ours: it should fit into one datagram that no link divides. */
  readonly peersMax: number
  /** Null when it is no address of this family. */
  inner(host: string): string | null
  /** Null when it stands for nobody any more. */
  outer(host: string): string | null
  innerBytes(address: Uint8Array): Uint8Array
  outerBytes(address: Uint8Array): Uint8Array | null
  /** The package remembers the peer there for as long as ANNOUNCED_MS. */
  keep(innerHost: string): void
  /** As text, of the network's side. */
  textOf(address: Uint8Array): string
  /** What one machine has for itself: an address, or a /64 of them (RFC 4291). */
  machineOf(host: string): string
}

export const IPV4: DhtAddresses = {
  family: 'ipv4',
  bytes: 4,
  nodesKey: 'nodes',
  peersMax: 50,
  inner: (host) => (isIPv4(host) ? host : null),
  outer: (host) => host,
  innerBytes: (address) => address,
  outerBytes: (address) => address,
  keep: () => {},
  textOf: (address) => address.join('.'),
  machineOf: (host) => host,
}

/** Peers of others that the package remembers, of all torrents. Programs forget one that was not announced for half an hour. */
export const ANNOUNCED_MAX = 2_000
export const ANNOUNCED_MS = 30 * 60_000
/** 10 MB at most. The table has some hundreds, eight look-ups as many each; peers of others 2,000. */
const STAND_INS_MAX = 16_384
const FIRST = 0xf000_0000
const COUNT = 0x0fff_ffff

interface StandIn {
  readonly number: number
  /** As `innerBytes` gives it. */
  readonly inner: Uint8Array
  readonly host: string
  readonly outer: Uint8Array
}

export class Ipv6StandIns implements DhtAddresses {
  readonly family = 'ipv6'
  readonly bytes = 16
  readonly nodesKey = 'nodes6'
  readonly peersMax = 25
  /** By address in hex; the longest unused first. */
  readonly #byAddress = new Map<string, StandIn>()
  readonly #byNumber = new Map<number, StandIn>()
  /** Since when, by number; the latest last. */
  readonly #kept = new Map<number, number>()
  #last = 0

  get size(): number {
    return this.#byAddress.size
  }

  inner(host: string): string | null {
    const groups = parseIpv6(host)
    // An IPv4 address in other clothes (RFC 4291 2.5.5.2) cannot be sent to by IPv6.
    if (groups === null || groups.slice(0, 6).join() === '0,0,0,0,0,65535') return null
    const address = Buffer.alloc(16)
    for (const [at, group] of groups.entries()) address.writeUInt16BE(group, 2 * at)
    return this.innerBytes(address).join('.')
  }

  outer(host: string): string | null {
    return this.#used(Buffer.from(host.split('.').map(Number)))?.host ?? null
  }

  innerBytes(address: Uint8Array): Uint8Array {
    const key = Buffer.from(address).toString('hex')
    const known = this.#byAddress.get(key)
    if (known !== undefined) return this.#touch(key, known).inner
    this.#last = (this.#last % COUNT) + 1
    const number = FIRST + this.#last
    const inner = Buffer.alloc(4)
    inner.writeUInt32BE(number)
    const made: StandIn = { number, inner, host: this.textOf(address), outer: Uint8Array.from(address) }
    this.#byAddress.set(key, made)
    this.#byNumber.set(number, made)
    if (this.#byAddress.size > STAND_INS_MAX) this.#forgetOne()
    return inner
  }

  outerBytes(address: Uint8Array): Uint8Array | null {
    return this.#used(address)?.outer ?? null
  }

  keep(innerHost: string): void {
    const number = Buffer.from(innerHost.split('.').map(Number)).readUInt32BE()
    this.#kept.delete(number)
    this.#kept.set(number, performance.now())
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > ANNOUNCED_MAX && oldest !== undefined) this.#kept.delete(oldest)
  }

  /** As the system writes it (RFC 5952). */
  textOf(address: Uint8Array): string {
    const hex = Buffer.from(address).toString('hex')
    const text = hex.replace(/.{4}(?=.)/g, '$&:')
    return new SocketAddress({ address: text, family: 'ipv6' }).address
  }

  machineOf(host: string): string {
    return parseIpv6(host)?.slice(0, 4).join(':') ?? host
  }

  #used(inner: Uint8Array): StandIn | undefined {
    const found = this.#byNumber.get(Buffer.from(inner).readUInt32BE())
    return found && this.#touch(Buffer.from(found.outer).toString('hex'), found)
  }

  #touch(key: string, one: StandIn): StandIn {
    this.#byAddress.delete(key)
    this.#byAddress.set(key, one)
    return one
  }

  #forgetOne(): void {
    const sinceMs = performance.now() - ANNOUNCED_MS
    for (const [key, one] of this.#byAddress) {
      if ((this.#kept.get(one.number) ?? Number.NEGATIVE_INFINITY) > sinceMs) this.#touch(key, one)
      else {
        this.#byAddress.delete(key)
        this.#byNumber.delete(one.number)
        this.#kept.delete(one.number)
        return
      }
    }
  }
}

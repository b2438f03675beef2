/**
 * Where others reach this node: the addresses that it listens on, those that a home router forwards when the operator asked for
 * it, and what dial-backs say of them. Tells the core whenever that changes.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import type { Event } from '../../protocol/core/event.ts'
import { ENDPOINTS_MAX } from '../../protocol/limits.ts'
import { networkOfAddress } from '../../protocol/placement/network.ts'
import { hostsOf, isLoopback } from '../net/addresses.ts'
import type { Sleep } from '../origin/pace.ts'
import type { Clock, Log, NatMapping, Network, OwnPort, Router, TorrentPeer } from '../ports.ts'
import { type MappedPort, PortMapper } from '../router/port-mapper.ts'
import { type Family, NOT_TESTED, type PortReached, PortTests, type TestedPort } from './port-tests.ts'

export interface ReachParts {
  readonly network: Network
  /** BitTorrent's, as they are listened on, or under the host that the operator announces. */
  readonly endpoints: readonly TorrentPeer[]
  /** UDP, where the DHT runs. */
  readonly dhtPort: number | null
  readonly announceHost: string | null
  /** Empty: no router is asked for anything. */
  readonly routers: readonly Router[]
  readonly bittorrentHost: string
  /** Called with where a router lets BitTorrent peers in, whenever that changes; null: nowhere. */
  readonly onOutside: (endpoint: TorrentPeer | null) => void
  /** Requests may be passed on, for others or by others for this node. */
  readonly relay: boolean
  readonly clock: Clock
  readonly sleep: Sleep
  readonly random: () => number
  readonly log: Log
  readonly dispatch: (event: Event) => void
}

/** For status: a port that others should reach, what a router does for it, and who reached it. */
export interface PortStatus extends OwnPort {
  /** What a router does for it; null: none was asked. */
  readonly forwarding: {
    /** `NAT-PMP`, `UPnP`; null: nobody forwards it. */
    readonly by: string | null
    readonly externalHost: string | null
    readonly externalPort: number | null
    readonly error: string | null
  } | null
  readonly ipv4: PortReached
  readonly ipv6: PortReached
  /** For libp2p: what routers make of connections that the node makes; null for BitTorrent, which punches no holes. */
  readonly natMapping: NatMapping | null
}

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6']

export class Reach {
  readonly tests: PortTests
  readonly #parts: ReachParts
  #mapper: PortMapper | null = null
  #told = ''
  #isReached: boolean | null = null

  constructor(parts: ReachParts) {
    this.#parts = parts
    this.tests = new PortTests({
      network: parts.network,
      ports: (family) => this.#testedPorts(family),
      clock: parts.clock,
      heard: (reachable) => parts.dispatch({ kind: 'reachability', reachable }),
      tested: () => this.#tested(),
    })
  }

  /** Once the network listens. */
  start(): void {
    const { network, routers } = this.#parts
    network.onAddresses(() => this.#tell())
    const ports = this.#ownPorts().filter((one) => one.isOpen)
    if (routers.length > 0) {
      this.#mapper = new PortMapper({
        ...this.#parts,
        ports: ports.map(({ name, protocol, port }) => ({ name, protocol, port })),
        changed: () => this.#mapped(),
      })
      this.#mapper.start()
    }
    this.#external()
  }

  async stop(): Promise<void> {
    await this.#mapper?.stop()
  }

  ports(): PortStatus[] {
    const mapped = this.#mapper?.ports() ?? []
    const own = this.#ownPorts()
    return own.map(({ name, protocol, port }, index) => {
      const one = mapped.find((row) => row.name === name && row.port === port)
      const forwarding =
        one === undefined
          ? null
          : {
              by: one.by,
              externalHost: one.mapping?.externalHost ?? null,
              externalPort: one.mapping?.externalPort ?? null,
              error: one.error,
            }
      // Peers dial back by TCP. Of two for BitTorrent the first is tested: where the seeds are.
      const isTested = protocol === 'tcp' && own.findIndex((one) => one.name === name) === index
      const reached = (family: Family) => (isTested ? this.tests.reached(name, family) : NOT_TESTED)
      const natMapping = name === 'libp2p' ? this.#parts.network.natMapping() : null
      return { name, protocol, port, forwarding, ipv4: reached('ipv4'), ipv6: reached('ipv6'), natMapping }
    })
  }

  /** `isOpen`: other machines get there by IPv4, so there is something to forward. */
  #ownPorts(): (OwnPort & { readonly isOpen: boolean })[] {
    const { network, endpoints, bittorrentHost, dhtPort } = this.#parts
    const listens = network.listens()
    const open = listens.filter(({ host }) => !isLoopback(host))
    const [best = listens[0]] = [...open.filter(({ host }) => isIPv4(host)), ...open]
    const libp2p = best === undefined ? [] : [{ name: 'libp2p' as const, ...best }]
    const bittorrent = endpoints.map(({ port }) => ({
      name: 'bittorrent' as const,
      host: bittorrentHost,
      port,
    }))
    const dht = dhtPort === null ? [] : [{ name: 'dht' as const, host: bittorrentHost, port: dhtPort }]
    return [...libp2p, ...bittorrent, ...dht].map(({ name, host, port }) => ({
      name,
      protocol: name === 'dht' ? 'udp' : 'tcp',
      port,
      isOpen: !isLoopback(host) && (host === '::' || !isIPv6(host)),
    }))
  }

  /** libp2p's, where it listens by that family, and that of the seeds, which comes first. */
  #testedPorts(family: Family): TestedPort[] {
    const tested = new Map<OwnPort['name'], TestedPort>()
    for (const own of this.#ownPorts()) {
      if (own.protocol === 'udp') continue
      const port = own.name === 'libp2p' ? this.#libp2pPort(family, own.port) : own.port
      if (port === null || tested.has(own.name)) continue
      const mapping = family === 'ipv4' ? this.#mappingOf(own.name, port) : null
      tested.set(own.name, { name: own.name, port: mapping?.externalPort ?? port })
    }
    return [...tested.values()]
  }

  /** The wanted one, or another of that family; null when there is none. */
  #libp2pPort(family: Family, wanted: number): number | null {
    const isOfFamily = family === 'ipv4' ? isIPv4 : isIPv6
    const ports = this.#parts.network.listens().filter(({ host }) => isOfFamily(host))
    return (ports.find(({ port }) => port === wanted) ?? ports[0])?.port ?? null
  }

  #mappingOf(name: OwnPort['name'], port: number): MappedPort['mapping'] {
    return this.#mapper?.ports().find((row) => row.name === name && row.port === port)?.mapping ?? null
  }

  #mapped(): void {
    const { network, endpoints, onOutside, log } = this.#parts
    const mapping = endpoints[0] === undefined ? null : this.#mappingOf('bittorrent', endpoints[0].port)
    onOutside(mapping === null ? null : { host: mapping.externalHost, port: mapping.externalPort })
    this.tests.forget()
    this.#external()
    for (const peer of network.peers())
      this.tests.ask(peer).catch((error: unknown) => log.error({ error }, 'a port test failed'))
  }

  #tested(): void {
    const { network, relay, log } = this.#parts
    this.#external()
    const isReached = this.tests.isReached('libp2p')
    if (!relay || isReached === null || isReached === this.#isReached) return
    this.#isReached = isReached
    network.setReachable(isReached).catch((error: unknown) => {
      log.warn({ error, isReached }, 'relaying could not be set up')
    })
  }

  /** libp2p tells only private addresses by itself. Public ones: our own, what a router forwards, where peers reached us. */
  #external(): void {
    const { network } = this.#parts
    const found = network.listens().filter(({ host }) => networkOfAddress(host) !== null)
    for (const { name, mapping } of this.#mapper?.ports() ?? [])
      if (name === 'libp2p' && mapping !== null)
        found.push({ host: mapping.externalHost, port: mapping.externalPort })
    for (const family of FAMILIES) {
      const host = this.tests.seenHost('libp2p', family)
      const port = this.#testedPorts(family).find(({ name }) => name === 'libp2p')?.port
      if (host !== null && port !== undefined) found.push({ host, port })
    }
    network.setExternal([...new Set(found.map(({ host, port }) => `/ip${isIP(host)}/${host}/tcp/${port}`))])
    this.#tell()
  }

  #tell(): void {
    const { network, dispatch } = this.#parts
    const libp2p = network.addresses().slice(0, ENDPOINTS_MAX)
    const endpoints = { libp2p, bittorrent: this.#bittorrent() }
    // Each time that the core hears of it, all others do.
    const told = JSON.stringify(endpoints)
    if (told === this.#told) return
    this.#told = told
    dispatch({ kind: 'endpoints', ...endpoints })
  }

  #bittorrent(): TorrentPeer[] {
    const { endpoints, announceHost } = this.#parts
    const told: TorrentPeer[] = []
    for (const { host, port } of endpoints) {
      const mapping = this.#mappingOf('bittorrent', port)
      if (mapping !== null)
        told.push({ host: announceHost ?? mapping.externalHost, port: mapping.externalPort })
      const isTested = mapping === null && announceHost === null && told.length === 0
      for (const family of isTested ? FAMILIES : []) {
        const seen = this.tests.seenHost('bittorrent', family)
        if (seen !== null) told.push({ host: seen, port })
      }
      if (announceHost === null) told.push(...hostsOf(host).map((one) => ({ host: one, port })))
      else if (mapping === null) told.push({ host, port })
    }
    const isFirst = ({ host, port }: TorrentPeer, index: number) =>
      told.findIndex((one) => one.host === host && one.port === port) === index
    return told.filter(isFirst).slice(0, ENDPOINTS_MAX)
  }
}

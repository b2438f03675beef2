/**
 * Hole punching by TCP through two routers (libp2p DCUtR): two nodes that talk over a relay tell each other their addresses
 * outside, and dial each other at the same moment from the ports behind those. Each router lets in what it takes for an answer.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type DCUtRServiceComponents, dcutr } from '@libp2p/dcutr'
import type { Connection, Libp2p, PeerId, Upgrader } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Log } from '../ports.ts'
import { errorCode } from '../system-error.ts'
import { type DialPort, publicAddress } from './dial-port.ts'
import { nodeIdOfAddress } from './names.ts'

/** For one try, of which there are few: most that work do at once. */
const TRY_MS = 5_000
const TRIES = 2
/** Each relayed connection leads to one. */
const PUNCHES_MAX = 16
/** A router that refuses is asked again, at a moment that the other side does not share. */
const AGAIN_MS_MIN = 20
const AGAIN_MS_MAX = 150

type OpenConnection = ConnectionManager['openConnection']

interface Components extends DCUtRServiceComponents {
  readonly peerId: PeerId
  readonly upgrader: Upgrader
  readonly events: Pick<Libp2p, 'addEventListener'>
}

export class Punch {
  readonly #port: DialPort
  readonly #log: Log
  #open = 0

  constructor(port: DialPort, log: Log) {
    this.#port = port
    this.#log = log
  }

  /** DCUtR, to whom an address is one of this port outside, and a dial one from it. */
  service(): (components: Components) => unknown {
    return (components) => {
      const { connectionManager, addressManager, peerStore, registrar, transportManager, logger } = components
      components.events.addEventListener('peer:identify', ({ detail }) => {
        this.#port.saw(detail.connection, detail.observedAddr)
      })
      return dcutr({ timeout: TRY_MS, retries: TRIES })({
        peerStore,
        registrar,
        transportManager,
        logger,
        addressManager: Object.create(addressManager, {
          getAddresses: { value: () => this.#addresses(components) },
        }),
        connectionManager: Object.create(connectionManager, {
          openConnection: { value: this.#openConnection(components) },
        }),
      })
    }
  }

  #addresses({ connectionManager, peerId }: Components): Multiaddr[] {
    return this.#port.outside(connectionManager.getConnections()).flatMap(({ host, port, mapping }) => {
      if (mapping === 'changing') return []
      return multiaddr(`/ip${host.includes(':') ? 6 : 4}/${host}/tcp/${port}/p2p/${peerId.toString()}`)
    })
  }

  #openConnection(components: Components): OpenConnection {
    const open: OpenConnection = (to, options) => components.connectionManager.openConnection(to, options)
    return async (to, options = {}) => {
      // Without a priority it is the call back to who has a public address.
      if (options.priority === undefined || options.signal === undefined || !Array.isArray(to))
        return open(to, options)
      const { signal, initiator = true } = options
      const address = this.#target(to, components)
      if (this.#open >= PUNCHES_MAX) throw new Error('too many holes are punched at once')
      this.#open++
      try {
        const upgrader = initiator ? components.upgrader : answering(components.upgrader)
        const connection = await this.#dial(address, { signal, initiator, upgrader })
        this.#log.debug({ address: address.toString() }, 'punched a hole through both routers')
        return connection
      } catch (error) {
        this.#log.debug({ address: address.toString(), error }, 'no hole could be punched')
        throw error
      } finally {
        this.#open--
      }
    }
  }

  /** One address, which the other side chooses too: of the first family that both have. */
  #target(theirs: readonly Multiaddr[], components: Components): Multiaddr {
    const ours = this.#addresses(components).map((address) => address.getComponents()[0]?.name)
    for (const family of ours) {
      const found = theirs.find(
        (one) => publicAddress(one) !== null && one.getComponents()[0]?.name === family,
      )
      if (found !== undefined && nodeIdOfAddress(found.toString()) !== null) return found
    }
    throw new Error('no family of addresses in common')
  }

  /** Again and again until the signal: who dials before the other is refused, by many routers. */
  async #dial(
    address: Multiaddr,
    options: { readonly signal: AbortSignal; readonly initiator: boolean; readonly upgrader: Upgrader },
  ): Promise<Connection> {
    for (;;) {
      try {
        return await this.#port.dial(address, { ...options })
      } catch (error) {
        if (options.signal.aborted || errorCode(error) !== 'ECONNREFUSED') throw error
      }
      const againMs = AGAIN_MS_MIN + Math.random() * (AGAIN_MS_MAX - AGAIN_MS_MIN)
      await sleep(againMs, undefined, { signal: options.signal })
    }
  }
}

/** libp2p's yamux numbers streams by who dialled, and here both did: one of them counts as dialled. */
function answering(upgrader: Upgrader): Upgrader {
  const upgradeOutbound: Upgrader['upgradeOutbound'] = (connection, options) => {
    connection.direction = 'inbound'
    return upgrader.upgradeOutbound(connection, options)
  }
  return Object.create(upgrader, { upgradeOutbound: { value: upgradeOutbound } })
}

/**
 * Requests to nodes that nobody can dial go through nodes that others do reach (libp2p circuit relay v2): little, for a short
 * time, and encrypted from end to end. Bytes of dumps never go this way, since BitTorrent does not speak it.
 */
import {
  type CircuitRelayServerComponents,
  type CircuitRelayService,
  circuitRelayServer,
  circuitRelayTransport,
} from '@libp2p/circuit-relay-v2'
import { start, stop } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import { networkOfAddress } from '../../protocol/placement/network.ts'

/** How many relays a node asks for that cannot be dialled: one may go away. */
export const RELAYS_WANTED = 2
/** Addresses through relays that a node tells. */
const RELAYED_ADDRESSES_MAX = 4
/** Nodes that one relay passes requests on to. */
const RESERVATIONS_MAX = 16
const RESERVATION_MS = 3_600_000
/** A request and its answer, both the largest, and what Noise and yamux add: room for two of them. */
export const RELAYED_BYTES_MAX = 4 * STREAM_MESSAGE_BYTES_MAX + 64 * 1024
const RELAYED_MS_MAX = 2 * 60_000
/** Relayed connections that one peer opens at once, and that lead to one peer. */
const FROM_PEER_MAX = 4
const TO_PEER_MAX = 16
/** Of all together; so a relay passes on 2 MiB a second at the very most. */
const OPENED_PER_MINUTE_MAX = 30
const HOP_MS = 15_000
const MINUTE_MS = 60_000

/** Lets a node be reached through others, and dial who is. */
export function relayTransport(): ReturnType<typeof circuitRelayTransport> {
  return circuitRelayTransport({
    maxReservationQueueLength: RESERVATIONS_MAX,
    maxInboundStopStreams: TO_PEER_MAX,
    maxOutboundStopStreams: TO_PEER_MAX,
  })
}

/** Passes requests on, once it is told to. */
export class Relay {
  readonly #components: CircuitRelayServerComponents
  #server: CircuitRelayService | null = null

  constructor(components: CircuitRelayServerComponents) {
    this.#components = components
  }

  async offer(): Promise<void> {
    if (this.#server !== null) return
    const server = circuitRelayServer({
      hopTimeout: HOP_MS,
      maxInboundHopStreams: FROM_PEER_MAX,
      maxOutboundHopStreams: FROM_PEER_MAX,
      maxOutboundStopStreams: TO_PEER_MAX,
      reservations: {
        maxReservations: RESERVATIONS_MAX,
        reservationTtl: RESERVATION_MS,
        defaultDurationLimit: RELAYED_MS_MAX,
        defaultDataLimit: BigInt(RELAYED_BYTES_MAX),
      },
    })(this.#components)
    this.#server = server
    await start(server)
  }

  async end(): Promise<void> {
    await stop(this.#server)
  }
}

/** Whether one more relayed connection may be opened: a number a minute. */
export class RelayPace {
  readonly #monotonicMs: () => number
  #sinceMs = 0
  #opened = 0

  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs
  }

  admits(): boolean {
    const nowMs = this.#monotonicMs()
    if (nowMs - this.#sinceMs >= MINUTE_MS) {
      this.#sinceMs = nowMs
      this.#opened = 0
    }
    return this.#opened++ < OPENED_PER_MINUTE_MAX
  }
}

/** Listened on, it has libp2p look for a relay among the peers. */
export const ANY_RELAY = multiaddr('/p2p-circuit')

export function isRelayed(address: string): boolean {
  return address.includes('/p2p-circuit')
}

/** Direct addresses, then a few of those through relays: relays at public addresses first. */
export function addressesToTell(addresses: readonly string[]): string[] {
  const rank = (address: string) => (networkOfAddress(address.split('/')[2] ?? '') === null ? 1 : 0)
  const relayed = addresses.filter(isRelayed).sort((a, b) => rank(a) - rank(b))
  return [...addresses.filter((one) => !isRelayed(one)), ...relayed.slice(0, RELAYED_ADDRESSES_MAX)]
}

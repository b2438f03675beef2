/**
 * Whether others reach our ports: connected peers are asked to dial back (PROTOCOL 4), a few an hour over IPv4 and IPv6 each.
 * What they said last is kept, for status; the first who reached BitTorrent's port makes the node count as reachable.
 */
import { isIP } from 'node:net'
import type { NodeId } from '../../protocol/ids.ts'
import { networkOfAddress } from '../../protocol/placement/network.ts'
import { askReachable } from '../net/dialback.ts'
import type { Clock, Network, OwnPort, Peer } from '../ports.ts'

export type Family = 'ipv4' | 'ipv6'

/** What is dialled: the number outside, where a router forwards another. */
export type TestedPort = Pick<OwnPort, 'name' | 'port'>

/** What peers said of one port over one family of addresses; each peer's last word. */
export interface PortReached {
  readonly reachedBy: number
  /** Of these, peers at public addresses: others may be in the same home. */
  readonly reachedFromOutsideBy: number
  readonly missedBy: number
  /** Unix ms; null: nobody did. */
  readonly reachedAtMs: number | null
}

export const NOT_TESTED: PortReached = {
  reachedBy: 0,
  reachedFromOutsideBy: 0,
  missedBy: 0,
  reachedAtMs: null,
}

export interface PortTestsParts {
  readonly network: Network
  /** As they are now. */
  readonly ports: (family: Family) => readonly TestedPort[]
  readonly clock: Clock
  /** Was BitTorrent's port reached? */
  readonly heard: (reachable: boolean) => void
  /** Something new is known. */
  readonly tested?: () => void
}

/** So many that reach us are enough to know, for a family and an hour. */
const WITNESSES = 4
const WITNESSES_OF_SILENCE = 2
const WITNESSES_OF_ADDRESS = 2
const VALID_MS = 3_600_000
/** Of each family. */
const ANSWERS_MAX = 32

interface Answer {
  readonly atMs: number
  /** Of the peer; null: it is no public one, so perhaps in the same home. */
  readonly network: string | null
  /** Where it says that it reached us; null: nowhere public. */
  readonly host: string | null
  readonly reached: ReadonlyMap<OwnPort['name'], boolean>
}

export class PortTests {
  readonly #parts: PortTestsParts
  readonly #answers: Readonly<Record<Family, Map<NodeId, Answer>>> = { ipv4: new Map(), ipv6: new Map() }
  #isReachable = false

  constructor(parts: PortTestsParts) {
    this.#parts = parts
  }

  /** Asks this peer, unless enough is known. Never rejects for what the peer does. */
  async ask(peer: Peer): Promise<void> {
    const { network, clock, heard } = this.#parts
    // Over a relay the peer sees no address of ours, and could dial none.
    if (peer.address === '') return
    const family = peer.address.includes(':') ? 'ipv6' : 'ipv4'
    const answers = this.#answers[family]
    const sinceMs = clock.wallMs() - VALID_MS
    const known = [...answers.values()].filter((one) => one.atMs > sinceMs && isComplete(one))
    const ports = this.#parts.ports(family)
    if (ports.length === 0 || known.length >= WITNESSES) return
    const numbers = ports.map(({ port }) => port)
    const answer = await askReachable(network, peer.nodeId, numbers)
    if (answer === null) return
    const isOfFamily = isIP(answer.host) === (family === 'ipv4' ? 4 : 6)
    const host = isOfFamily && networkOfAddress(answer.host) !== null ? answer.host : null
    const said = new Map(ports.map(({ name }, index) => [name, answer.reached[index] === true]))
    answers.delete(peer.nodeId)
    const [oldest] = answers.keys()
    if (answers.size >= ANSWERS_MAX && oldest !== undefined) answers.delete(oldest)
    answers.set(peer.nodeId, {
      atMs: clock.wallMs(),
      network: networkOfAddress(peer.address),
      host,
      reached: said,
    })
    // Once somebody reached us that stands; a later failure may be the other's.
    const bittorrent = said.get('bittorrent')
    if (!this.#isReachable && bittorrent !== undefined) {
      this.#isReachable = bittorrent
      heard(bittorrent)
    }
    this.#parts.tested?.()
  }

  /** Do peers from outside reach it? null: that is not known. One who does is enough, since it may be the others' fault. */
  isReached(name: OwnPort['name']): boolean | null {
    const outside = Object.values(this.#answers).flatMap((answers) =>
      [...answers.values()].filter((one) => one.network !== null && one.reached.has(name)),
    )
    if (outside.some((one) => one.reached.get(name))) return true
    return outside.length < WITNESSES_OF_SILENCE ? null : false
  }

  /**
   * The public address at which peers reach a port, when two of different networks say the same: one alone could have others
   * knock at a door that is not ours.
   */
  seenHost(name: OwnPort['name'], family: Family): string | null {
    const networks = new Map<string, Set<string>>()
    for (const { network, host, reached } of this.#answers[family].values()) {
      if (network === null || host === null || reached.get(name) !== true) continue
      const seen = networks.get(host) ?? new Set()
      networks.set(host, seen.add(network))
      if (seen.size >= WITNESSES_OF_ADDRESS) return host
    }
    return null
  }

  /** What was said of a port that is another outside now is worth nothing. */
  forget(): void {
    for (const answers of Object.values(this.#answers)) answers.clear()
  }

  reached(name: OwnPort['name'], family: Family): PortReached {
    let reachedBy = 0
    let reachedFromOutsideBy = 0
    let missedBy = 0
    let reachedAtMs: number | null = null
    for (const { atMs, network, reached } of this.#answers[family].values()) {
      const hit = reached.get(name)
      if (hit === false) missedBy++
      if (hit !== true) continue
      reachedBy++
      if (network !== null) reachedFromOutsideBy++
      reachedAtMs = Math.max(reachedAtMs ?? 0, atMs)
    }
    return { reachedBy, reachedFromOutsideBy, missedBy, reachedAtMs }
  }
}

function isComplete({ reached }: Answer): boolean {
  return [...reached.values()].every((hit) => hit)
}

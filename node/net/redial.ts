/** Keeps trying for remembered peers, for ever, at a growing distance. */
import type { NodeId } from '../../protocol/ids.ts'
import { ENDPOINTS_MAX } from '../../protocol/limits.ts'

/** PROTOCOL 10 */
export const REMEMBERED_PEERS_MAX = 200
const DELAY_FIRST_MS = 300
const DELAY_MAX_MS = 60_000
/**
 * With this factor the next wait is at most about a third of the time that a peer has been away: one that was down for
 * 30 s is found again within 10 s.
 */
const DELAY_FACTOR = 1.2
const JITTER = 0.2
/** A connection that lived shorter counts as a failure, so that a peer which throws us out is not dialled in a loop. */
const STABLE_MS = 10_000
/** Remembered peers are first dialled at this distance from each other, not all at once. */
const STAGGER_MS = 50

/** Milliseconds to wait after so many failures in a row; `random` in [0, 1). */
export function redialDelayMs(failures: number, random: number): number {
  const delayMs = Math.min(DELAY_MAX_MS, DELAY_FIRST_MS * DELAY_FACTOR ** failures)
  return delayMs * (1 - JITTER + 2 * JITTER * random)
}

interface Remembered {
  readonly nodeId: NodeId
  addresses: string[]
  failures: number
  everConnected: boolean
  connectedAtMs: number | null
  timer: NodeJS.Timeout | null
  dialling: Promise<boolean> | null
}

export interface RedialOptions {
  /** Resolves once connected, having called `connected`. Must end by itself. */
  readonly dial: (nodeId: NodeId, addresses: readonly string[]) => Promise<void>
  readonly onFailure?: (nodeId: NodeId, failures: number, error: unknown) => void
  readonly random?: () => number
  readonly monotonicMs?: () => number
}

export class Redialer {
  readonly #peers = new Map<NodeId, Remembered>()
  readonly #options: RedialOptions
  readonly #random: () => number
  readonly #monotonicMs: () => number
  #running = false

  constructor(options: RedialOptions) {
    this.#options = options
    this.#random = options.random ?? Math.random
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
  }

  /**
   * Adds addresses of a peer, the newest first. When the list is full, one that was never met goes, else the one that
   * failed most often; false when none has failed at all.
   */
  remember(nodeId: NodeId, addresses: readonly string[]): boolean {
    const known = this.#peers.get(nodeId)
    if (known !== undefined) {
      known.addresses = [...new Set([...addresses, ...known.addresses])].slice(0, ENDPOINTS_MAX)
      return true
    }
    if (this.#peers.size >= REMEMBERED_PEERS_MAX && !this.#forgetWorst()) return false
    const kept = [...new Set(addresses)].slice(0, ENDPOINTS_MAX)
    this.#peers.set(nodeId, {
      nodeId,
      addresses: kept,
      failures: 0,
      everConnected: false,
      connectedAtMs: null,
      timer: null,
      dialling: null,
    })
    return true
  }

  has(nodeId: NodeId): boolean {
    return this.#peers.has(nodeId)
  }

  /** Every address of every remembered peer, to be written down and given back at the next start. */
  addresses(): string[] {
    return [...this.#peers.values()].flatMap((peer) => peer.addresses)
  }

  /** Begins to dial who is remembered. */
  start(): void {
    this.#running = true
    let delayMs = 0
    for (const peer of this.#peers.values()) {
      if (peer.connectedAtMs !== null || peer.dialling !== null) continue
      this.#schedule(peer, delayMs)
      delayMs += STAGGER_MS
    }
  }

  /** Cancels every wait; a dial under way ends without a next one. */
  async stop(): Promise<void> {
    this.#running = false
    const dials: Promise<boolean>[] = []
    for (const peer of this.#peers.values()) {
      cancel(peer)
      if (peer.dialling !== null) dials.push(peer.dialling)
    }
    await Promise.all(dials)
  }

  connected(nodeId: NodeId): void {
    const peer = this.#peers.get(nodeId)
    if (peer === undefined) return
    peer.connectedAtMs ??= this.#monotonicMs()
    peer.everConnected = true
    cancel(peer)
  }

  disconnected(nodeId: NodeId): void {
    const peer = this.#peers.get(nodeId)
    if (peer === undefined) return
    const livedMs = peer.connectedAtMs === null ? 0 : this.#monotonicMs() - peer.connectedAtMs
    peer.connectedAtMs = null
    peer.failures = livedMs >= STABLE_MS ? 0 : peer.failures + 1
    this.#scheduleNext(peer)
  }

  /** Dials a remembered peer at once, or joins the dial under way. True once connected. */
  now(nodeId: NodeId): Promise<boolean> {
    const peer = this.#peers.get(nodeId)
    if (peer === undefined) return Promise.resolve(false)
    if (peer.connectedAtMs !== null) return Promise.resolve(true)
    cancel(peer)
    peer.dialling ??= this.#attempt(peer)
    return peer.dialling
  }

  async #attempt(peer: Remembered): Promise<boolean> {
    try {
      await this.#options.dial(peer.nodeId, peer.addresses)
      peer.dialling = null
      // Connected and already gone again: `disconnected` came while this dial was still under way.
      if (peer.connectedAtMs === null) this.#scheduleNext(peer)
      return true
    } catch (error) {
      peer.dialling = null
      peer.failures++
      if (this.#running) this.#options.onFailure?.(peer.nodeId, peer.failures, error)
      this.#scheduleNext(peer)
      return false
    }
  }

  #scheduleNext(peer: Remembered): void {
    this.#schedule(peer, redialDelayMs(peer.failures, this.#random()))
  }

  #schedule(peer: Remembered, delayMs: number): void {
    if (!this.#running || peer.connectedAtMs !== null || peer.dialling !== null) return
    if (!this.#peers.has(peer.nodeId)) return
    cancel(peer)
    peer.timer = setTimeout(() => {
      peer.timer = null
      void this.now(peer.nodeId)
    }, delayMs)
  }

  /** Addresses that strangers made up must not drive out a peer that we did meet. */
  #forgetWorst(): boolean {
    let worst: Remembered | null = null
    for (const peer of this.#peers.values()) {
      if (peer.connectedAtMs === null && peer.failures > 0 && isWorse(peer, worst)) worst = peer
    }
    if (worst === null) return false
    cancel(worst)
    this.#peers.delete(worst.nodeId)
    return true
  }
}

function isWorse(peer: Remembered, than: Remembered | null): boolean {
  if (than === null) return true
  if (peer.everConnected !== than.everConnected) return than.everConnected
  return peer.failures > than.failures
}

function cancel(peer: Remembered): void {
  if (peer.timer !== null) clearTimeout(peer.timer)
  peer.timer = null
}

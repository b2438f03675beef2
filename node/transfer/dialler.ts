/**
 * Keeps dialling the given peers of one torrent for as long as it is wanted, with growing, jittered pauses: a holder may
 * come up minutes after it was named. The engine's package alone gives a peer up after three retries.
 */
import { endpointText } from '../net/addresses.ts'
import type { TorrentPeer } from '../ports.ts'

export interface DiallerOptions {
  /** Dials of one peer in a row that brought nothing; then it is left alone. @default no end */
  readonly attemptsMax?: number
  readonly random?: () => number
}

interface Target {
  attempts: number
  connected: boolean
  banned: boolean
  timer: NodeJS.Timeout | null
}

export const PEERS_MAX = 200
const PAUSE_MS_MIN = 250
const PAUSE_MS_MAX = 15_000

export class Dialler {
  readonly #targets = new Map<string, Target>()
  readonly #attemptsMax: number
  readonly #random: () => number
  #dial: ((address: string) => void) | null = null

  constructor(options: DiallerOptions = {}) {
    this.#attemptsMax = options.attemptsMax ?? Number.POSITIVE_INFINITY
    this.#random = options.random ?? Math.random
  }

  /** `address` is `host:port`, as the engine writes it. More than PEERS_MAX are not kept. */
  add(address: string): void {
    if (this.#targets.has(address) || this.#targets.size >= PEERS_MAX) return
    const target: Target = { attempts: 0, connected: false, banned: false, timer: null }
    this.#targets.set(address, target)
    this.#schedule(address, target)
  }

  /** Those whose port nobody can listen on are left out. */
  addPeers(peers: readonly TorrentPeer[]): void {
    for (const { host, port } of peers) {
      if (!Number.isInteger(port) || port < 1 || port > 65_534) continue
      this.add(endpointText({ host, port }))
    }
  }

  has(address: string): boolean {
    return this.#targets.has(address)
  }

  /** From now on `dial` is called; every peer is due at once. */
  start(dial: (address: string) => void): void {
    this.stop()
    this.#dial = dial
    for (const [address, target] of this.#targets) {
      target.attempts = 0
      this.#schedule(address, target)
    }
  }

  stop(): void {
    this.#dial = null
    for (const target of this.#targets.values()) {
      if (target.timer !== null) clearTimeout(target.timer)
      target.timer = null
      target.connected = false
    }
  }

  connected(address: string): void {
    const target = this.#targets.get(address)
    if (target !== undefined) target.connected = true
  }

  /** `useful`: it sent something; then the pauses begin anew. */
  closed(address: string, useful: boolean): void {
    const target = this.#targets.get(address)
    if (target === undefined) return
    target.connected = false
    if (useful) target.attempts = 0
    // A peer that takes calls only to hang up is not called again at once.
    target.attempts = Math.max(target.attempts, 1)
    this.#schedule(address, target)
  }

  /** Never dials this peer again: it lied. */
  ban(address: string): void {
    const target = this.#targets.get(address)
    if (target === undefined) return
    if (target.timer !== null) clearTimeout(target.timer)
    // It stays in the map, so that it cannot be added again.
    target.timer = null
    target.banned = true
  }

  #schedule(address: string, target: Target): void {
    if (this.#dial === null) return
    if (target.timer !== null) clearTimeout(target.timer)
    target.timer = null
    if (target.banned || target.attempts >= this.#attemptsMax) return
    target.timer = setTimeout(() => {
      target.timer = null
      if (target.connected) return
      target.attempts++
      this.#dial?.(address)
      this.#schedule(address, target)
    }, this.#pauseMs(target.attempts))
  }

  #pauseMs(attempts: number): number {
    if (attempts === 0) return 0
    const pause = Math.min(PAUSE_MS_MIN * 2 ** Math.min(attempts - 1, 16), PAUSE_MS_MAX)
    return pause * (0.5 + this.#random() / 2)
  }
}

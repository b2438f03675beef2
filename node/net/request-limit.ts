/** How much of our time one peer may take by asking: a token bucket and a number of open requests for each. */
import type { NodeId } from '../../protocol/ids.ts'

/**
 * A newcomer pulls all 256 buckets of a manifest at once (PROTOCOL 4), and a few dozen other things besides; after that
 * nobody honest asks more than a few times a second.
 */
export const REQUEST_BURST_MAX = 400
export const REQUESTS_PER_SECOND_MAX = 20
/** An open request may hold 1 MiB in and 1 MiB out, so a peer can hold 16 MiB and all of them 128 MiB. */
export const OPEN_REQUESTS_PER_PEER_MAX = 8
export const OPEN_REQUESTS_MAX = 64
/** Peers remembered between requests; more than connections that are allowed at once. */
const PEERS_MAX = 1_000

interface Account {
  tokens: number
  atMs: number
  open: number
}

export class RequestLimit {
  readonly #monotonicMs: () => number
  readonly #accounts = new Map<NodeId, Account>()
  #open = 0

  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs
  }

  /** Takes one request in: the function to call once it ended, or null when it must be refused. */
  enter(nodeId: NodeId): (() => void) | null {
    const account = this.#refilled(nodeId)
    if (account.tokens < 1) return null
    // A refused request is paid for as well: asking in a tight loop must not become free.
    account.tokens -= 1
    if (account.open >= OPEN_REQUESTS_PER_PEER_MAX || this.#open >= OPEN_REQUESTS_MAX) return null
    account.open++
    this.#open++
    let left = false
    return () => {
      if (left) return
      left = true
      account.open--
      this.#open--
    }
  }

  #refilled(nodeId: NodeId): Account {
    const nowMs = this.#monotonicMs()
    let account = this.#accounts.get(nodeId)
    if (account === undefined) {
      if (this.#accounts.size >= PEERS_MAX) this.#forgetIdle(nowMs)
      account = { tokens: REQUEST_BURST_MAX, atMs: nowMs, open: 0 }
    }
    // Set again, so that the map's order is from the longest silent to the latest.
    this.#accounts.delete(nodeId)
    this.#accounts.set(nodeId, account)
    const earned = ((nowMs - account.atMs) / 1_000) * REQUESTS_PER_SECOND_MAX
    account.tokens = Math.min(REQUEST_BURST_MAX, account.tokens + earned)
    account.atMs = nowMs
    return account
  }

  /** Drops who is full again and has nothing open; else the longest silent without an open request. */
  #forgetIdle(nowMs: number): void {
    const refillMs = (REQUEST_BURST_MAX / REQUESTS_PER_SECOND_MAX) * 1_000
    for (const [nodeId, account] of this.#accounts) {
      if (account.open === 0 && nowMs - account.atMs >= refillMs) this.#accounts.delete(nodeId)
    }
    if (this.#accounts.size < PEERS_MAX) return
    for (const [nodeId, account] of this.#accounts) {
      if (account.open > 0) continue
      this.#accounts.delete(nodeId)
      return
    }
  }
}

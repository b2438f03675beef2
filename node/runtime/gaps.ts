/**
 * Nodes of which an update came that could not be applied, and whom to ask for the rest (PROTOCOL 4): first who told us, then
 * any neighbour, three times in all with growing pauses. After that, anti-entropy finds it.
 */
import { randomInt } from 'node:crypto'
import type { NodeId } from '../../protocol/ids.ts'
import type { Clock } from '../ports.ts'

interface Gap {
  teller: NodeId
  tries: number
  /** Monotonic ms. */
  dueMs: number
}

export interface GapsOptions {
  readonly clock: Clock
  readonly peers: () => NodeId[]
  readonly isOpen: (node: NodeId) => boolean
  /** Asks one peer for some nodes; never rejects. */
  readonly ask: (peer: NodeId, nodes: NodeId[]) => Promise<void>
  /** Pauses before each try. */
  readonly pausesMs: readonly number[]
}

export class Gaps {
  readonly #options: GapsOptions
  readonly #gaps = new Map<NodeId, Gap>()
  #filling = false
  #stopped = false
  #timer: NodeJS.Timeout | null = null

  constructor(options: GapsOptions) {
    this.#options = options
  }

  /** `teller` sent an update of `node` that could not be applied. */
  open(node: NodeId, teller: NodeId): void {
    const { clock, pausesMs } = this.#options
    const known = this.#gaps.get(node)
    // Who speaks often does not put off the next try, nor get more of them.
    if (known !== undefined) known.teller = teller
    else this.#gaps.set(node, { teller, tries: 0, dueMs: clock.monotonicMs() + (pausesMs[0] ?? 0) })
    this.#wake()
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #wake(): void {
    if (this.#filling || this.#stopped) return
    this.#filling = true
    void this.#fill().finally(() => {
      this.#filling = false
      this.#sleep()
    })
  }

  /** One conversation at a time. */
  async #fill(): Promise<void> {
    for (let next = this.#next(); next !== null && !this.#stopped; next = this.#next()) {
      await this.#options.ask(next.peer, next.nodes)
      for (const node of next.nodes) this.#tried(node)
    }
  }

  /** The first gap that is due, together with all others that the same peer told of. */
  #next(): { peer: NodeId; nodes: NodeId[] } | null {
    const nowMs = this.#options.clock.monotonicMs()
    for (const node of this.#gaps.keys()) if (!this.#options.isOpen(node)) this.#gaps.delete(node)
    const due = [...this.#gaps].filter(([, gap]) => gap.dueMs <= nowMs)
    const [first] = due
    if (first === undefined) return null
    const peer = this.#peerFor(first[1])
    if (peer === null) {
      this.#gaps.clear()
      return null
    }
    const same = due.filter(([node, gap]) => node === first[0] || (gap.tries === 0 && gap.teller === peer))
    return { peer, nodes: same.map(([node]) => node) }
  }

  #peerFor(gap: Gap): NodeId | null {
    const peers = this.#options.peers()
    if (gap.tries === 0 && peers.includes(gap.teller)) return gap.teller
    const others = peers.filter((peer) => peer !== gap.teller)
    const choice = others.length > 0 ? others : peers
    return choice.length === 0 ? null : (choice[randomInt(choice.length)] ?? null)
  }

  #tried(node: NodeId): void {
    const { clock, pausesMs, isOpen } = this.#options
    const gap = this.#gaps.get(node)
    if (gap === undefined) return
    gap.tries++
    const pauseMs = pausesMs[gap.tries]
    if (pauseMs === undefined || !isOpen(node)) this.#gaps.delete(node)
    else gap.dueMs = clock.monotonicMs() + pauseMs
  }

  #sleep(): void {
    if (this.#gaps.size === 0 || this.#stopped) return
    const dueMs = Math.min(...[...this.#gaps.values()].map((gap) => gap.dueMs))
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, dueMs - this.#options.clock.monotonicMs()))
    this.#timer.unref()
  }
}

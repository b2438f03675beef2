/**
 * How often updates of one node are handed on. An honest node speaks at most once in `publishMinMs`; who speaks more often is
 * heard, but the flood ends at his neighbours. Not a matter of score: those who hand it on cannot know what others got.
 */
import type { NodeId } from '../../protocol/ids.ts'

/** Updates that may come at once. */
const BURST = 8

export class UpdatePace {
  readonly #publishMinMs: () => number
  readonly #nodes = new Map<NodeId, { tokens: number; atMs: number }>()

  constructor(publishMinMs: () => number) {
    this.#publishMinMs = publishMinMs
  }

  /** May one more update of this node go on? `monotonicMs` is now. */
  mayPass(node: NodeId, monotonicMs: number): boolean {
    const known = this.#nodes.get(node) ?? { tokens: BURST, atMs: monotonicMs }
    // Twice as often as an honest node at its fastest, since messages bunch up on their way.
    const everyMs = Math.max(1, this.#publishMinMs() / 2)
    const tokens = Math.min(BURST, known.tokens + (monotonicMs - known.atMs) / everyMs)
    const passes = tokens >= 1
    this.#nodes.set(node, { tokens: passes ? tokens - 1 : tokens, atMs: monotonicMs })
    return passes
  }

  forget(node: NodeId): void {
    this.#nodes.delete(node)
  }
}

/** Who sent the blocks of a piece that failed its hash. The engine's package asks the same peer again, without end. */
import type { Wire } from './wire.ts'

/** Failed pieces that a peer may share with others; one that it sent alone is enough. */
const STRIKES_MAX = 3

export class Blame {
  readonly #senders = new Map<number, Set<Wire>>()
  readonly #strikes = new Map<Wire, number>()

  watch(wire: Wire): void {
    wire.on('piece', (piece: number) => {
      const senders = this.#senders.get(piece)
      if (senders === undefined) this.#senders.set(piece, new Set([wire]))
      else senders.add(wire)
    })
    wire.once('close', () => this.#strikes.delete(wire))
  }

  verified(piece: number): void {
    this.#senders.delete(piece)
  }

  /** The wires to be cut off. */
  failed(piece: number): Wire[] {
    const senders = [...(this.#senders.get(piece) ?? [])]
    this.#senders.delete(piece)
    return senders.filter((wire) => {
      const strikes = (this.#strikes.get(wire) ?? 0) + 1
      this.#strikes.set(wire, strikes)
      return senders.length === 1 || strikes >= STRIKES_MAX
    })
  }
}

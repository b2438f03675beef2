/**
 * Which wanted piece the fewest peers have. Wanted pieces lie in one array in the order of how many have them, with the start of
 * each such bucket beside it: one peer more or less moves a piece by one exchange, and whoever asks looks from the rarest on.
 */
export class RarestFirst {
  /** Wanted pieces, the rarest first. */
  readonly #order: Int32Array
  /** Where a piece lies in `order`; -1 = it is not wanted. */
  readonly #place: Int32Array
  /** How many peers have a piece, wanted or not. */
  readonly #count: Uint16Array
  /** Where in `order` the pieces begin that so many peers or more have. */
  readonly #starts = [0]
  #length = 0

  /** Nothing is wanted and nobody has anything. `pieces`: how many there are. */
  constructor(pieces: number) {
    this.#order = new Int32Array(pieces)
    this.#place = new Int32Array(pieces).fill(-1)
    this.#count = new Uint16Array(pieces)
  }

  /** It is wanted. */
  add(piece: number): void {
    if (this.#place[piece] !== -1) return
    const count = this.#count[piece] ?? 0
    this.#ensure(count + 1)
    // A hole at the end wanders down: each fuller bucket gives its first piece to its end.
    let hole = this.#length++
    for (let bucket = this.#starts.length - 1; bucket > count; bucket--) {
      const first = this.#starts[bucket] ?? 0
      this.#move(first, hole)
      this.#starts[bucket] = first + 1
      hole = first
    }
    this.#put(piece, hole)
  }

  /** It is wanted no more. */
  remove(piece: number): void {
    let hole = this.#place[piece] ?? -1
    if (hole === -1) return
    for (let bucket = (this.#count[piece] ?? 0) + 1; bucket < this.#starts.length; bucket++) {
      const last = (this.#starts[bucket] ?? 0) - 1
      this.#move(last, hole)
      this.#starts[bucket] = last
      hole = last
    }
    this.#length--
    this.#move(this.#length, hole)
    this.#place[piece] = -1
  }

  /** One peer more has it. */
  more(piece: number): void {
    const count = this.#count[piece] ?? 0
    this.#count[piece] = count + 1
    const at = this.#place[piece] ?? -1
    if (at === -1) return
    this.#ensure(count + 2)
    const last = (this.#starts[count + 1] ?? 0) - 1
    this.#move(last, at)
    this.#put(piece, last)
    this.#starts[count + 1] = last
  }

  /** One peer less. */
  less(piece: number): void {
    const count = this.#count[piece] ?? 0
    if (count === 0) return
    this.#count[piece] = count - 1
    const at = this.#place[piece] ?? -1
    if (at === -1) return
    const first = this.#starts[count] ?? 0
    this.#move(first, at)
    this.#put(piece, first)
    this.#starts[count] = first + 1
  }

  /** The first of the rarest that `has` is true of, or -1. */
  first(has: (piece: number) => boolean): number {
    for (let at = 0; at < this.#length; at++) {
      const piece = this.#order[at] ?? -1
      if (has(piece)) return piece
    }
    return -1
  }

  #ensure(bucket: number): void {
    while (this.#starts.length <= bucket) this.#starts.push(this.#length)
  }

  #move(from: number, to: number): void {
    if (from !== to) this.#put(this.#order[from] ?? 0, to)
  }

  #put(piece: number, at: number): void {
    this.#order[at] = piece
    this.#place[piece] = at
  }
}

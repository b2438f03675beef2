/**
 * Who wakes next, of seeds that all are asked for at once. A burst is let in a few at a time: each is then done sooner than
 * if all were served in step, and fewer take memory together. Whoever waits too long is refused.
 */

/** Let in within the last second and still asked for. */
const YOUNG_MAX = 32
const YOUNG_MS = 1_000
/** As long as a caller waits for the answer to its handshake (libtorrent: 10 s). */
const WAIT_MS = 10_000
/** As many as connections that come in (door.ts). */
const WAITING_MAX = 1_000

interface Waiting {
  readonly enter: () => void
  readonly refuse: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

export interface WakeQueueOptions<T> {
  /** Lets it in; false when there is no room for it now. */
  readonly enter: (item: T) => boolean
  /** What those are told that waited in vain. */
  readonly crowded: () => Error
  /** @default 10 s */
  readonly waitMs?: number
}

export class WakeQueue<T> {
  readonly #options: WakeQueueOptions<T>
  /** In the order in which they came. */
  readonly #waiting = new Map<T, Waiting>()
  readonly #young = new Map<T, NodeJS.Timeout>()

  constructor(options: WakeQueueOptions<T>) {
    this.#options = options
  }

  /** Resolves when it was let in; each waits once only. Rejects with what `crowded` or `cancel` says. */
  wait(item: T): Promise<void> {
    const { crowded, waitMs = WAIT_MS } = this.#options
    if (this.#waiting.size >= WAITING_MAX) return Promise.reject(crowded())
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => this.cancel(item, crowded()), waitMs)
    this.#waiting.set(item, { enter: resolve, refuse: reject, timer })
    this.look()
    return promise
  }

  /** It waits no longer, if it did. */
  cancel(item: T, error: Error): void {
    const waiting = this.#waiting.get(item)
    if (waiting === undefined) return
    clearTimeout(waiting.timer)
    this.#waiting.delete(item)
    waiting.refuse(error)
  }

  /** Nobody asks for it now: another may come in. */
  left(item: T): void {
    clearTimeout(this.#young.get(item))
    this.#young.delete(item)
    this.look()
  }

  /** Lets in whom there is room for. */
  look(): void {
    for (const [item, { enter, timer }] of this.#waiting) {
      if (this.#young.size >= YOUNG_MAX || !this.#options.enter(item)) return
      clearTimeout(timer)
      this.#waiting.delete(item)
      this.#young.set(
        item,
        setTimeout(() => this.left(item), YOUNG_MS),
      )
      enter()
    }
  }
}

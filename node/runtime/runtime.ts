/**
 * Events in, effects out: the loop around the core. Events are taken one at a time; effects are done in order, and what is
 * persisted stands on disk before what is published leaves (HOUSE: a claim's trip). Long work runs beside and comes back as
 * events.
 */
import type { Effect } from '../../protocol/core/effect.ts'
import type { Event } from '../../protocol/core/event.ts'
import type { CoreState } from '../../protocol/core/state.ts'
import { step } from '../../protocol/core/step.ts'
import { nextWakeMs } from '../../protocol/core/wake.ts'
import type { Clock, Log } from '../ports.ts'

/** Does one effect. A promise is awaited before the next effect of the same step; long work must not be awaited. */
export type Perform = (effect: Effect) => void | Promise<void>

/** Events waiting at most: beyond it gossip is dropped, which anti-entropy makes good. */
const QUEUE_MAX = 10_000

export class Runtime {
  readonly state: CoreState
  readonly #clock: Clock
  readonly #log: Log
  readonly #tickMs: number
  readonly #queue: Event[] = []
  readonly #onFatal: (error: unknown) => void
  #perform: Perform = () => {}
  #draining = false
  #idle: (() => void)[] = []
  #timer: NodeJS.Timeout | null = null
  #stopped = false

  constructor(options: {
    state: CoreState
    clock: Clock
    log: Log
    tickMs: number
    onFatal: (error: unknown) => void
  }) {
    this.state = options.state
    this.#clock = options.clock
    this.#log = options.log
    this.#tickMs = options.tickMs
    this.#onFatal = options.onFatal
  }

  start(perform: Perform): void {
    this.#perform = perform
    this.#timer = setInterval(() => this.#tickWhenDue(), this.#tickMs)
    this.dispatch({ kind: 'tick' })
  }

  /** An idle core is not ticked: it says when it needs to be. */
  #tickWhenDue(): void {
    const now = { wallMs: this.#clock.wallMs(), monotonicMs: this.#clock.monotonicMs() }
    if (!this.#draining && nextWakeMs(this.state, now) <= now.monotonicMs) this.dispatch({ kind: 'tick' })
  }

  dispatch(event: Event): void {
    if (this.#stopped) return
    if (this.#queue.length >= QUEUE_MAX) {
      this.#log.warn({ event: event.kind }, 'too many events wait; dropped one')
      return
    }
    // One waiting tick says as much as two.
    if (event.kind === 'tick' && this.#queue.some((one) => one.kind === 'tick')) return
    this.#queue.push(event)
    if (!this.#draining) void this.#drain()
  }

  /** Resolves when no event waits. */
  async idle(): Promise<void> {
    if (!this.#draining && this.#queue.length === 0) return
    await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.idle()
    this.#stopped = true
  }

  async #drain(): Promise<void> {
    this.#draining = true
    try {
      for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
        const now = { wallMs: this.#clock.wallMs(), monotonicMs: this.#clock.monotonicMs() }
        for (const effect of step(this.state, event, now)) await this.#perform(effect)
      }
    } catch (error) {
      // A failed persist or a broken rule: going on could publish what is not stored.
      this.#stopped = true
      this.#onFatal(error)
    } finally {
      this.#draining = false
      for (const resolve of this.#idle.splice(0)) resolve()
    }
  }
}

/**
 * Calls between a node and the process of its BitTorrent engine, both ways over one channel. Messages leave in the order in which
 * calls are made: a peer that is added to a fetch must not arrive before the fetch. (birpc 4 sends a turn later, and what wants no
 * answer overtakes.)
 */
import { TorrentError, type TorrentErrorCode } from '../ports.ts'

/** The other process ended before it answered. */
export class ChannelLost extends Error {}

/** An error as plain data: what structured clone leaves of our own classes is not enough. */
export interface PlainError {
  readonly name: 'TorrentError' | 'RangeError' | 'Error'
  readonly code: TorrentErrorCode | null
  readonly message: string
}

export type Message =
  | { readonly kind: 'call'; readonly id: number | null; readonly method: string; readonly argument: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly error: PlainError }
  | { readonly kind: 'abort'; readonly id: number }

/** What one side answers: an argument, and a signal that the other side's signal aborts. */
export type Handlers<Calls> = {
  readonly [Name in keyof Calls]: (
    argument: Argument<Calls[Name]>,
    signal: AbortSignal,
  ) => Answer<Calls[Name]> | Promise<Answer<Calls[Name]>>
}
type Argument<Call> = Call extends (argument: infer A) => unknown ? A : never
type Answer<Call> = Call extends (argument: never) => infer R ? R : never

interface Waiting {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

/** Calls that wait for an answer, each way; far more than a node makes. */
const CALLS_MAX = 20_000

/** `Theirs` is what the other side answers, as one function a call. */
export class Channel<Theirs, Mine> {
  readonly #post: (message: Message) => void
  readonly #mine: Handlers<Mine>
  readonly #waiting = new Map<number, Waiting>()
  /** Calls of the other side that are answered now. */
  readonly #answering = new Map<number, AbortController>()
  #next = 0
  #lost: Error | null = null

  constructor(post: (message: Message) => void, mine: Handlers<Mine>) {
    this.#post = post
    this.#mine = mine
  }

  /** Rejects with what the other side threw (TorrentError, RangeError, or an Error with its message), or ChannelLost. */
  call<Name extends keyof Theirs & string>(
    method: Name,
    argument: Argument<Theirs[Name]>,
    signal?: AbortSignal,
  ): Promise<Answer<Theirs[Name]>> {
    if (this.#lost !== null) return Promise.reject(this.#lost)
    if (this.#waiting.size >= CALLS_MAX)
      return Promise.reject(new TorrentError('engine', 'too many calls to the BitTorrent engine'))
    const id = this.#next++
    const abort = () => this.#post({ kind: 'abort', id })
    return new Promise<Answer<Theirs[Name]>>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#post({ kind: 'call', id, method, argument })
      if (signal?.aborted === true) abort()
      signal?.addEventListener('abort', abort, { once: true })
    }).finally(() => signal?.removeEventListener('abort', abort))
  }

  /** Wants no answer. */
  tell<Name extends keyof Theirs & string>(method: Name, argument: Argument<Theirs[Name]>): void {
    if (this.#lost === null) this.#post({ kind: 'call', id: null, method, argument })
  }

  /** A message of the other side. */
  hear(message: Message): void {
    if (message.kind === 'call') return void this.#answer(message.id, message.method, message.argument)
    if (message.kind === 'abort') return void this.#answering.get(message.id)?.abort()
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if (message.kind === 'answer') waiting?.resolve(message.value as never)
    else waiting?.reject(fromPlain(message.error))
  }

  /** Nothing comes or goes any more; what waits is rejected. */
  close(reason: Error): void {
    this.#lost ??= reason
    for (const { reject } of this.#waiting.values()) reject(this.#lost)
    this.#waiting.clear()
    for (const answering of this.#answering.values()) answering.abort()
  }

  async #answer(id: number | null, method: string, argument: unknown): Promise<void> {
    const answering = new AbortController()
    if (id !== null) this.#answering.set(id, answering)
    try {
      if (!Object.hasOwn(this.#mine, method)) throw new Error(`no such call: ${method}`)
      const handler = this.#mine[method as keyof Mine] as (argument: unknown, signal: AbortSignal) => unknown
      const value = await handler(argument, answering.signal)
      if (id !== null && this.#lost === null) this.#post({ kind: 'answer', id, value })
    } catch (error) {
      if (id === null) throw error // a mistake in the program
      if (this.#lost === null) this.#post({ kind: 'failure', id, error: toPlain(error) })
    } finally {
      if (id !== null) this.#answering.delete(id)
    }
  }
}

export function toPlain(error: unknown): PlainError {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof TorrentError) return { name: 'TorrentError', code: error.code, message }
  return { name: error instanceof RangeError ? 'RangeError' : 'Error', code: null, message }
}

export function fromPlain({ name, code, message }: PlainError): Error {
  if (name === 'RangeError') return new RangeError(message)
  return name === 'TorrentError' && code !== null ? new TorrentError(code, message) : new Error(message)
}

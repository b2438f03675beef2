/**
 * Bytes that may be fetched in a calendar month of local time, over restarts. What is stored runs ahead of what was spent, so that a
 * crash makes the month look fuller, never emptier.
 */
import { integer, record, text } from '../../protocol/codec/shape.ts'
import type { Clock, Log, Store } from '../ports.ts'
import { keyOf } from '../store/keyspace.ts'
import { localMonth } from './quiet-hours.ts'

const KEY = keyOf('own', 'budget')
/** So much fuller a crash makes the month look, at most. */
const AHEAD_BYTES = 4 * 1024 * 1024

export class Budget {
  readonly #parts: { store: Store; clock: Clock; log: Log }
  /** Null: no limit; then it only counts. */
  readonly limitBytes: number | null
  #month: string
  #usedBytes: number
  #storedBytes: number
  #writing: Promise<void> | null = null

  private constructor(
    parts: { store: Store; clock: Clock; log: Log },
    limitBytes: number | null,
    month: string,
    usedBytes: number,
  ) {
    this.#parts = parts
    this.limitBytes = limitBytes
    this.#month = month
    this.#usedBytes = usedBytes
    this.#storedBytes = 0
  }

  static async open(
    parts: { store: Store; clock: Clock; log: Log },
    limitBytes: number | null,
  ): Promise<Budget> {
    const month = localMonth(parts.clock.wallMs())
    const value = await parts.store.get(KEY)
    const kept = value === null ? null : readKept(value)
    const budget = new Budget(parts, limitBytes, month, kept?.month === month ? kept.usedBytes : 0)
    budget.#runAhead()
    await budget.#writing
    return budget
  }

  get usedBytes(): number {
    this.#turn()
    return this.#usedBytes
  }

  get isUsedUp(): boolean {
    return this.limitBytes !== null && this.usedBytes >= this.limitBytes
  }

  spend(count: number): void {
    this.#turn()
    this.#usedBytes += count
    this.#runAhead()
  }

  /** What was really spent; nothing may be spent after it. */
  async close(): Promise<void> {
    this.#turn()
    while (this.#writing !== null) await this.#writing
    await this.#store(this.#usedBytes)
  }

  /** A new month begins with nothing spent. */
  #turn(): void {
    const month = localMonth(this.#parts.clock.wallMs())
    if (month === this.#month) return
    this.#month = month
    this.#usedBytes = 0
    this.#storedBytes = 0
  }

  /** One writing at a time; what is spent meanwhile is in the next. */
  #runAhead(): void {
    if (this.#writing !== null || this.#usedBytes + AHEAD_BYTES / 2 <= this.#storedBytes) return
    this.#writing = this.#store(this.#usedBytes + AHEAD_BYTES).finally(() => {
      this.#writing = null
      this.#runAhead()
    })
  }

  async #store(usedBytes: number): Promise<void> {
    const { store, log } = this.#parts
    const month = this.#month
    const value = Buffer.from(JSON.stringify({ month, usedBytes }))
    try {
      await store.batch([{ type: 'put', key: KEY, value }])
    } catch (error) {
      log.warn({ error: String(error) }, 'the monthly budget could not be stored')
    }
    // Also when it could not: a store that fails is asked again with the next bytes of this size, not with each.
    if (month === this.#month) this.#storedBytes = usedBytes
  }
}

function readKept(value: Uint8Array): { month: string; usedBytes: number } {
  const fields = record(JSON.parse(Buffer.from(value).toString('utf8')), 'budget')
  return {
    month: text(fields.month, 'budget.month', 16),
    usedBytes: integer(fields.usedBytes, 'budget.usedBytes'),
  }
}

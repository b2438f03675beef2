/**
 * Hasher over a few teams of worker threads, so that the event loop stays free while gigabytes are read: libp2p drops a peer
 * whose loop stands still for seconds. A job is one team's from its first file to its last: two threads that hash, or one
 * that hashes and looks at the structure, with another beside it for bzip2 (hash-lanes.ts).
 */
import { availableParallelism } from 'node:os'
import type { Hasher, HashOptions, PieceOptions } from '../ports.ts'
import { type HashFacts, HashTeam, type TeamOptions } from './hash-team.ts'

export interface WorkerHasherOptions {
  /** Teams at most, each of two threads; they start when first needed. @default half the processors, within 1..4 */
  readonly teamsMax?: number
  /** Jobs that may wait; more reject with a RangeError. @default 1024 */
  readonly waitingMax?: number
}

interface Job {
  readonly files: readonly string[]
  readonly options: TeamOptions
  readonly resolve: (facts: HashFacts) => void
  readonly reject: (error: unknown) => void
}

const FILES_MAX = 10_000

export class WorkerHasher implements Hasher {
  readonly #teamsMax: number
  readonly #waitingMax: number
  readonly #teams = new Set<HashTeam>()
  readonly #waiting: Job[] = []
  #closed = false

  constructor(options: WorkerHasherOptions = {}) {
    this.#teamsMax = options.teamsMax ?? Math.min(Math.max(Math.floor(availableParallelism() / 2), 1), 4)
    this.#waitingMax = options.waitingMax ?? 1_024
  }

  /** See the port. An abort rejects with the signal's reason; the bytes of a file may change while it is read: check sizes. */
  hash(files: readonly string[], options: HashOptions = {}): Promise<HashFacts> {
    return this.#enqueue(files, options)
  }

  async pieces(files: readonly string[], options: PieceOptions): Promise<Uint8Array> {
    const { pieces } = await this.#enqueue(files, { ...options, digests: false })
    return pieces ?? new Uint8Array()
  }

  /** Ends the threads; jobs in progress reject. */
  async close(): Promise<void> {
    this.#closed = true
    const error = new Error('the hasher is closed')
    for (const job of this.#waiting.splice(0)) job.reject(error)
    const teams = [...this.#teams]
    this.#teams.clear()
    await Promise.all(teams.map((team) => team.close(error)))
  }

  async #enqueue(files: readonly string[], options: TeamOptions): Promise<HashFacts> {
    const { pieceLengthBytes = null, signal } = options
    signal?.throwIfAborted()
    if (this.#closed) throw new Error('the hasher is closed')
    if (files.length > FILES_MAX) throw new RangeError(`more than ${FILES_MAX} files in one hashing job`)
    if (pieceLengthBytes !== null && !(Number.isSafeInteger(pieceLengthBytes) && pieceLengthBytes > 0)) {
      throw new RangeError(`a piece of ${pieceLengthBytes} bytes`)
    }
    if (this.#waiting.length >= this.#waitingMax) throw new RangeError('too many hashing jobs wait')
    const { promise, resolve, reject } = Promise.withResolvers<HashFacts>()
    const job: Job = { files: [...files], options, resolve, reject }
    const abort = () => {
      const at = this.#waiting.indexOf(job)
      if (at >= 0) this.#waiting.splice(at, 1)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiting.push(job)
    this.#next()
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  #next(): void {
    while (this.#waiting.length > 0 && !this.#closed) {
      const idle = [...this.#teams].find((team) => !team.isBusy)
      if (idle === undefined && this.#teams.size >= this.#teamsMax) return
      const job = this.#waiting.shift()
      if (job !== undefined) void this.#run(idle ?? this.#start(), job)
    }
  }

  #start(): HashTeam {
    const team = new HashTeam()
    this.#teams.add(team)
    return team
  }

  async #run(team: HashTeam, job: Job): Promise<void> {
    try {
      job.resolve(await team.run(job.files, job.options))
    } catch (error) {
      job.reject(error)
    }
    // A team that lost a thread is no more; the next job starts another.
    if (team.isLost) this.#teams.delete(team)
    this.#next()
  }
}

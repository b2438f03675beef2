/**
 * Hasher over a small pool of worker threads, so that the event loop stays free while gigabytes are read: libp2p drops a
 * peer whose loop stands still for seconds. A job is one worker's from its first file to its last.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Hasher } from '../ports.ts'
import type { HashFacts, HashTask } from './hash-files.ts'
import type { HashAnswer, HashRequest } from './hash-worker.ts'

export interface WorkerHasherOptions {
  /** Threads at most; they start when first needed. @default one less than the processors, within 1..4 */
  readonly threadsMax?: number
  /** Jobs that may wait; more reject with a RangeError. @default 1024 */
  readonly waitingMax?: number
}

interface Job {
  readonly task: HashTask
  readonly stop: Int32Array<SharedArrayBuffer>
  readonly onBytes: ((count: number) => void) | undefined
  readonly resolve: (facts: HashFacts) => void
  readonly reject: (error: unknown) => void
}

interface Thread {
  readonly worker: Worker
  job: Job | null
}

const FILES_MAX = 10_000

export class WorkerHasher implements Hasher {
  readonly #threadsMax: number
  readonly #waitingMax: number
  readonly #threads = new Set<Thread>()
  readonly #waiting: Job[] = []
  #closed = false

  constructor(options: WorkerHasherOptions = {}) {
    this.#threadsMax = options.threadsMax ?? Math.min(Math.max(availableParallelism() - 1, 1), 4)
    this.#waitingMax = options.waitingMax ?? 1_024
  }

  /** See the port. An abort rejects with the signal's reason; the bytes of a file may change while it is read: check sizes. */
  async hash(
    files: readonly string[],
    options: { pieceLengthBytes?: number; onBytes?: (count: number) => void; signal?: AbortSignal } = {},
  ): Promise<HashFacts> {
    const { pieceLengthBytes = null, onBytes, signal } = options
    signal?.throwIfAborted()
    if (this.#closed) throw new Error('the hasher is closed')
    if (files.length > FILES_MAX) throw new RangeError(`more than ${FILES_MAX} files in one hashing job`)
    if (pieceLengthBytes !== null && !(Number.isSafeInteger(pieceLengthBytes) && pieceLengthBytes > 0)) {
      throw new RangeError(`a piece of ${pieceLengthBytes} bytes`)
    }
    if (this.#waiting.length >= this.#waitingMax) throw new RangeError('too many hashing jobs wait')
    const stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
    const { promise, resolve, reject } = Promise.withResolvers<HashFacts>()
    const job: Job = { task: { files: [...files], pieceLengthBytes }, stop, onBytes, resolve, reject }
    const abort = () => {
      Atomics.store(stop, 0, 1)
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

  /** Ends the threads; jobs in progress reject. */
  async close(): Promise<void> {
    this.#closed = true
    const error = new Error('the hasher is closed')
    for (const job of this.#waiting.splice(0)) job.reject(error)
    const threads = [...this.#threads]
    this.#threads.clear()
    for (const { job } of threads) job?.reject(error)
    await Promise.all(threads.map(({ worker }) => worker.terminate()))
  }

  #next(): void {
    while (this.#waiting.length > 0) {
      const idle = [...this.#threads].find((thread) => thread.job === null)
      if (idle === undefined && this.#threads.size >= this.#threadsMax) return
      const job = this.#waiting.shift()
      if (job !== undefined) this.#give(idle ?? this.#start(), job)
    }
  }

  #start(): Thread {
    const worker = new Worker(new URL('./hash-worker.ts', import.meta.url))
    const thread: Thread = { worker, job: null }
    this.#threads.add(thread)
    worker.on('message', (answer: HashAnswer) => this.#hear(thread, answer))
    // A thread that dies (out of memory, a module that is missing) takes its job with it; the next job starts another.
    worker.on('error', (error) => this.#lose(thread, error))
    worker.on('exit', (code) => this.#lose(thread, new Error(`a hashing thread ended with code ${code}`)))
    return thread
  }

  #give(thread: Thread, job: Job): void {
    thread.job = job
    // An idle thread does not keep the process alive; a busy one does.
    thread.worker.ref()
    const request: HashRequest = { ...job.task, stop: job.stop }
    thread.worker.postMessage(request)
  }

  #hear(thread: Thread, answer: HashAnswer): void {
    const { job } = thread
    if (job === null) return
    if (answer.kind === 'progress') {
      if (Atomics.load(job.stop, 0) === 0) job.onBytes?.(answer.count)
      return
    }
    thread.job = null
    thread.worker.unref()
    if (answer.kind === 'done') job.resolve(answer.facts)
    else if (answer.kind === 'failed')
      job.reject(Object.assign(new Error(answer.error.message), answer.error))
    else job.reject(new Error('stopped')) // the abort has already rejected with its reason
    this.#next()
  }

  #lose(thread: Thread, error: Error): void {
    if (!this.#threads.delete(thread)) return
    thread.job?.reject(error)
    thread.job = null
    this.#next()
  }
}

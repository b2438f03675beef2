/** Some worker threads that read one job's files once, together: the ring they share, what each is told, and what each answers. */
import { basename } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { FileFacts, HashedFile, HashOptions } from '../ports.ts'
import { kindOf, NO_KIND } from '../structure/check.ts'
import { type HashTask, type LaneFacts, ONE_LANE, PIECE_LANES, TWO_LANES } from './hash-lanes.ts'
import { HashRing } from './hash-ring.ts'
import type { HashAnswer, LaneData, LaneRequest } from './hash-worker.ts'

export interface TeamOptions extends HashOptions {
  /** No digests, which are then missing in what it resolves with. @default true */
  readonly digests?: boolean
}

export interface HashFacts {
  readonly files: HashedFile[]
  /** SHA-1 of each piece, one after the other (BEP 3). */
  readonly pieces: Uint8Array | null
}

interface Job {
  readonly task: HashTask
  readonly onBytes: ((count: number) => void) | undefined
  readonly results: Map<number, LaneFacts>
  readonly settled: Set<number>
  /** The first thing that went wrong; the job ends with it once every thread has let go. */
  failure: { error: unknown } | null
  readonly done: () => void
}

/** All that these threads make is short-lived and small; left alone, the heap for it grows to ten times that. */
const YOUNG_MIB = 3

export class HashTeam {
  readonly #ring = new HashRing()
  readonly #workers = new Map<number, Worker>()
  #job: Job | null = null
  #lost: { error: unknown } | null = null

  get isBusy(): boolean {
    return this.#job !== null
  }

  /** A thread died (out of memory, a module that is missing), or the team was closed. */
  get isLost(): boolean {
    return this.#lost !== null
  }

  /** One job at a time. Rejects with the file system's error or the signal's reason, once all threads are idle again. */
  async run(files: readonly string[], options: TeamOptions): Promise<HashFacts> {
    if (this.#job !== null) throw new Error('the team is busy')
    const { pieceLengthBytes = null, structure = false, digests = true, onBytes, signal } = options
    const looks = structure && files.some((path) => kindOf(basename(path)) !== null)
    const task: HashTask = {
      files,
      pieceLengthBytes,
      hashLanes: looks ? ONE_LANE : digests ? TWO_LANES : PIECE_LANES,
      structure: looks,
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const job: Job = {
      task,
      onBytes,
      results: new Map(),
      settled: new Set(),
      failure: this.#lost,
      done: resolve,
    }
    this.#job = job
    this.#ring.reset()
    const abort = () => this.#fail(job, signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    for (let lane = 0; lane < task.hashLanes.length; lane++) this.#give(lane, task)
    await promise
    signal?.removeEventListener('abort', abort)
    this.#job = null
    if (job.failure !== null) throw job.failure.error
    return factsOf(job, structure)
  }

  async close(error: unknown): Promise<void> {
    this.#lose(error)
    await Promise.all([...this.#workers.values()].map((worker) => worker.terminate()))
  }

  #give(lane: number, task: HashTask): void {
    const worker = this.#workers.get(lane) ?? this.#start(lane)
    // An idle thread does not keep the process alive; a busy one does.
    worker.ref()
    const request: LaneRequest = { lane, task }
    worker.postMessage(request)
  }

  #start(lane: number): Worker {
    const workerData: LaneData = this.#ring.memory
    const worker = new Worker(new URL('./hash-worker.ts', import.meta.url), {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    })
    this.#workers.set(lane, worker)
    worker.on('message', (answer: HashAnswer) => this.#hear(lane, worker, answer))
    worker.on('error', (error) => this.#lose(error))
    worker.on('exit', (code) => this.#lose(new Error(`a hashing thread ended with code ${code}`)))
    return worker
  }

  #hear(lane: number, worker: Worker, answer: HashAnswer): void {
    const job = this.#job
    if (job === null) return
    if (answer.kind === 'progress') {
      if (job.failure === null) job.onBytes?.(answer.count)
      return
    }
    worker.unref()
    job.settled.add(lane)
    if (answer.kind === 'done') job.results.set(lane, answer.result)
    else if (answer.kind === 'failed')
      this.#fail(job, Object.assign(new Error(answer.error.message), answer.error))
    if (job.settled.size === job.task.hashLanes.length) job.done()
  }

  #fail(job: Job, error: unknown): void {
    job.failure ??= { error }
    this.#ring.stop()
  }

  /** The threads end, and with them the job. */
  #lose(error: unknown): void {
    if (this.#lost !== null) return
    this.#lost = { error }
    for (const worker of this.#workers.values()) void worker.terminate()
    if (this.#job === null) return
    this.#fail(this.#job, error)
    this.#job.done()
  }
}

function factsOf({ task, results }: Job, structure: boolean): HashFacts {
  const lanes = [...results].sort(([a], [b]) => a - b).map(([, facts]) => facts)
  const algorithms = task.hashLanes.flat()
  const files = task.files.map((_, file): HashedFile => {
    const hexes = lanes.flatMap(({ digests }) => digests[file] ?? [])
    const digests = Object.fromEntries(algorithms.map((algorithm, i) => [algorithm, hexes[i]]))
    const facts: FileFacts = {
      sizeBytes: lanes[0]?.sizesBytes[file] ?? 0,
      digests: digests as unknown as FileFacts['digests'],
    }
    return { ...facts, finding: structure ? (lanes[0]?.findings[file] ?? NO_KIND) : null }
  })
  return { files, pieces: task.pieceLengthBytes === null ? null : joinPieces(lanes) }
}

function joinPieces(lanes: readonly LaneFacts[]): Uint8Array {
  const pieces = lanes.flatMap((lane) => lane.pieces)
  const out = new Uint8Array(pieces.length * 20)
  for (const { index, sha1 } of pieces) out.set(sha1, index * 20)
  return out
}

/** A worker thread of hasher.ts: one lane of a team, one task at a time; answers `progress`, then `done` or `failed`. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Finding } from '../structure/finding.ts'
import { FileReader, type HashTask, hashLane, type LaneFacts, READER_LANE } from './hash-lanes.ts'
import { HashRing, type RingMemory, Stopped } from './hash-ring.ts'

/** For the thread's whole life. */
export type LaneData = RingMemory

export interface LaneRequest {
  readonly lane: number
  readonly task: HashTask
}

export type LaneResult = { readonly facts: LaneFacts } | { readonly findings: Finding[] }

export type HashAnswer =
  | { readonly kind: 'progress'; readonly count: number }
  | { readonly kind: 'done'; readonly result: LaneResult }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly error: HashFailure }

/** The parts of a file system's error that survive the way between threads. */
export interface HashFailure {
  readonly message: string
  readonly code?: string | undefined
  readonly errno?: number | undefined
  readonly syscall?: string | undefined
}

/** Bytes between two progress messages. */
const PROGRESS_BYTES = 8 * 1024 * 1024

const ring = new HashRing(workerData as LaneData)

function answer(message: HashAnswer): void {
  parentPort?.postMessage(message)
}

async function work({ lane, task }: LaneRequest): Promise<LaneResult> {
  if (lane === task.hashLanes.length) {
    // Half of the program's decoders: only in the thread that needs them.
    const { structureLane } = await import('./structure-lane.ts')
    return { findings: await structureLane(ring, task) }
  }
  if (lane !== READER_LANE) return { facts: hashLane(ring, lane, task, null) }
  let unsaid = 0
  const say = () => {
    if (unsaid > 0) answer({ kind: 'progress', count: unsaid })
    unsaid = 0
  }
  const reader = new FileReader(ring, task, (count) => {
    unsaid += count
    if (unsaid >= PROGRESS_BYTES) say()
  })
  try {
    const facts = hashLane(ring, lane, task, reader)
    say()
    return { facts }
  } finally {
    reader.close()
  }
}

parentPort?.on('message', (request: LaneRequest) => {
  work(request).then(
    (result) => answer({ kind: 'done', result }),
    (error: NodeJS.ErrnoException) => {
      if (error instanceof Stopped) return answer({ kind: 'stopped' })
      const { message, code, errno, syscall } = error
      answer({ kind: 'failed', error: { message, code, errno, syscall } })
    },
  )
})

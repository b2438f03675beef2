/** A worker thread of hasher.ts: one lane of a team, one task at a time; answers `progress`, then `done` or `failed`. */
import { parentPort, workerData } from 'node:worker_threads'
import { FileReader, type HashTask, hashLane, type LaneFacts, READER_LANE } from './hash-lanes.ts'
import { HashRing, type RingMemory, Stopped } from './hash-ring.ts'

/** For the thread's whole life. */
export type LaneData = RingMemory

export interface LaneRequest {
  readonly lane: number
  readonly task: HashTask
}

export type HashAnswer =
  | { readonly kind: 'progress'; readonly count: number }
  | { readonly kind: 'done'; readonly result: LaneFacts }
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

async function work({ lane, task }: LaneRequest): Promise<LaneFacts> {
  if (lane !== READER_LANE) return hashLane(ring, lane, task, null, null)
  // Half of the program's decoders: only in a thread that needs them.
  const lookAt = task.structure ? (await import('./structure-lane.ts')).lookAt : null
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
    const facts = await hashLane(ring, lane, task, reader, lookAt)
    say()
    return facts
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

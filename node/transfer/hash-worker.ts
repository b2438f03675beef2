/** The worker thread of hasher.ts: one task at a time, answers `progress`, then `done` or `failed`. */
import { parentPort } from 'node:worker_threads'
import { type HashFacts, type HashTask, hashFiles } from './hash-files.ts'

export interface HashRequest extends HashTask {
  /** One Int32: not zero means stop. Shared, because a busy thread reads no messages. */
  readonly stop: Int32Array
}

export type HashAnswer =
  | { readonly kind: 'progress'; readonly count: number }
  | { readonly kind: 'done'; readonly facts: HashFacts }
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

class Stopped extends Error {}

parentPort?.on('message', (request: HashRequest) => {
  const answer = (message: HashAnswer) => parentPort?.postMessage(message)
  let unsaid = 0
  const say = () => {
    if (unsaid > 0) answer({ kind: 'progress', count: unsaid })
    unsaid = 0
  }
  try {
    const facts = hashFiles(request, (count) => {
      if (Atomics.load(request.stop, 0) !== 0) throw new Stopped()
      unsaid += count
      if (unsaid >= PROGRESS_BYTES) say()
    })
    say()
    answer({ kind: 'done', facts })
  } catch (error) {
    if (error instanceof Stopped) return answer({ kind: 'stopped' })
    const { message, code, errno, syscall } = error as NodeJS.ErrnoException
    answer({ kind: 'failed', error: { message, code, errno, syscall } })
  }
})

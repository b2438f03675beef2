/** What a thread of a hashing team needs to look at the form of files as their bytes come by. */
import { closeSync, fstatSync, openSync } from 'node:fs'
import { basename } from 'node:path'
import { readAt } from '../files/read-at.ts'
import { ThreadWalker } from '../structure/bzip2-thread.ts'
import { StructureCheck } from '../structure/check.ts'
import type { Look } from './hash-lanes.ts'

/** Made when a bzip2 file first needs it; lives as long as this thread. */
let walker: ThreadWalker | null = null
function bzip2Thread(): ThreadWalker {
  walker ??= new ThreadWalker()
  return walker
}

/** Throws the file system's errors. */
export function lookAt(path: string): Look {
  const descriptor = openSync(path, 'r')
  const { size } = fstatSync(descriptor)
  const readHere = (offset: number, length: number) => readAt(descriptor, offset, length)
  const check = new StructureCheck(basename(path), readHere, size, bzip2Thread)
  return {
    push: (bytes) => (check.isDecided ? Promise.resolve() : check.push(bytes)),
    end: () => check.end(),
    close: () => {
      check.close()
      closeSync(descriptor)
    },
  }
}

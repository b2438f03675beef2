/** The last thread of a hashing team: looks at the form of each file as its bytes come by. Its decoders need an event loop. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { basename } from 'node:path'
import { ThreadWalker } from '../structure/bzip2-thread.ts'
import { StructureCheck } from '../structure/check.ts'
import type { Finding } from '../structure/finding.ts'
import type { HashTask } from './hash-lanes.ts'
import type { HashRing } from './hash-ring.ts'

/** Made when a bzip2 file first needs it; lives as long as this thread. */
let walker: ThreadWalker | null = null
function bzip2Thread(): ThreadWalker {
  walker ??= new ThreadWalker()
  return walker
}

/** A finding for each file. Throws Stopped, and the file system's errors. */
export async function structureLane(ring: HashRing, task: HashTask): Promise<Finding[]> {
  const lane = task.hashLanes.length
  const findings: Finding[] = []
  for (const path of task.files) {
    const descriptor = openSync(path, 'r')
    const { size } = fstatSync(descriptor)
    const readHere = (offset: number, length: number) => readAt(descriptor, offset, length)
    const check = new StructureCheck(basename(path), readHere, size, bzip2Thread)
    try {
      for (let ended = false; !ended; ) {
        await ring.chunkComes(lane)
        const { bytes, isEndOfFile } = ring.chunk(lane)
        if (!check.isDecided && bytes.length > 0) await check.push(bytes)
        ended = isEndOfFile
        ring.done(lane)
      }
      findings.push(await check.end())
    } finally {
      check.close()
      closeSync(descriptor)
    }
  }
  return findings
}

function readAt(descriptor: number, offsetBytes: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes)
  let done = 0
  while (done < lengthBytes) {
    const count = readSync(descriptor, bytes, done, lengthBytes - done, offsetBytes + done)
    if (count === 0) break
    done += count
  }
  return bytes.subarray(0, done)
}

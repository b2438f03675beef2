/** Bytes of an open file. Blocks its thread: for workers and commands. */
import { readSync } from 'node:fs'

/** Fewer than asked for when the file ends before. Throws the file system's error. */
export function readAt(descriptor: number, offsetBytes: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes)
  let done = 0
  while (done < lengthBytes) {
    const count = readSync(descriptor, bytes, done, lengthBytes - done, offsetBytes + done)
    if (count === 0) break
    done += count
  }
  return bytes.subarray(0, done)
}

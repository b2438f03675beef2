/** One read of some files: digests of each, and piece SHA-1s over all of them in order. Blocks its thread: for workers. */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import type { FileFacts } from '../ports.ts'

export interface HashTask {
  readonly files: readonly string[]
  /** null = no piece hashes. */
  readonly pieceLengthBytes: number | null
}

export interface HashFacts {
  readonly files: FileFacts[]
  /** SHA-1 of each piece, one after the other (BEP 3). */
  readonly pieces: Uint8Array | null
}

/** The whole buffer of one task. */
const BUFFER_BYTES = 1024 * 1024

/** `onRead` gets each increment of bytes and may throw to stop. Throws the file system's error. */
export function hashFiles(task: HashTask, onRead: (count: number) => void): HashFacts {
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  const pieces = task.pieceLengthBytes === null ? null : new PieceHashes(task.pieceLengthBytes)
  const files = task.files.map((path): FileFacts => {
    const hashes = { md5: createHash('md5'), sha1: createHash('sha1'), sha256: createHash('sha256') }
    let sizeBytes = 0
    const descriptor = openSync(path, 'r')
    try {
      for (;;) {
        const count = readSync(descriptor, buffer)
        if (count === 0) break
        const bytes = buffer.subarray(0, count)
        hashes.md5.update(bytes)
        hashes.sha1.update(bytes)
        hashes.sha256.update(bytes)
        pieces?.update(bytes)
        sizeBytes += count
        onRead(count)
      }
    } finally {
      closeSync(descriptor)
    }
    return {
      sizeBytes,
      digests: {
        md5: hashes.md5.digest('hex'),
        sha1: hashes.sha1.digest('hex'),
        sha256: hashes.sha256.digest('hex'),
      },
    }
  })
  return { files, pieces: pieces?.finish() ?? null }
}

/** SHA-1 of each piece of a stream. */
class PieceHashes {
  readonly #lengthBytes: number
  readonly #done: Buffer[] = []
  #current: Hash = createHash('sha1')
  #currentBytes = 0

  constructor(lengthBytes: number) {
    this.#lengthBytes = lengthBytes
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const take = Math.min(this.#lengthBytes - this.#currentBytes, bytes.length - at)
      this.#current.update(bytes.subarray(at, at + take))
      this.#currentBytes += take
      at += take
      if (this.#currentBytes === this.#lengthBytes) this.#close()
    }
  }

  finish(): Uint8Array {
    if (this.#currentBytes > 0) this.#close()
    return new Uint8Array(Buffer.concat(this.#done))
  }

  #close(): void {
    this.#done.push(this.#current.digest())
    this.#current = createHash('sha1')
    this.#currentBytes = 0
  }
}

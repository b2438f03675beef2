/**
 * What the threads of a hashing team do. On two cores, MD5 (which has no processor instructions of its own) takes about as long
 * as SHA-1 and SHA-256 together; the piece hashes go to whichever of the two has time. Lane 1 also reads. Both block their
 * thread: for workers.
 */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import type { HashRing } from './hash-ring.ts'

export interface HashTask {
  readonly files: readonly string[]
  /** null = no piece hashes. */
  readonly pieceLengthBytes: number | null
  /** 2, or 3 when somebody also looks at the structure. */
  readonly lanes: number
}

export type Algorithm = 'md5' | 'sha1' | 'sha256'
export const READER_LANE = 1
export const LANE_ALGORITHMS: readonly (readonly Algorithm[])[] = [['md5'], ['sha1', 'sha256']]
export const STRUCTURE_LANE = 2

export interface LaneFacts {
  /** For each file, in hexadecimal, in the order of the lane's algorithms. */
  readonly digests: string[][]
  readonly sizesBytes: number[]
  /** The pieces that this lane hashed: SHA-1 (BEP 3). */
  readonly pieces: { readonly index: number; readonly sha1: Uint8Array }[]
}

/** Hashes all files as they come. Lane READER_LANE needs `reader`. Throws Stopped, and the reader's errors. */
export function hashLane(ring: HashRing, lane: number, task: HashTask, reader: FileReader | null): LaneFacts {
  const algorithms = LANE_ALGORITHMS[lane] ?? []
  const pieces = task.pieceLengthBytes === null ? null : new PieceHashes(ring, lane, task.pieceLengthBytes)
  const digests: string[][] = []
  const sizesBytes: number[] = []
  for (const _file of task.files) {
    const hashes = algorithms.map((algorithm) => createHash(algorithm))
    let sizeBytes = 0
    for (let ended = false; !ended; ) {
      if (reader === null) ring.waitForChunk(lane)
      else reader.fill()
      const { bytes, isEndOfFile } = ring.chunk(lane)
      for (const hash of hashes) hash.update(bytes)
      pieces?.update(bytes)
      sizeBytes += bytes.length
      ended = isEndOfFile
      ring.done(lane)
    }
    digests.push(hashes.map((hash) => hash.digest('hex')))
    sizesBytes.push(sizeBytes)
  }
  return { digests, sizesBytes, pieces: pieces?.finish() ?? [] }
}

/** Reads the files one after the other into the ring. */
export class FileReader {
  readonly #ring: HashRing
  readonly #task: HashTask
  readonly #onRead: (count: number) => void
  #file = 0
  #descriptor: number | null = null

  constructor(ring: HashRing, task: HashTask, onRead: (count: number) => void) {
    this.#ring = ring
    this.#task = task
    this.#onRead = onRead
  }

  /** Fills what room there is; then its own lane has a chunk. */
  fill(): void {
    for (;;) {
      while (this.#file < this.#task.files.length) {
        const room = this.#ring.free(this.#task.lanes)
        if (room === null) break
        this.#read(room)
      }
      if (this.#ring.has(READER_LANE)) return
      this.#ring.waitForRoom(this.#task.lanes)
    }
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor)
    this.#descriptor = null
  }

  #read(room: Uint8Array): void {
    this.#descriptor ??= openSync(this.#task.files[this.#file] ?? '', 'r')
    const count = readSync(this.#descriptor, room)
    if (count === 0) {
      this.close()
      this.#file++
    }
    this.#ring.publish(count, count === 0)
    this.#onRead(count)
  }
}

/** SHA-1 of those pieces of a stream that this lane is the first to reach. */
class PieceHashes {
  readonly #ring: HashRing
  readonly #lane: number
  readonly #lengthBytes: number
  readonly #done: { index: number; sha1: Uint8Array }[] = []
  #index = 0
  #current: Hash | null = null
  #currentBytes = 0

  constructor(ring: HashRing, lane: number, lengthBytes: number) {
    this.#ring = ring
    this.#lane = lane
    this.#lengthBytes = lengthBytes
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#currentBytes === 0) {
        const isMine = this.#ring.claims(this.#lane, this.#index, this.#lengthBytes)
        this.#current = isMine ? createHash('sha1') : null
      }
      const take = Math.min(this.#lengthBytes - this.#currentBytes, bytes.length - at)
      this.#current?.update(bytes.subarray(at, at + take))
      this.#currentBytes += take
      at += take
      if (this.#currentBytes === this.#lengthBytes) this.#close()
    }
  }

  finish(): { index: number; sha1: Uint8Array }[] {
    if (this.#currentBytes > 0) this.#close()
    return this.#done
  }

  #close(): void {
    if (this.#current !== null) {
      this.#done.push({ index: this.#index, sha1: new Uint8Array(this.#current.digest()) })
    }
    this.#current = null
    this.#currentBytes = 0
    this.#index++
  }
}

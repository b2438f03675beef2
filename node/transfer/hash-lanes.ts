/**
 * What the threads of a hashing team do. On two cores, MD5 (which has no processor instructions of its own) takes about as long
 * as SHA-1 and SHA-256 together; the piece hashes go to whichever of the two has time. When the structure is looked at too, that
 * takes many times as long as all digests: one thread does both, and spares the memory of another. The first lane also reads. All
 * block their thread: for workers.
 */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import type { Finding } from '../structure/finding.ts'
import type { HashRing } from './hash-ring.ts'

export interface HashTask {
  readonly files: readonly string[]
  /** null = no piece hashes. */
  readonly pieceLengthBytes: number | null
  /** The digests of each lane that hashes, the first of which reads. */
  readonly hashLanes: readonly (readonly Algorithm[])[]
  /** The first lane, then the only one, also looks at the structure. */
  readonly structure: boolean
}

export type Algorithm = 'md5' | 'sha1' | 'sha256'
export const READER_LANE = 0
export const TWO_LANES: HashTask['hashLanes'] = [['sha1', 'sha256'], ['md5']]
/** Each piece is hashed by whichever comes to it first. */
export const PIECE_LANES: HashTask['hashLanes'] = [[], []]
export const ONE_LANE: HashTask['hashLanes'] = [['md5', 'sha1', 'sha256']]

export interface LaneFacts {
  /** For each file, in hexadecimal, in the order of the lane's algorithms. */
  readonly digests: string[][]
  readonly sizesBytes: number[]
  /** The pieces that this lane hashed: SHA-1 (BEP 3). */
  readonly pieces: { readonly index: number; readonly sha1: Uint8Array }[]
  /** For each file, when this lane looked. */
  readonly findings: Finding[]
}

/** Looks at the form of one file as its bytes come by. */
export interface Look {
  push(bytes: Uint8Array): Promise<void>
  end(): Promise<Finding>
  close(): void
}

/** Hashes all files as they come. The first lane needs `reader`. Rejects with Stopped, and with the reader's errors. */
export async function hashLane(
  ring: HashRing,
  lane: number,
  task: HashTask,
  reader: FileReader | null,
  lookAt: ((path: string) => Look) | null,
): Promise<LaneFacts> {
  const algorithms = task.hashLanes[lane] ?? []
  const { pieceLengthBytes, hashLanes } = task
  const isMine = (piece: number, lengthBytes: number) =>
    hashLanes.length === 1 || ring.claims(lane, piece, lengthBytes)
  const pieces = pieceLengthBytes === null ? null : new PieceHashes(pieceLengthBytes, isMine)
  const digests: string[][] = []
  const sizesBytes: number[] = []
  const findings: Finding[] = []
  for (const path of task.files) {
    const look = lookAt?.(path) ?? null
    const hashes = algorithms.map((algorithm) => createHash(algorithm))
    let sizeBytes = 0
    try {
      for (let ended = false; !ended; ) {
        if (reader === null) ring.waitForChunk(lane)
        else reader.fill()
        const { bytes, isEndOfFile } = ring.chunk(lane)
        for (const hash of hashes) hash.update(bytes)
        pieces?.update(bytes)
        sizeBytes += bytes.length
        if (look !== null && bytes.length > 0) await look.push(bytes)
        ended = isEndOfFile
        ring.done(lane)
      }
      if (look !== null) findings.push(await look.end())
    } finally {
      look?.close()
    }
    digests.push(hashes.map((hash) => hash.digest('hex')))
    sizesBytes.push(sizeBytes)
  }
  return { digests, sizesBytes, pieces: pieces?.finish() ?? [], findings }
}

/** Reads the files one after the other into the ring. */
export class FileReader {
  readonly #ring: HashRing
  readonly #task: HashTask
  readonly #onRead: (count: number) => void
  readonly #lanes: number
  #file = 0
  #descriptor: number | null = null

  constructor(ring: HashRing, task: HashTask, onRead: (count: number) => void) {
    this.#ring = ring
    this.#task = task
    this.#onRead = onRead
    this.#lanes = task.hashLanes.length
  }

  /** Fills what room there is; then its own lane has a chunk. */
  fill(): void {
    for (;;) {
      while (this.#file < this.#task.files.length) {
        const room = this.#ring.free(this.#lanes)
        if (room === null) break
        this.#read(room)
      }
      if (this.#ring.has(READER_LANE)) return
      this.#ring.waitForRoom(this.#lanes)
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
  readonly #lengthBytes: number
  readonly #isMine: (piece: number, lengthBytes: number) => boolean
  readonly #done: { index: number; sha1: Uint8Array }[] = []
  #index = 0
  #current: Hash | null = null
  #currentBytes = 0

  constructor(lengthBytes: number, isMine: (piece: number, lengthBytes: number) => boolean) {
    this.#lengthBytes = lengthBytes
    this.#isMine = isMine
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#currentBytes === 0) {
        this.#current = this.#isMine(this.#index, this.#lengthBytes) ? createHash('sha1') : null
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

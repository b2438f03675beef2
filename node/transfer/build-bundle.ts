/**
 * From held shards to the torrent of a cycle bundle (PROTOCOL 2): one read of all files in order, at a rate that leaves the disk to
 * others. Every byte is held to the pieces of its own shard's torrent on the way, so rot on the disk does not become a bundle.
 */
import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { equalBytes } from '../../protocol/codec/bytes.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { bundleInfo, type CycleBundle } from '../../protocol/torrent/bundle.ts'
import { type Info, torrentFiles } from '../../protocol/torrent/info.ts'
import type { Pace } from '../pace/pacer.ts'
import { dumpPath } from './build-shard.ts'

export interface BuildBundleOptions {
  /** The folder that holds the shards. */
  readonly mirror: string
  /** Of a shard's own torrent. Rejects with the file system's error or with TorrentError. */
  readonly infoOf: (shard: Shard) => Promise<Info>
  /** Resolves when so many bytes may have been read. */
  readonly pace: Pace
  readonly signal?: AbortSignal
}

/** A shard is not what was verified; `message` says what of it. */
export class BundleError extends Error {
  readonly shard: Shard
  constructor(shard: Shard, detail: string, options?: ErrorOptions) {
    super(`${shard.id}: ${detail}`, options)
    this.name = 'BundleError'
    this.shard = shard
  }
}

const BLOCK_BYTES = 256 * 1024

/** The raw info dictionary. Rejects with BundleError, and with the signal's reason. */
export async function buildBundle(bundle: CycleBundle, options: BuildBundleOptions): Promise<Uint8Array> {
  const all = new PieceSums(bundle.pieceLengthBytes)
  for (const shard of bundle.shards) {
    try {
      await readShard(shard, all, options)
    } catch (error) {
      options.signal?.throwIfAborted()
      if (error instanceof BundleError || !(error instanceof Error)) throw error
      throw new BundleError(shard, error.message, { cause: error })
    }
  }
  return bundleInfo(bundle, all.end())
}

async function readShard(shard: Shard, all: PieceSums, options: BuildBundleOptions): Promise<void> {
  const { mirror, infoOf, pace, signal } = options
  const info = await infoOf(shard)
  const own = new PieceSums(info.pieceLengthBytes)
  for (const { path, sizeBytes } of torrentFiles(shard)) {
    const file = await open(dumpPath(shard, mirror, path), 'r')
    try {
      for await (const block of blocksOf(file, sizeBytes)) {
        all.update(block)
        own.update(block)
        await pace(block.length, signal)
      }
    } catch (error) {
      if (error instanceof RangeError) throw new BundleError(shard, `${path}: ${error.message}`)
      throw error
    } finally {
      await file.close()
    }
  }
  if (!equalBytes(own.end(), info.pieces))
    throw new BundleError(shard, 'its bytes are not those of its torrent')
}

/** Exactly so many bytes, in one buffer that is used again; throws RangeError when the file has fewer or more. */
async function* blocksOf(file: FileHandle, sizeBytes: number): AsyncGenerator<Uint8Array> {
  const { size } = await file.stat()
  if (size !== sizeBytes) throw new RangeError(`${size} bytes, should be ${sizeBytes}`)
  const buffer = new Uint8Array(Math.min(BLOCK_BYTES, sizeBytes))
  for (let at = 0; at < sizeBytes; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, sizeBytes - at), at)
    if (bytesRead === 0) throw new RangeError(`ends at byte ${at}, should have ${sizeBytes}`)
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}

/** SHA-1 of each piece of what passes. */
class PieceSums {
  readonly #pieceLengthBytes: number
  readonly #pieces: Buffer[] = []
  #piece: Hash = createHash('sha1')
  #filledBytes = 0

  constructor(pieceLengthBytes: number) {
    this.#pieceLengthBytes = pieceLengthBytes
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + this.#pieceLengthBytes - this.#filledBytes)
      this.#piece.update(bytes.subarray(at, end))
      this.#filledBytes += end - at
      at = end
      if (this.#filledBytes === this.#pieceLengthBytes) this.#close()
    }
  }

  /** With the last piece, which may be shorter. */
  end(): Uint8Array {
    if (this.#filledBytes > 0) this.#close()
    return Buffer.concat(this.#pieces)
  }

  #close(): void {
    this.#pieces.push(this.#piece.digest())
    this.#piece = createHash('sha1')
    this.#filledBytes = 0
  }
}

/**
 * What was seen of the files of each torrent when its bytes were last verified: sizes and times, so that nothing has to be read
 * again at start, and when that was. Durable: a record stands only for bytes that were read and held to their digests.
 */
import type { Infohash } from '../../protocol/ids.ts'
import type { FileTime } from '../files/file-time.ts'
import type { Log, Store } from '../ports.ts'
import { keyOf, partsOf, prefixOf } from './keyspace.ts'

export interface HeldRecord {
  /** Unix ms; 0 = taken over from before there were records. */
  readonly verifiedAtMs: number
  /** In the torrent's order. */
  readonly files: readonly FileTime[]
  /** Pieces that the reading under way found right, from the first; 0 = none is. */
  readonly rereadPieces: number
}

/** A value is a row of little-endian doubles: these two, then size and time of each file. So a start reads only the first of each. */
const HEAD = 2

export class HeldFiles {
  readonly #store: Store
  readonly #verifiedAtMs = new Map<Infohash, number>()

  private constructor(store: Store) {
    this.#store = store
  }

  /** A value that is none of ours is removed, with a warning: that torrent counts as one without a record. */
  static async open(store: Store, log: Log): Promise<HeldFiles> {
    const held = new HeldFiles(store)
    for await (const { key, value } of store.list(prefixOf('heldFiles'))) {
      const [infohash = ''] = partsOf('heldFiles', key)
      const verifiedAtMs = numbersOf(value)?.at(0) ?? Number.NaN
      if (verifiedAtMs >= 0) {
        held.#verifiedAtMs.set(infohash as Infohash, verifiedAtMs)
      } else {
        log.warn({ key }, 'what was stored of held files is not right')
        await store.batch([{ type: 'del', key }])
      }
    }
    return held
  }

  /** When its bytes were last verified, Unix ms; null without a record. */
  verifiedAtMs(infohash: Infohash): number | null {
    return this.#verifiedAtMs.get(infohash) ?? null
  }

  async get(infohash: Infohash): Promise<HeldRecord | null> {
    const key = keyOf('heldFiles', infohash)
    const value = this.#verifiedAtMs.has(infohash) ? await this.#store.get(key) : null
    return value === null ? null : readRecord(value)
  }

  async put(infohash: Infohash, { verifiedAtMs, files, rereadPieces }: HeldRecord): Promise<void> {
    const numbers = [verifiedAtMs, rereadPieces, ...files.flatMap((file) => [file.sizeBytes, file.changedUs])]
    const value = Buffer.alloc(numbers.length * 8)
    for (const [i, number] of numbers.entries()) value.writeDoubleLE(number, i * 8)
    await this.#store.batch([{ type: 'put', key: keyOf('heldFiles', infohash), value }])
    this.#verifiedAtMs.set(infohash, verifiedAtMs)
  }

  async forget(infohash: Infohash): Promise<void> {
    if (!this.#verifiedAtMs.delete(infohash)) return
    await this.#store.batch([{ type: 'del', key: keyOf('heldFiles', infohash) }])
  }
}

/** Null when it is no value of ours. */
function numbersOf(value: Uint8Array): { count: number; at: (index: number) => number } | null {
  const count = value.length / 8
  if (!Number.isInteger(count) || count < HEAD || count % 2 !== 0) return null
  const view = new DataView(value.buffer, value.byteOffset, value.length)
  return { count, at: (index) => view.getFloat64(index * 8, true) }
}

function readRecord(value: Uint8Array): HeldRecord | null {
  const numbers = numbersOf(value)
  if (numbers === null) return null
  const { count, at } = numbers
  const files = Array.from({ length: (count - HEAD) / 2 }, (_, i) => ({
    sizeBytes: at(HEAD + 2 * i),
    changedUs: at(HEAD + 2 * i + 1),
  }))
  return { verifiedAtMs: at(0), rereadPieces: at(1), files }
}

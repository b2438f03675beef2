/**
 * What was seen of the files of each torrent when its bytes were last verified: sizes and times, so that nothing has to be read
 * again at start, and when that was. Durable: a record stands only for bytes that were read and held to their digests.
 */
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { integer, list, record, ShapeError } from '../../protocol/codec/shape.ts'
import type { Infohash } from '../../protocol/ids.ts'
import type { Log, Store } from '../ports.ts'
import { keyOf, partsOf, prefixOf } from './keyspace.ts'

/** Of one file, in the torrent's order. */
export interface FileTime {
  readonly sizeBytes: number
  /** Unix microseconds of the last change of its bytes (mtime). */
  readonly changedUs: number
}

export interface HeldRecord {
  /** Unix ms; 0 = taken over from before there were records. */
  readonly verifiedAtMs: number
  readonly files: readonly FileTime[]
  /** Pieces that the reading under way found right, from the first; 0 = none is. */
  readonly rereadPieces: number
}

const VALUE_BYTES_MAX = 4 * 1024 * 1024
const FILES_MAX = 100_000

export class HeldFiles {
  readonly #store: Store
  readonly #log: Log
  readonly #verifiedAtMs = new Map<Infohash, number>()

  private constructor(store: Store, log: Log) {
    this.#store = store
    this.#log = log
  }

  /** A value that is none of ours is removed, with a warning: that torrent counts as one without a record. */
  static async open(store: Store, log: Log): Promise<HeldFiles> {
    const held = new HeldFiles(store, log)
    for await (const { key, value } of store.list(prefixOf('heldFiles'))) {
      const [infohash = ''] = partsOf('heldFiles', key)
      const read = held.#read(key, value)
      if (read === null) await store.batch([{ type: 'del', key }])
      else held.#verifiedAtMs.set(infohash as Infohash, read.verifiedAtMs)
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
    return value === null ? null : this.#read(key, value)
  }

  async put(infohash: Infohash, { verifiedAtMs, files, rereadPieces }: HeldRecord): Promise<void> {
    const rows = files.map((file) => [file.sizeBytes, file.changedUs])
    const value = encodeCbor({ verifiedAtMs, rereadPieces, files: rows })
    await this.#store.batch([{ type: 'put', key: keyOf('heldFiles', infohash), value }])
    this.#verifiedAtMs.set(infohash, verifiedAtMs)
  }

  async forget(infohash: Infohash): Promise<void> {
    if (!this.#verifiedAtMs.delete(infohash)) return
    await this.#store.batch([{ type: 'del', key: keyOf('heldFiles', infohash) }])
  }

  #read(key: string, value: Uint8Array): HeldRecord | null {
    try {
      const fields = record(decodeCbor(value, 'heldFiles', VALUE_BYTES_MAX), 'heldFiles', [
        'files',
        'rereadPieces',
        'verifiedAtMs',
      ])
      return {
        verifiedAtMs: integer(fields.verifiedAtMs, 'verifiedAtMs'),
        rereadPieces: integer(fields.rereadPieces, 'rereadPieces'),
        files: list(fields.files, 'files', FILES_MAX, readRow),
      }
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error
      this.#log.warn({ key, error: error.message }, 'what was stored of held files is not right')
      return null
    }
  }
}

function readRow(value: unknown, path: string): FileTime {
  const [sizeBytes, changedUs] = list(value, path, 2, integer)
  return { sizeBytes: integer(sizeBytes, path), changedUs: integer(changedUs, path) }
}

/**
 * The port of this room: one file that is read in ranges, wherever it lies. Adapters: a file on disk, a file of a torrent in the
 * swarm. The suite of its contract is test/conformance/byte-source.suite.ts.
 */
import type { Dataset } from '../../protocol/ids.ts'

export interface ByteSource {
  readonly sizeBytes: number
  /**
   * Bytes `start` up to (not with) `end`, all of them. Rejects with RangeError when the file has no such bytes or these are more than
   * READ_BYTES_MAX (node/ports.ts), and with SourceError.
   */
  read(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array>
  close(): Promise<void>
}

/** `unreachable`: nobody gave the bytes in time. `changed`: the file is shorter than it was. */
export type SourceErrorCode = 'unreachable' | 'changed' | 'disk' | 'aborted'

export class SourceError extends Error {
  readonly code: SourceErrorCode
  constructor(code: SourceErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'SourceError'
    this.code = code
  }
}

/** The files of one run of one wiki, to be opened by name. */
export interface RunSource {
  readonly dataset: Dataset
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
  readonly files: readonly RunFile[]
  /** Rejects with SourceError, or RangeError for a name that is not in `files`. Who opens closes. */
  open(name: string, signal?: AbortSignal): Promise<ByteSource>
  close(): Promise<void>
}

export interface RunFile {
  /** `fatwiki-20240920-pages-articles-multistream.xml.bz2` */
  readonly name: string
  readonly sizeBytes: number
}

/** Throws RangeError when a file of this size has no such bytes. */
export function checkRange(start: number, end: number, sizeBytes: number, bytesMax: number): void {
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end)
  if (!whole || start < 0 || end < start || end > sizeBytes)
    throw new RangeError(`bytes ${start}..${end} of ${sizeBytes}`)
  if (end - start > bytesMax) throw new RangeError(`more than ${bytesMax} bytes at once`)
}

/**
 * What the form of a file says of it, without any digest. A finding never decides whether a file is held (PROTOCOL 6): a run
 * that upstream itself broke is worth keeping as it is.
 */

export type Finding =
  /** Every check that the format has was made to the last byte, and the content ends as its kind ends. */
  | {
      readonly state: 'ok'
      /** `gzip`, `bzip2`, `xz`, `zstd`, `7z`, or `plain`. */
      readonly container: Container
      /** `null`: no kind of content with an end of its own; only the container was checked. */
      readonly content: Content | null
      /** Members, streams or frames; files of a 7z. 1 for a plain file. */
      readonly streams: number
      /** Bytes when unpacked. */
      readonly contentBytes: number
      /** The database name that an XML dump gives itself; null when it gives none. */
      readonly wiki: string | null
    }
  /**
   * Broken. Each byte before `offsetBytes` of the file as it lies there belongs to a part whose own check held; the damage is
   * at that byte or after it, within the part that begins there. The length of the file: it ends too early, or damage within
   * its last part, whose beginning `detail` then gives, makes it look so.
   */
  | { readonly state: 'bad'; readonly offsetBytes: number; readonly detail: string }
  /** Nothing can be said: no format with a check, or one that is not read to the end here, with the reason. */
  | { readonly state: 'unknown'; readonly detail: string }

export type Container = 'gzip' | 'bzip2' | 'xz' | 'zstd' | '7z' | 'plain'
export type Content = 'xml' | 'sql'

/** Takes what a container unpacks, piece by piece. It must not keep the bytes: they are used again after the call. */
export type Sink = (bytes: Uint8Array) => void

/** Unpacks one file as its bytes come, and throws the output away. */
export interface Decoder {
  /** Every byte of the file once, in order, in pieces of any length. Rejects with a Broken or a NotRead. */
  push(bytes: Uint8Array): Promise<void> | void
  /** After the last byte. How many members, streams or frames there were. */
  end(): Promise<number> | number
  /** Frees what it holds. May be called at any time, and again. */
  close(): void
}

/** The file is not what its format says. */
export class Broken extends Error {
  readonly offsetBytes: number
  constructor(offsetBytes: number, detail: string) {
    super(detail)
    this.name = 'Broken'
    this.offsetBytes = offsetBytes
  }
}

/** The file may be whole, but is not read to its end here: a limit, or a form of the format that we do not read. */
export class NotRead extends Error {
  constructor(detail: string) {
    super(detail)
    this.name = 'NotRead'
  }
}

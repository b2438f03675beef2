/** Bounds of what is unpacked to be looked at: a file beyond them is not broken, but nobody reads it to its end here. */
import { NotRead } from './finding.ts'

const MIB = 1024 * 1024

/** Dictionary or window that a file may ask for: that of `xz -9`, and more than Wikimedia's 7z and zstd -19 use. */
export const DICTIONARY_BYTES_MAX = 64 * MIB
/** Members, streams or frames. English Wikipedia's multistream dump has a quarter of that. */
export const STREAMS_MAX = 1_000_000
/** Headers of a 7z, packed and unpacked; with one file in it they have a few hundred bytes. */
export const HEADER_BYTES_MAX = MIB
/** A text that packs better than this is no dump, but made to keep the reader busy. */
const RATIO_MAX = 10_000
const FREE_BYTES = 1024 * MIB

/** Throws NotRead when `packedBytes` have grown to `contentBytes` without measure. */
export function holdRatio(packedBytes: number, contentBytes: number): void {
  if (contentBytes > FREE_BYTES + packedBytes * RATIO_MAX) {
    throw new NotRead(`it unpacks to more than ${RATIO_MAX} times its size`)
  }
}

export function holdDictionary(bytes: number): void {
  if (bytes > DICTIONARY_BYTES_MAX) {
    throw new NotRead(`it wants a dictionary of ${bytes} bytes, more than ${DICTIONARY_BYTES_MAX}`)
  }
}

export function holdStreams(count: number): void {
  if (count > STREAMS_MAX) throw new NotRead(`it has more than ${STREAMS_MAX} streams`)
}

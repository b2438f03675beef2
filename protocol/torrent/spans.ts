/** Piece <-> file: a v1 torrent is the concatenation of its files, cut into pieces that know nothing of them (BEP 3). */

/** A run of bytes inside one file. */
export interface Span {
  /** Index of the file in the torrent. */
  readonly file: number
  /** Where it starts in that file, in bytes. */
  readonly offset: number
  readonly length: number
}

/** Where each file starts in the concatenation; `starts[files]` is the total. */
export interface Layout {
  readonly starts: readonly number[]
  readonly totalBytes: number
}

export function layoutOf(files: readonly { readonly sizeBytes: number }[]): Layout {
  const starts = [0]
  let total = 0
  for (const file of files) {
    total += file.sizeBytes
    starts.push(total)
  }
  return { starts, totalBytes: total }
}

/** The spans that make up bytes `start` up to (not with) `end` of the concatenation; empty files have none. Throws RangeError. */
export function spansOf(layout: Layout, start: number, end: number): Span[] {
  if (start < 0 || end < start || end > layout.totalBytes) {
    throw new RangeError(`bytes ${start}..${end} of ${layout.totalBytes}`)
  }
  const spans: Span[] = []
  for (let file = fileAt(layout, start), at = start; at < end; file++) {
    const fileStart = layout.starts[file] ?? 0
    const to = Math.min(layout.starts[file + 1] ?? end, end)
    if (to <= at) continue
    spans.push({ file, offset: at - fileStart, length: to - at })
    at = to
  }
  return spans
}

/** The spans of one piece. Throws RangeError when there is no such piece. */
export function pieceSpans(layout: Layout, pieceLengthBytes: number, piece: number): Span[] {
  const start = piece * pieceLengthBytes
  return spansOf(layout, start, Math.min(start + pieceLengthBytes, Math.max(layout.totalBytes, start)))
}

/** First and last piece that hold bytes of a file; null for an empty file. Throws RangeError when there is no such file. */
export function piecesOfFile(
  layout: Layout,
  pieceLengthBytes: number,
  file: number,
): { first: number; last: number } | null {
  const start = layout.starts[file]
  const end = layout.starts[file + 1]
  if (start === undefined || end === undefined) throw new RangeError(`file ${file}`)
  if (start === end) return null
  return { first: Math.floor(start / pieceLengthBytes), last: Math.floor((end - 1) / pieceLengthBytes) }
}

/** Index of the file that holds the byte, by bisection: the last one that starts at or before it. */
function fileAt(layout: Layout, at: number): number {
  let low = 0
  let high = layout.starts.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((layout.starts[middle] ?? Number.POSITIVE_INFINITY) <= at) low = middle
    else high = middle
  }
  return low
}

/** Bytes `start` up to (not with) `end` of the concatenation. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * What of a range is missing, in order: neighbouring pieces that are not `right` as one, each cut to the range, and at most
 * `bytesMax` long unless a single piece is longer.
 */
export function missingRanges(
  range: ByteRange,
  pieceLengthBytes: number,
  isRight: (piece: number) => boolean,
  bytesMax: number,
): ByteRange[] {
  const missing: { start: number; end: number }[] = []
  for (let start = range.start; start < range.end; ) {
    const piece = Math.floor(start / pieceLengthBytes)
    const end = Math.min((piece + 1) * pieceLengthBytes, range.end)
    const last = missing.at(-1)
    if (!isRight(piece)) {
      if (last?.end === start && end - last.start <= bytesMax) last.end = end
      else missing.push({ start, end })
    }
    start = end
  }
  return missing
}

/** Piece length of a torrent as a function of its size alone (PROTOCOL 2). */
import { PIECE_LENGTH_MAX, PIECE_LENGTH_MIN, PIECES_WANTED_MAX } from '../limits.ts'

/** The smallest power of two >= 16 KiB that gives <= 2,048 pieces, at most 16 MiB. */
export function pieceLengthFor(totalBytes: number): number {
  let length = PIECE_LENGTH_MIN
  while (length < PIECE_LENGTH_MAX && pieceCount(totalBytes, length) > PIECES_WANTED_MAX) length *= 2
  return length
}

export function pieceCount(totalBytes: number, pieceLengthBytes: number): number {
  return Math.ceil(totalBytes / pieceLengthBytes)
}
